/* Every published vector of the air interface, one by one and in batches; and what is refused. */
#include "consumer.h"
#include "known_air.h"

#define KNOWN (sizeof known_air / sizeof known_air[0])
#define MESSAGE_MAX 4200

static struct bst_core5g_packet packets[KNOWN];
static uint8_t outs[KNOWN][MESSAGE_MAX], tags[KNOWN][16];

static void fill(size_t i)
{
    const struct known_air *k = &known_air[i];
    struct bst_core5g_packet *p = &packets[i];
    memset(p, 0, sizeof *p);
    OK(bst_core5g_air_key_new(k->algorithm, k->key, k->tag.len, &p->key));
    p->place = k->place;
    p->iv = k->iv;
    p->aad = k->aad;
    p->in = k->in;
    p->bits = k->bits;
    p->out = outs[i];
    p->tag = tags[i];
    must((k->bits + 7) / 8 <= MESSAGE_MAX, "room for the message");
}

static void batches(void)
{
    for (size_t i = 0; i < KNOWN; i++) {
        fill(i);
    }
    must(bst_core5g_protect(packets, KNOWN) == 0, "a batch is protected");
    for (size_t i = 0; i < KNOWN; i++) {
        const struct known_air *k = &known_air[i];
        must(!k->out || memcmp(outs[i], k->out, (k->bits + 7) / 8) == 0, k->algorithm);
        must(memcmp(tags[i], k->tag.ptr, k->tag.len) == 0, k->algorithm);
        packets[i].in = k->out ? k->out : k->in;
    }
    must(bst_core5g_unprotect(packets, KNOWN) == 0, "a batch is opened");
    for (size_t i = 0; i < KNOWN; i++) {
        const struct known_air *k = &known_air[i];
        /* The unused bits of a last octet come out as 0. */
        must(!k->out || memcmp(outs[i], k->in, k->bits / 8) == 0, k->algorithm);
        tags[i][0] ^= 1;
    }
    size_t tagged = 0;
    for (size_t i = 0; i < KNOWN; i++) {
        tagged += known_air[i].tag.len ? 1 : 0;
    }
    must(bst_core5g_unprotect(packets, KNOWN) == tagged, "every wrong tag is found");
    for (size_t i = 0; i < KNOWN; i++) {
        must(packets[i].result.code == (known_air[i].tag.len ? BST_E_BAD_MAC : BST_E_NONE),
             "result");
    }
}

static void refused_packets(void)
{
    struct bst_core5g_air_key *key = NULL;
    must(bst_core5g_protect(NULL, 0) == 0, "nothing");
    struct bst_core5g_air_key *kept = packets[0].key;
    packets[0].key = NULL;
    must(bst_core5g_protect(packets, 2) == 1, "a packet without a key");
    must(packets[0].result.code == BST_E_USAGE && packets[1].result.code == BST_E_NONE, "alone");
    packets[0].key = kept;
    packets[0].place.bearer = 32;
    packets[0].iv = NULL;
    must(bst_core5g_protect(packets, 1) == 1 && packets[0].result.code == BST_E_VALUE, "bearer");
    packets[0].place.bearer = 0;
    packets[0].bits = (size_t)-1;
    must(bst_core5g_protect(packets, 1) == 1 && packets[0].result.code == BST_E_TOO_LONG, "length");
    FAILS(bst_core5g_air_key_new("NEA9", text(""), 0, &key), BST_E_VALUE);
    FAILS(bst_core5g_air_key_new(NULL, text(""), 0, &key), BST_E_USAGE);
    FAILS(bst_core5g_air_key_new("NEA2", text("short"), 0, &key), BST_E_BAD_KEY);
    FAILS(bst_core5g_air_key_new("NIA5", octets(outs, 32), 17, &key), BST_E_VALUE);
    FAILS(bst_core5g_air_key_new("NIA5", octets(outs, 32), 3, &key), BST_E_VALUE);
    FAILS(bst_core5g_air_key_new("NIA2", octets(outs, 16), 8, &key), BST_E_VALUE);
    must(key == NULL, "no key");
    bst_core5g_air_key_free(&key);
    bst_core5g_air_key_free(NULL);
}

/* What has COUNT, BEARER and DIRECTION, by the calls for one message. */
static void one_by_one(void)
{
    uint8_t out[MESSAGE_MAX], tag[4];
    for (size_t i = 0; i < KNOWN; i++) {
        const struct known_air *k = &known_air[i];
        if (k->iv || k->bits % 8) {
            continue;
        }
        struct bst_view in = octets(k->in, k->bits / 8);
        if (k->out) {
            OK(bst_core5g_cipher(k->algorithm, k->key, &k->place, in, out));
            must(memcmp(out, k->out, in.len) == 0, k->algorithm);
        } else {
            OK(bst_core5g_mac(k->algorithm, k->key, &k->place, in, tag));
            must(memcmp(tag, k->tag.ptr, 4) == 0, k->algorithm);
            OK(bst_core5g_mac_check(k->algorithm, k->key, &k->place, in, tag));
            tag[3] ^= 0x80;
            FAILS(bst_core5g_mac_check(k->algorithm, k->key, &k->place, in, tag), BST_E_BAD_MAC);
        }
    }
    FAILS(bst_core5g_cipher(NULL, text(""), NULL, text(""), out), BST_E_USAGE);
    FAILS(bst_core5g_mac("NIA0", octets(out, 16), &known_air[0].place, text("x"), tag),
          BST_E_VALUE);
    FAILS(bst_core5g_cipher("NIA1", octets(out, 16), &known_air[0].place, text("x"), out),
          BST_E_VALUE);
    FAILS(bst_core5g_mac("NIA2", octets(out, 15), &known_air[0].place, text("x"), tag),
          BST_E_BAD_KEY);
}

static void sealed(void)
{
    static const char *const names[] = {"NCA4", "nca5", "NCA6"};
    static const uint8_t key[32] = {7};
    struct bst_core5g_place place = {5, 3, true};
    uint8_t out[16], clear[16], tag[16];
    for (size_t i = 0; i < 3; i++) {
        struct bst_view k = octets(key, 32), in = text("a message"), aad = text("header");
        OK(bst_core5g_seal(names[i], k, &place, aad, in, 8, out, tag));
        OK(bst_core5g_unseal(names[i], k, &place, aad, octets(out, in.len), octets(tag, 8), clear));
        must(memcmp(clear, in.ptr, in.len) == 0, names[i]);
        memset(clear, 0x55, sizeof clear);
        place.count++;
        FAILS(
            bst_core5g_unseal(names[i], k, &place, aad, octets(out, in.len), octets(tag, 8), clear),
            BST_E_BAD_MAC);
        place.count--;
        FAILS(bst_core5g_unseal(names[i], k, &place, text("headers"), octets(out, in.len),
                                octets(tag, 8), clear),
              BST_E_BAD_MAC);
        must(clear[0] == 0x55, "nothing comes out");
        OK(bst_core5g_seal(names[i], k, &place, aad, text(""), 16, NULL, tag));
        OK(bst_core5g_unseal(names[i], k, &place, aad, text(""), octets(tag, 16), NULL));
        FAILS(bst_core5g_seal(names[i], k, &place, aad, in, 3, out, tag), BST_E_VALUE);
        FAILS(bst_core5g_seal(names[i], k, &place, aad, in, 17, out, tag), BST_E_VALUE);
        FAILS(bst_core5g_seal(names[i], octets(key, 16), &place, aad, in, 4, out, tag),
              BST_E_BAD_KEY);
    }
    FAILS(bst_core5g_seal("NEA5", octets(key, 32), &place, text(""), text("x"), 4, out, tag),
          BST_E_VALUE);
}

void check_air(void)
{
    batches();
    refused_packets();
    one_by_one();
    sealed();
    for (size_t i = 0; i < KNOWN; i++) {
        bst_core5g_air_key_free(&packets[i].key);
    }
}

/* core5g: key derivation, Keccak, sequence numbers, vectors, the software USIM, key files. */
#include "support/test.h"

#include "core5g/aka/aka.h"
#include "core5g/aka/keccak.h"
#include "core5g/aka/keyfile.h"
#include "support/hex.h"
#include "support/se_host.h"

#define SN BST_VIEW("5G:mnc001.mcc001.3gppnetwork.org")
#define SUPI "imsi-001010000000001"

/* ---- derivations ---- */

static void eap_aka_prime_gives_the_published_keys(void **state)
{
    /* RFC 5448 Appendix C, case 1 */
    bst_auto(buf) ck = test_hex("0093962d0dd84aa5684b045c9edffa04");
    bst_auto(buf) ik = test_hex("ccfc230ca74fcc96c0a5d61164f5a76c");
    struct bst_eap_aka_keys keys;
    assert_ok(bst_eap_aka_prime((const uint8_t *)ik.ptr, (const uint8_t *)ck.ptr,
                                BST_VIEW("0555444333222111"), &keys));
    assert_hex(keys.k_encr, 16, "766fa0a6c317174b812d52fbcd11a179");
    assert_hex(keys.k_aut, 32, "0842ea722ff6835bfa2032499fc3ec23c2f0e388b4f07543ffc677f1696d71ea");
    assert_hex(keys.k_re, 32, "cf83aa8bc7e0aced892acc98e76a9b2095b558c7795c7094715cb3393aa7d17a");
    assert_hex(keys.msk, 32, "67c42d9aa56c1b79e295e3459fc3d187d42be0bf818d3070e362c5e967a4d544");
    assert_hex(keys.emsk, 32, "f861703cd775590e16c7679ea3874ada866311de290764d760cf76df647ea01c");
}

static void each_derivation_has_its_own_code_and_checks_lengths(void **state)
{
    static const uint8_t bytes[256] = {7};
    uint8_t out[32];
    bool seen[256] = {false};
    for (unsigned i = 0; i < BST_5G_KDF_COUNT; i++) {
        const struct bst_5g_kdf_row *row = bst_5g_kdf_row((enum bst_5g_kdf)i);
        struct bst_view params[BST_5G_PARAMS_MAX];
        assert_non_null(row->name);
        assert_false(seen[row->fc]);
        seen[row->fc] = true;
        for (unsigned p = 0; p < row->n_params; p++) {
            params[p] = bst_view_of(bytes, row->param[p].min);
        }
        struct bst_view key = bst_view_of(bytes, row->key_min);
        assert_ok(bst_5g_derive((enum bst_5g_kdf)i, key, params, row->n_params, out));
        assert_err(
            bst_5g_derive((enum bst_5g_kdf)i, bst_view_of(bytes, 16), params, row->n_params, out),
            BST_E_VALUE);
        assert_err(bst_5g_derive((enum bst_5g_kdf)i, key, params, row->n_params + 1u, out),
                   BST_E_USAGE);
        params[0].len--;
        assert_err(bst_5g_derive((enum bst_5g_kdf)i, key, params, row->n_params, out), BST_E_VALUE);
    }
    assert_null(bst_5g_kdf_row(BST_5G_KDF_COUNT));
}

static void serving_network_names_have_three_digits_of_mnc(void **state)
{
    char name[BST_5G_SN_NAME_MAX];
    assert_ok(bst_5g_sn_name(BST_VIEW("001"), BST_VIEW("01"), NULL, name));
    assert_string_equal(name, "5G:mnc001.mcc001.3gppnetwork.org");
    assert_ok(bst_5g_sn_name(BST_VIEW("999"), BST_VIEW("123"), "000007ed9d5", name));
    assert_string_equal(name, "5G:mnc123.mcc999.3gppnetwork.org:000007ed9d5");
    assert_ok(bst_5g_sn_name_check(bst_view(name)));
    assert_true(bst_failed(bst_5g_sn_name(BST_VIEW("01"), BST_VIEW("01"), NULL, name)));
    assert_true(bst_failed(bst_5g_sn_name(BST_VIEW("001"), BST_VIEW("1"), NULL, name)));
    assert_true(bst_failed(bst_5g_sn_name(BST_VIEW("001"), BST_VIEW("01"), "xyz", name)));
    static const char *const bad[] = {"",
                                      "5G:mnc01.mcc001.3gppnetwork.org",
                                      "5G:",
                                      "5g:mnc001.mcc001.3gppnetwork.org",
                                      "5G:mnc001.mcc001.3gppnetwork.org ",
                                      "5G:mnc001.mcc001.3gppnetwork.org:1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_err(bst_5g_sn_name_check(bst_view(bad[i])), BST_E_VALUE);
    }
}

static void keccak_permutes_zero_as_published(void **state)
{
    uint8_t a[BST_KECCAK_BYTES] = {0};
    bst_keccak_f1600(a);
    assert_hex(a, 16, "e7dde140798f25f18a47c033f9ccd584");
    /* SHA3-256 of nothing: the padding of a rate of 136 octets. */
    uint8_t b[BST_KECCAK_BYTES] = {[0] = 0x06, [135] = 0x80};
    bst_keccak_f1600(b);
    assert_hex(b, 32, "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a");
}

static void lengths_that_an_algorithm_does_not_have_are_refused(void **state)
{
    static const enum bst_aka_alg algs[] = {BST_AKA_MILENAGE, BST_AKA_TUAK, BST_AKA_MILENAGE256};
    struct bst_aka_in in = {.rand = {1}};
    struct bst_aka_out out;
    for (size_t i = 0; i < 3; i++) {
        struct bst_aka_keys keys = bst_aka_algorithm(algs[i])->usual;
        assert_ok(bst_aka_run(&keys, &in, BST_AKA_F2345, &out));
        keys.mac_bytes = 3;
        assert_err(bst_aka_run(&keys, &in, BST_AKA_F1, &out), BST_E_VALUE);
        keys = bst_aka_algorithm(algs[i])->usual;
        keys.k_bytes = 24;
        assert_err(bst_aka_run(&keys, &in, BST_AKA_F1, &out), BST_E_VALUE);
        keys.alg = (enum bst_aka_alg)9;
        assert_err(bst_aka_run(&keys, &in, BST_AKA_F1, &out), BST_E_VALUE);
    }
}

static void packed_keys_come_back_and_damaged_ones_do_not(void **state)
{
    struct bst_aka_keys keys = bst_aka_tuak.usual, back;
    bst_auto(secret) packed = {0};
    memset(keys.k, 5, 16);
    memset(keys.opc, 6, 32);
    assert_ok(bst_aka_keys_pack(&keys, &packed));
    assert_ok(bst_aka_keys_unpack(bst_view_of(packed.ptr, packed.len), &back));
    assert_memory_equal(&keys, &back, sizeof keys);
    for (size_t len = 0; len < packed.len; len++) {
        assert_true(bst_failed(bst_aka_keys_unpack(bst_view_of(packed.ptr, len), &back)));
    }
    for (size_t i = 0; i < 8; i++) {
        if (i != 2) { /* any number of iterations but 0 is possible */
            packed.ptr[i] ^= 0x81;
            assert_true(
                bst_failed(bst_aka_keys_unpack(bst_view_of(packed.ptr, packed.len), &back)));
            packed.ptr[i] ^= 0x81;
        }
    }
}

/* ---- sequence numbers ---- */

struct shelf {
    uint64_t kept;
    unsigned writes;
    bool broken;
    struct bst_sqn_array accepted;
};

static bst_result shelf_load(void *ctx, const char *subscriber, uint64_t *ret)
{
    *ret = ((struct shelf *)ctx)->kept;
    return BST_OK;
}

static bst_result shelf_keep(void *ctx, const char *subscriber, uint64_t seq)
{
    struct shelf *shelf = ctx;
    BST_ENSURE(!shelf->broken, BST_E_DISK_FULL);
    shelf->kept = seq;
    shelf->writes++;
    return BST_OK;
}

static uint64_t next_seq(struct bst_sqn_counter *counter)
{
    uint8_t sqn[BST_SQN_BYTES];
    uint64_t seq;
    unsigned ind;
    assert_ok(bst_sqn_next(counter, sqn));
    bst_sqn_read(sqn, &seq, &ind);
    return seq;
}

static void numbers_are_reserved_in_blocks_and_never_used_twice(void **state)
{
    struct shelf shelf = {0};
    const struct bst_sqn_host host = {&shelf, shelf_load, shelf_keep};
    struct bst_sqn_counter counter;
    uint64_t last = 0;
    for (int restart = 0; restart < 5; restart++) {
        assert_ok(bst_sqn_open(&counter, &host, "s", 10));
        for (int i = 0; i < 13; i++) {
            uint64_t seq = next_seq(&counter);
            assert_true(seq > last && seq < shelf.kept);
            last = seq;
        }
    }
    assert_int_equal(shelf.writes, 10);
}

static void without_storage_no_number_is_given_out(void **state)
{
    struct shelf shelf = {.broken = true};
    const struct bst_sqn_host host = {&shelf, shelf_load, shelf_keep};
    struct bst_sqn_counter counter;
    uint8_t sqn[BST_SQN_BYTES];
    assert_ok(bst_sqn_open(&counter, &host, "s", 10));
    assert_err(bst_sqn_next(&counter, sqn), BST_E_DISK_FULL);
    shelf.broken = false;
    assert_int_equal(next_seq(&counter), 1);
    shelf.kept = BST_SQN_SEQ_MAX;
    assert_ok(bst_sqn_open(&counter, &host, "s", 10));
    assert_true(next_seq(&counter) == BST_SQN_SEQ_MAX);
    assert_err(bst_sqn_next(&counter, sqn), BST_E_LIMIT);
    shelf.kept = UINT64_MAX;
    assert_err(bst_sqn_open(&counter, &host, "s", 10), BST_E_CORRUPT);
}

static void resynchronisation_moves_only_when_needed(void **state)
{
    struct shelf shelf = {.kept = 100};
    const struct bst_sqn_host host = {&shelf, shelf_load, shelf_keep};
    struct bst_sqn_counter counter;
    uint8_t sqn_ms[BST_SQN_BYTES];
    assert_ok(bst_sqn_open(&counter, &host, "s", 10));
    bst_sqn_write(50, 3, sqn_ms);
    assert_ok(bst_sqn_resync(&counter, sqn_ms));
    assert_int_equal(next_seq(&counter), 100); /* would be accepted anyway */
    bst_sqn_write(5000, 3, sqn_ms);
    assert_ok(bst_sqn_resync(&counter, sqn_ms));
    assert_int_equal(shelf.kept, 5011);
    assert_int_equal(next_seq(&counter), 5001);
    shelf.kept = BST_SQN_DELTA * 4; /* the device would take it for a jump */
    assert_ok(bst_sqn_open(&counter, &host, "s", 10));
    assert_ok(bst_sqn_resync(&counter, sqn_ms));
    assert_int_equal(next_seq(&counter), 5001);
    bst_sqn_write(BST_SQN_SEQ_MAX, 0, sqn_ms);
    assert_err(bst_sqn_resync(&counter, sqn_ms), BST_E_LIMIT);
}

static bool fresh(const struct bst_sqn_array *array, uint64_t seq, unsigned ind)
{
    uint8_t sqn[BST_SQN_BYTES];
    bst_sqn_write(seq, ind, sqn);
    return bst_sqn_fresh(array, sqn);
}

static void a_device_takes_each_number_once_in_each_slot(void **state)
{
    struct bst_sqn_array array = {0};
    uint8_t sqn[BST_SQN_BYTES];
    assert_false(fresh(&array, 0, 0));
    assert_true(fresh(&array, 1, 0));
    bst_sqn_write(100, 4, sqn);
    bst_sqn_accept(&array, sqn);
    assert_false(fresh(&array, 100, 4));
    assert_false(fresh(&array, 99, 4));
    assert_true(fresh(&array, 99, 5)); /* overtaken on the way, another slot */
    assert_true(fresh(&array, 100 + BST_SQN_DELTA, 4));
    assert_false(fresh(&array, 101 + BST_SQN_DELTA, 4));
    bst_sqn_highest(&array, sqn);
    assert_hex(sqn, 6, "000000000c84");
}

/* ---- both sides ---- */

struct world {
    struct test_host host;
    struct bst_se *se;
    bst_key key;
    struct shelf shelf;
    struct bst_sqn_host home;
    struct bst_usim_host device;
    struct bst_sqn_counter counter;
    struct bst_usim usim;
};

static bst_result usim_load(void *ctx, struct bst_sqn_array *ret)
{
    *ret = ((struct shelf *)ctx)->accepted;
    return BST_OK;
}

static bst_result usim_keep(void *ctx, const struct bst_sqn_array *array)
{
    struct shelf *shelf = ctx;
    BST_ENSURE(!shelf->broken, BST_E_DISK_FULL);
    shelf->accepted = *array;
    return BST_OK;
}

static struct world *world_new(const struct bst_aka_algorithm *algorithm)
{
    struct world *w = calloc(1, sizeof *w);
    struct bst_aka_keys keys = algorithm->usual;
    memset(keys.k, 0x4b, keys.k_bytes);
    memset(keys.opc, 0x0c, algorithm->op_bytes);
    test_host_init(&w->host);
    assert_ok(bst_se_open(&w->host.host, "se:soft?dir=home", &w->se));
    assert_ok(bst_aka_subscribe(w->se, SUPI, &keys, true, &w->key));
    w->home = (struct bst_sqn_host){&w->shelf, shelf_load, shelf_keep};
    w->device = (struct bst_usim_host){&w->shelf, usim_load, usim_keep};
    assert_ok(bst_sqn_open(&w->counter, &w->home, SUPI, 0));
    assert_ok(bst_usim_open(&w->usim, w->se, w->key, &w->device));
    return w;
}

static int setup(void **state)
{
    *state = world_new(&bst_aka_milenage);
    return 0;
}

static void world_free(struct world *w)
{
    bst_se_close(&w->se);
    test_host_clear(&w->host);
    free(w);
}

static int teardown(void **state)
{
    world_free(*state);
    return 0;
}

static struct bst_aka_challenge next_challenge(struct world *w)
{
    static uint8_t count;
    struct bst_aka_challenge challenge = {.rand = {++count}, .amf = {0x80, 0}, .sn_name = SN};
    assert_ok(bst_sqn_next(&w->counter, challenge.sqn));
    return challenge;
}

static void both_sides_agree_with_every_algorithm(void **state)
{
    static const struct bst_aka_algorithm *const all[] = {&bst_aka_milenage, &bst_aka_tuak,
                                                          &bst_aka_milenage256};
    for (size_t i = 0; i < 3; i++) {
        struct world *w = world_new(all[i]);
        for (int n = 0; n < 40; n++) {
            struct bst_aka_challenge challenge = next_challenge(w);
            struct bst_aka_vector v;
            struct bst_aka_vector_eap e;
            struct bst_usim_answer a;
            uint8_t hres[16];
            assert_ok(bst_aka_vector_5g(w->se, w->key, &challenge, &v));
            assert_ok(bst_aka_vector_prime(w->se, w->key, &challenge, &e));
            assert_ok(bst_usim_answer(&w->usim, v.rand, v.autn, SN, &a));
            assert_int_equal(a.verdict, BST_USIM_OK);
            assert_memory_equal(a.res_star, v.xres_star, 16);
            assert_memory_equal(a.kausf, v.kausf, 32);
            assert_ok(bst_5g_hres_star(v.rand, a.res_star, hres));
            assert_memory_equal(hres, v.hxres_star, 16);
            assert_ok(bst_aka_check_hres_star(v.rand, v.hxres_star, a.res_star));
            assert_ok(bst_aka_check_res_star(v.xres_star, a.res_star));
            a.res_star[n % 16] ^= 1;
            assert_err(bst_aka_check_hres_star(v.rand, v.hxres_star, a.res_star), BST_E_BAD_MAC);
            assert_err(bst_aka_check_res_star(v.xres_star, a.res_star), BST_E_BAD_MAC);
            assert_int_equal(a.res_bytes, e.xres_bytes);
            assert_memory_equal(a.res, e.xres, e.xres_bytes);
            assert_memory_equal(a.ck_prime, e.ck_prime, 16);
            assert_memory_equal(a.ik_prime, e.ik_prime, 16);
        }
        world_free(w);
    }
}

static void many_vectors_at_once_are_those_made_one_by_one(void **state)
{
    static const struct bst_aka_algorithm *const all[] = {&bst_aka_milenage, &bst_aka_tuak,
                                                          &bst_aka_milenage256};
    static struct bst_aka_challenge challenges[70];
    static struct bst_aka_vector many[70], open[70], one;
    for (size_t i = 0; i < 3; i++) {
        struct world *w = world_new(all[i]);
        struct bst_aka_keys keys = all[i]->usual;
        bst_auto(aka_ready) ready = {0};
        memset(keys.k, 0x4b, keys.k_bytes);
        memset(keys.opc, 0x0c, all[i]->op_bytes);
        challenges[0] = (struct bst_aka_challenge){.amf = {0x80, 1}, .sn_name = SN};
        assert_ok(bst_aka_challenges(&w->counter, challenges, 70));
        assert_ok(bst_aka_vectors_5g(w->se, w->key, challenges, 70, many));
        assert_ok(bst_aka_ready_init(&ready, &keys));
        assert_ok(bst_aka_ready_vectors(&ready, challenges, 70, open));
        assert_memory_equal(many, open, sizeof many);
        for (size_t n = 0; n < 70; n++) {
            struct bst_usim_answer a;
            assert_ok(bst_aka_vector_5g(w->se, w->key, &challenges[n], &one));
            assert_memory_equal(&one, &many[n], sizeof one);
            assert_ok(bst_usim_answer(&w->usim, one.rand, one.autn, SN, &a));
            assert_int_equal(a.verdict, BST_USIM_OK);
            for (size_t other = 0; other < n; other++) {
                assert_memory_not_equal(challenges[other].rand, challenges[n].rand, 16);
            }
        }
        world_free(w);
    }
}

static void one_bad_challenge_spoils_the_batch(void **state)
{
    struct world *w = *state;
    static const struct bst_aka_vector none[40];
    struct bst_aka_challenge challenges[40];
    struct bst_aka_vector v[40];
    challenges[0] = (struct bst_aka_challenge){.amf = {0x80}, .sn_name = SN};
    assert_ok(bst_aka_challenges(&w->counter, challenges, 40));
    challenges[33].amf[0] = 0;
    memset(v, 0x55, sizeof v);
    assert_err(bst_aka_vectors_5g(w->se, w->key, challenges, 40, v), BST_E_VALUE);
    assert_memory_equal(v, none, sizeof v);
    challenges[33].amf[0] = 0x80;
    challenges[5].sn_name = BST_VIEW("5G:mnc01.mcc001.3gppnetwork.org");
    assert_err(bst_aka_vectors_5g(w->se, w->key, challenges, 40, v), BST_E_VALUE);
    w->shelf.broken = true; /* no numbers, no challenges */
    w->counter.reserved = w->counter.next;
    assert_err(bst_aka_challenges(&w->counter, challenges, 40), BST_E_DISK_FULL);
    assert_ok(bst_aka_vectors_5g(w->se, w->key, challenges, 0, v));
}

static void without_memory_no_vector_comes_out(void **state)
{
    struct world *w = *state;
    static const struct bst_aka_vector none[3];
    struct bst_aka_challenge challenges[3] = {{.amf = {0x80}, .sn_name = SN}};
    struct bst_aka_vector v[3];
    assert_ok(bst_aka_challenges(&w->counter, challenges, 3));
    bst_result r = {BST_E_NOMEM};
    for (long n = 1; bst_failed(r); n++) {
        bst_alloc_fail_at(n);
        r = bst_aka_vectors_5g(w->se, w->key, challenges, 3, v);
        bst_alloc_fail_at(0);
        assert_true(!bst_failed(r) || memcmp(v, none, sizeof v) == 0);
        assert_true(n < 1000);
    }
}

static void lengths_that_the_tokens_have_no_room_for_are_refused(void **state)
{
    struct bst_aka_keys keys = bst_aka_tuak.usual;
    struct bst_aka_ready ready = {0};
    keys.mac_bytes = 16;
    assert_err(bst_aka_ready_init(&ready, &keys), BST_E_VALUE);
    keys = bst_aka_tuak.usual;
    keys.k_bytes = 24;
    assert_err(bst_aka_ready_init(&ready, &keys), BST_E_VALUE);
    assert_null(ready.kdf.inner);
}

static void another_serving_network_gives_other_keys(void **state)
{
    struct world *w = *state;
    struct bst_aka_challenge challenge = next_challenge(w);
    struct bst_aka_vector v;
    struct bst_usim_answer a;
    assert_ok(bst_aka_vector_5g(w->se, w->key, &challenge, &v));
    assert_ok(bst_usim_answer(&w->usim, v.rand, v.autn,
                              BST_VIEW("5G:mnc002.mcc001.3gppnetwork.org"), &a));
    assert_int_equal(a.verdict, BST_USIM_OK);
    assert_memory_not_equal(a.res_star, v.xres_star, 16);
    assert_memory_not_equal(a.kausf, v.kausf, 32);
}

static void a_changed_challenge_gives_no_answer(void **state)
{
    struct world *w = *state;
    struct bst_aka_challenge challenge = next_challenge(w);
    struct bst_aka_vector v;
    static const struct bst_usim_answer none = {.verdict = BST_USIM_MAC_FAILURE};
    assert_ok(bst_aka_vector_5g(w->se, w->key, &challenge, &v));
    for (int bit = 0; bit < 256; bit++) {
        uint8_t both[32];
        struct bst_usim_answer a;
        memcpy(both, v.rand, 16);
        memcpy(both + 16, v.autn, 16);
        both[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_ok(bst_usim_answer(&w->usim, both, both + 16, SN, &a));
        assert_memory_equal(&a, &none, sizeof a);
    }
}

static void a_vector_for_another_system_is_refused(void **state)
{
    struct world *w = *state;
    struct bst_aka_challenge challenge = next_challenge(w);
    struct bst_aka_vector v;
    challenge.amf[0] = 0;
    assert_err(bst_aka_vector_5g(w->se, w->key, &challenge, &v), BST_E_VALUE);
    /* An authentic AUTN without the bit: made by the functions themselves. */
    struct bst_aka_keys keys = bst_aka_milenage.usual;
    struct bst_aka_in in = {.rand = {9}, .sqn = {0, 0, 0, 0, 9, 0}};
    struct bst_aka_out out;
    struct bst_usim_answer a;
    uint8_t autn[16] = {0};
    memset(keys.k, 0x4b, 16);
    memset(keys.opc, 0x0c, 16);
    assert_ok(bst_aka_run(&keys, &in, BST_AKA_F1 | BST_AKA_F2345, &out));
    for (int i = 0; i < 6; i++) {
        autn[i] = in.sqn[i] ^ out.ak[i];
    }
    memcpy(autn + 8, out.mac_a, 8);
    assert_ok(bst_usim_answer(&w->usim, in.rand, autn, SN, &a));
    assert_int_equal(a.verdict, BST_USIM_NOT_5G);
    assert_int_equal(w->shelf.accepted.seq[0], 0);
}

static void a_replay_is_answered_by_auts_and_the_home_network_goes_on(void **state)
{
    struct world *w = *state;
    struct bst_aka_challenge challenge = next_challenge(w);
    struct bst_aka_vector v;
    struct bst_usim_answer a;
    uint8_t sqn_ms[6];
    bst_sqn_write(7000, 0, challenge.sqn); /* the device is far ahead of the home network */
    assert_ok(bst_aka_vector_5g(w->se, w->key, &challenge, &v));
    assert_ok(bst_usim_answer(&w->usim, v.rand, v.autn, SN, &a));
    assert_int_equal(a.verdict, BST_USIM_OK);
    assert_ok(bst_usim_answer(&w->usim, v.rand, v.autn, SN, &a));
    assert_int_equal(a.verdict, BST_USIM_SYNC_FAILURE);
    for (int i = 0; i < 16; i++) {
        assert_int_equal(a.res_star[i] | a.kausf[i] | a.res[i], 0);
    }
    for (int bit = 0; bit < 112; bit += 5) {
        uint8_t auts[14];
        memcpy(auts, a.auts, sizeof auts);
        auts[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_err(bst_aka_auts(w->se, w->key, v.rand, auts, sqn_ms), BST_E_BAD_MAC);
    }
    assert_ok(bst_aka_auts(w->se, w->key, v.rand, a.auts, sqn_ms));
    assert_memory_equal(sqn_ms, challenge.sqn, 6);
    assert_ok(bst_sqn_resync(&w->counter, sqn_ms));
    challenge = next_challenge(w);
    assert_ok(bst_aka_vector_5g(w->se, w->key, &challenge, &v));
    assert_ok(bst_usim_answer(&w->usim, v.rand, v.autn, SN, &a));
    assert_int_equal(a.verdict, BST_USIM_OK);
}

static void no_answer_comes_out_before_its_number_is_kept(void **state)
{
    struct world *w = *state;
    struct bst_aka_challenge challenge = next_challenge(w);
    struct bst_aka_vector v;
    struct bst_usim_answer a;
    assert_ok(bst_aka_vector_5g(w->se, w->key, &challenge, &v));
    w->shelf.broken = true;
    assert_err(bst_usim_answer(&w->usim, v.rand, v.autn, SN, &a), BST_E_DISK_FULL);
    w->shelf.broken = false;
    assert_ok(bst_usim_answer(&w->usim, v.rand, v.autn, SN, &a));
    assert_int_equal(a.verdict, BST_USIM_OK);
}

static void subscriber_keys_serve_their_routines_only(void **state)
{
    struct world *w = *state;
    struct bst_aka_keys keys = bst_aka_milenage.usual;
    bst_auto(secret) out = {0};
    bst_key key;
    uint8_t mac[32];
    assert_err(bst_aka_subscribe(w->se, SUPI, &keys, true, &key), BST_E_EXISTS);
    assert_err(bst_aka_subscriber(w->se, "imsi-001019999999999", &key), BST_E_NOT_FOUND);
    assert_ok(bst_aka_subscriber(w->se, SUPI, &key));
    assert_err(bst_se_release_psk(w->se, key, "test", &out), BST_E_SE_USAGE);
    assert_err(bst_se_mac(w->se, key, NULL, 0, mac), BST_E_SE_USAGE);
    keys = bst_aka_tuak.usual;
    keys.mac_bytes = 16; /* no room for it in AUTN */
    assert_err(bst_aka_subscribe(w->se, "imsi-001010000000002", &keys, true, &key), BST_E_VALUE);
}

/* ---- key files ---- */

#define K "\"k\":\"465b5ce8b199b49faa5f0a2ee238a6bc\""
#define OPC "\"opc\":\"cd63cb71954a9f4e48a5994e37a02baf\""

static void key_files_give_opc_or_op(void **state)
{
    struct bst_aka_keys a, b;
    assert_ok(bst_aka_keyfile_parse(BST_VIEW("{\"algorithm\":\"milenage\"," K "," OPC "}"), &a));
    assert_ok(bst_aka_keyfile_parse(
        BST_VIEW("{\"algorithm\":\"milenage\"," K ",\"op\":\"cdc202d5123e20f62b6d676ac72cb318\"}"),
        &b));
    assert_memory_equal(&a, &b, sizeof a);
}

static void malformed_key_files_are_refused(void **state)
{
    static const char *const files[] = {
        "",
        "[]",
        "7",
        "{}",
        "{\"algorithm\":\"des\"," K "," OPC "}",
        "{\"algorithm\":\"milenage\"," K "}",
        "{\"algorithm\":\"milenage\"," OPC "}",
        "{\"algorithm\":7," K "," OPC "}",
        "{\"algorithm\":\"milenage\",\"k\":\"46\"," OPC "}",
        "{\"algorithm\":\"milenage\",\"k\":\"465b5ce8b199b49faa5f0a2ee238a6b\"," OPC "}",
        "{\"algorithm\":\"milenage\",\"k\":7," OPC "}",
        "{\"algorithm\":\"milenage\"," K ",\"opc\":\"00\"}",
        "{\"algorithm\":\"milenage\"," K "," OPC ",\"op\":\"cdc202d5123e20f62b6d676ac72cb318\"}",
        "{\"algorithm\":\"milenage\"," K "," OPC ",\"iterations\":1}",
        "{\"algorithm\":\"milenage\"," K "," OPC ",\"res_bytes\":-1}",
        "{\"algorithm\":\"milenage\"," K "," OPC ",\"res_bytes\":99999}",
        "{\"algorithm\":\"milenage\"," K "," OPC ",\"sqn\":\"00\"}",
        "{\"algorithm\":\"tuak\"," K "," OPC "}",
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct bst_aka_keys keys;
        if (!bst_failed(bst_aka_keyfile_parse(bst_view(files[i]), &keys))) {
            fail_msg("accepted: %s", files[i]);
        }
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eap_aka_prime_gives_the_published_keys),
        cmocka_unit_test(each_derivation_has_its_own_code_and_checks_lengths),
        cmocka_unit_test(serving_network_names_have_three_digits_of_mnc),
        cmocka_unit_test(keccak_permutes_zero_as_published),
        cmocka_unit_test(lengths_that_an_algorithm_does_not_have_are_refused),
        cmocka_unit_test(packed_keys_come_back_and_damaged_ones_do_not),
        cmocka_unit_test(numbers_are_reserved_in_blocks_and_never_used_twice),
        cmocka_unit_test(without_storage_no_number_is_given_out),
        cmocka_unit_test(resynchronisation_moves_only_when_needed),
        cmocka_unit_test(a_device_takes_each_number_once_in_each_slot),
        cmocka_unit_test(both_sides_agree_with_every_algorithm),
        cmocka_unit_test(many_vectors_at_once_are_those_made_one_by_one),
        CASE(one_bad_challenge_spoils_the_batch),
        CASE(without_memory_no_vector_comes_out),
        cmocka_unit_test(lengths_that_the_tokens_have_no_room_for_are_refused),
        CASE(another_serving_network_gives_other_keys),
        CASE(a_changed_challenge_gives_no_answer),
        CASE(a_vector_for_another_system_is_refused),
        CASE(a_replay_is_answered_by_auts_and_the_home_network_goes_on),
        CASE(no_answer_comes_out_before_its_number_is_kept),
        CASE(subscriber_keys_serve_their_routines_only),
        cmocka_unit_test(key_files_give_opc_or_op),
        cmocka_unit_test(malformed_key_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

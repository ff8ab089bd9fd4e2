/* A bearer from KgNB to the end of its COUNTs, and the decisions about protection. */
#include "consumer.h"

struct heap {
    unsigned n;
    uint32_t last_count;
    char last[64];
    size_t last_len;
};

static void deliver(void *ctx, uint32_t count, struct bst_view sdu)
{
    struct heap *heap = (struct heap *)ctx;
    heap->n++;
    heap->last_count = count;
    must(sdu.len <= sizeof heap->last, "length of the SDU");
    memcpy(heap->last, sdu.ptr, sdu.len);
    heap->last_len = sdu.len;
}

static struct bst_core5g_pdcp_keys *keys_of(const char *nea, const char *nia, uint8_t first)
{
    struct bst_core5g_pdcp_keys *keys = NULL;
    struct bst_core5g_suite suite = {nea, nia, false, 0};
    uint8_t kgnb[32] = {0};
    kgnb[0] = first;
    OK(bst_core5g_pdcp_keys_derive(&suite, BST_CORE5G_DRB, octets(kgnb, 32), &keys));
    return keys;
}

static struct bst_core5g_rx_setup setup_of(const struct bst_core5g_bearer *bearer, uint32_t first,
                                           struct heap *heap)
{
    struct bst_core5g_rx_setup setup;
    memset(&setup, 0, sizeof setup);
    setup.bearer = *bearer;
    setup.first_count = first;
    setup.t_reordering_us = 1000;
    setup.deliver = deliver;
    setup.ctx = heap;
    return setup;
}

static const struct bst_core5g_bearer drb = {BST_CORE5G_DRB, 5, 12, 0, true, true, true};

static void a_bearer(const char *nea, const char *nia)
{
    struct bst_core5g_pdcp_keys *one = keys_of(nea, nia, 1), *two = keys_of(nea, nia, 1);
    struct bst_core5g_tx *tx = NULL;
    struct bst_core5g_rx *rx = NULL;
    struct bst_core5g_rx_state state;
    struct heap heap;
    struct bst_view pdu;
    uint8_t copy[64], late[64];
    size_t late_len;
    memset(&heap, 0, sizeof heap);
    struct bst_core5g_rx_setup setup = setup_of(&drb, 0, &heap);
    OK(bst_core5g_tx_open(&drb, one, 0, &tx));
    OK(bst_core5g_rx_open(&setup, two, &rx));
    OK(bst_core5g_send(tx, text("first"), &pdu));
    memcpy(copy, pdu.ptr, pdu.len);
    must(pdu.len == 2 + 5 + 4, "header, SDU, MAC-I");
    copy[3] ^= 1;
    FAILS(bst_core5g_receive(rx, 0, octets(copy, pdu.len)), BST_E_BAD_MAC);
    copy[3] ^= 1;
    OK(bst_core5g_receive(rx, 0, octets(copy, pdu.len)));
    must(heap.n == 1 && heap.last_len == 5 && memcmp(heap.last, "first", 5) == 0, nea);
    FAILS(bst_core5g_receive(rx, 0, octets(copy, pdu.len)), BST_E_REPLAY);
    OK(bst_core5g_send(tx, text("late"), &pdu));
    memcpy(late, pdu.ptr, late_len = pdu.len);
    OK(bst_core5g_send(tx, text("third"), &pdu));
    OK(bst_core5g_receive(rx, 10, pdu));
    bst_core5g_rx_state(rx, &state);
    must(heap.n == 1 && state.waiting && state.expires_us == 1010 && state.next_count == 3,
         "waits");
    must(state.forged == 1 && state.replayed == 1 && !state.refresh_due, "counted");
    bst_core5g_rx_tick(rx, 1010);
    must(heap.n == 2 && heap.last_count == 2, "given up");
    FAILS(bst_core5g_receive(rx, 1020, octets(late, late_len)), BST_E_REPLAY);
    FAILS(bst_core5g_receive(rx, 1020, octets(late, 1)), BST_E_TRUNCATED);
    bst_core5g_tx_close(&tx);
    bst_core5g_rx_close(&rx);
    bst_core5g_pdcp_keys_free(&one);
    bst_core5g_pdcp_keys_free(&two);
}

static void the_end_of_a_key(void)
{
    struct bst_core5g_pdcp_keys *old_keys = keys_of("NEA2", "NIA2", 1);
    struct bst_core5g_pdcp_keys *again = keys_of("NEA2", "NIA2", 1);
    struct bst_core5g_pdcp_keys *fresh = keys_of("NEA2", "NIA2", 2);
    struct bst_core5g_tx *tx = NULL;
    struct bst_core5g_rx *rx = NULL;
    struct heap heap;
    struct bst_view pdu;
    memset(&heap, 0, sizeof heap);
    struct bst_core5g_rx_setup setup = setup_of(&drb, 0xffffffffu, &heap);
    OK(bst_core5g_tx_open(&drb, old_keys, 0xfffffffeu, &tx));
    OK(bst_core5g_rx_open(&setup, fresh, &rx));
    must(bst_core5g_tx_refresh_due(tx, 0) && !bst_core5g_tx_refresh_due(tx, 1), "in time");
    OK(bst_core5g_send(tx, text("last but one"), &pdu));
    OK(bst_core5g_send(tx, text("last"), &pdu));
    must(bst_core5g_tx_count(tx) == UINT64_C(1) << 32, "COUNT");
    FAILS(bst_core5g_send(tx, text("wrapped"), &pdu), BST_E_LIMIT);
    FAILS(bst_core5g_tx_reestablish(tx, again, false), BST_E_BAD_KEY);
    OK(bst_core5g_tx_reestablish(tx, fresh, false));
    FAILS(bst_core5g_rx_reestablish(rx, fresh, false), BST_E_BAD_KEY);
    OK(bst_core5g_rx_reestablish(rx, again, false));
    OK(bst_core5g_rx_reestablish(rx, fresh, false));
    OK(bst_core5g_send(tx, text("goes on"), &pdu));
    OK(bst_core5g_receive(rx, 0, pdu));
    must(heap.n == 1 && heap.last_count == 0 && bst_core5g_tx_count(tx) == 1, "COUNT begins anew");
    bst_core5g_tx_close(&tx);
    bst_core5g_rx_close(&rx);
    bst_core5g_pdcp_keys_free(&old_keys);
    bst_core5g_pdcp_keys_free(&again);
    bst_core5g_pdcp_keys_free(&fresh);
}

static void refused_keys_and_bearers(void)
{
    struct bst_core5g_pdcp_keys *keys = NULL, *good = keys_of("NEA1", "NIA1", 1);
    struct bst_core5g_tx *tx = NULL;
    struct bst_core5g_rx *rx = NULL;
    struct bst_core5g_bearer bearer = drb;
    struct bst_core5g_rx_setup setup = setup_of(&drb, 0, NULL);
    uint8_t kgnb[32] = {0};
    static const struct bst_core5g_suite bad[] = {
        {"NEA9", "NIA2", false, 0}, {"NIA2", "NIA2", false, 0}, {"NEA2", NULL, false, 0},
        {"NCA5", "NIA5", false, 0}, {"NEA0", "NIA0", false, 0}, {"NEA2", "NIA2", false, 8},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        FAILS(bst_core5g_pdcp_keys_derive(&bad[i], BST_CORE5G_SRB, octets(kgnb, 32), &keys),
              BST_E_VALUE);
    }
    const struct bst_core5g_suite suite = {"NEA2", "NIA2", false, 0};
    FAILS(bst_core5g_pdcp_keys_derive(&suite, BST_CORE5G_SRB, octets(kgnb, 31), &keys),
          BST_E_VALUE);
    FAILS(bst_core5g_pdcp_keys_derive(NULL, BST_CORE5G_SRB, octets(kgnb, 32), &keys), BST_E_USAGE);
    FAILS(bst_core5g_pdcp_keys_new(&suite, octets(kgnb, 15), octets(kgnb, 16), &keys),
          BST_E_BAD_KEY);
    FAILS(bst_core5g_pdcp_keys_inside(NULL, "x", &suite, BST_CORE5G_SRB, &keys), BST_E_USAGE);
    must(keys == NULL, "no keys");
    bearer.sn_bits = 13;
    FAILS(bst_core5g_tx_open(&bearer, good, 0, &tx), BST_E_VALUE);
    FAILS(bst_core5g_tx_open(&drb, NULL, 0, &tx), BST_E_USAGE);
    setup.deliver = NULL;
    FAILS(bst_core5g_rx_open(&setup, good, &rx), BST_E_USAGE);
    setup = setup_of(&bearer, 0, NULL);
    FAILS(bst_core5g_rx_open(&setup, good, &rx), BST_E_VALUE);
    bst_core5g_tx_close(&tx);
    bst_core5g_rx_close(&rx);
    bst_core5g_rx_close(NULL);
    bst_core5g_pdcp_keys_free(&good);
}

static void policies(void)
{
    struct bst_core5g_up_case in = {
        BST_CORE5G_REQUIRED, BST_CORE5G_PREFERRED, true, true, 64000, 100000, "NEA2", "NIA2"};
    struct bst_core5g_up_decision decision;
    OK(bst_core5g_up_decide(&in, &decision));
    must(decision.confidentiality && !decision.integrity && !decision.cause, "too fast, preferred");
    struct bst_core5g_up_case smf = in;
    smf.integrity = BST_CORE5G_REQUIRED;
    must(bst_core5g_up_path_switch(&smf, &in) && in.integrity == BST_CORE5G_REQUIRED, "SMF's");
    must(!bst_core5g_up_path_switch(&smf, &in), "the same now");
    OK(bst_core5g_up_decide(&in, &decision));
    must(decision.cause && !decision.confidentiality && !decision.integrity,
         "refused with a cause");
    in.nea = "NEA0";
    in.integrity = BST_CORE5G_NOT_NEEDED;
    OK(bst_core5g_up_decide(&in, &decision));
    must(decision.cause && strstr(decision.cause, "confidentiality"), "NEA0 hides nothing");
    in.nea = "NIA2";
    FAILS(bst_core5g_up_decide(&in, &decision), BST_E_VALUE);
    in.nea = NULL;
    FAILS(bst_core5g_up_decide(&in, &decision), BST_E_USAGE);
}

static void choices(void)
{
    static const uint8_t list[] = {2, 1, 3};
    const struct bst_core5g_capability sent = {0x07, 0x07}, heard = {0x01, 0x07}, weak = {1, 1};
    struct bst_core5g_choice choice;
    OK(bst_core5g_choose(octets(list, 3), octets(list, 3), &sent, false, &choice));
    must(choice.nea == 2 && choice.nia == 2, "the first in common");
    OK(bst_core5g_check_choice(&sent, &sent, &choice, false));
    FAILS(bst_core5g_check_choice(&sent, &heard, &choice, false), BST_E_DENIED);
    FAILS(bst_core5g_choose(octets(list, 3), octets(list, 3), &weak, false, &choice), BST_E_DENIED);
    OK(bst_core5g_choose(octets(list, 3), octets(list, 3), &weak, true, &choice));
    must(choice.nea == 0 && choice.nia == 0, "an emergency");
    FAILS(bst_core5g_check_choice(&sent, &sent, &choice, false), BST_E_DENIED);
}

void check_pdcp(void)
{
    a_bearer("NEA2", "NIA2");
    a_bearer("NEA1", "NIA3");
    a_bearer("NCA5", NULL);
    the_end_of_a_key();
    refused_keys_and_bearers();
    policies();
    choices();
}

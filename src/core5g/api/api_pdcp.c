/* PDCP bearers and policies of the installed library. */
#include "core5g/api/api_priv.h"
#include "core5g/pdcp/pdcp.h"
#include "core5g/pdcp/policy.h"

_Static_assert((int)BST_CORE5G_SRB == (int)BST_PDCP_SRB && (int)BST_CORE5G_DRB == (int)BST_PDCP_DRB,
               "planes have the same numbers");
_Static_assert((int)BST_CORE5G_NOT_NEEDED == (int)BST_UP_NOT_NEEDED &&
                   (int)BST_CORE5G_REQUIRED == (int)BST_UP_REQUIRED,
               "policies have the same order");
_Static_assert(BST_CORE5G_SDU_MAX == BST_PDCP_SDU_MAX && BST_CORE5G_RB_MAX == BST_PDCP_RB_MAX,
               "limits are the same");

/* ---- keys ---- */

struct bst_core5g_pdcp_keys {
    struct bst_pdcp_keys keys;
};

static bst_result find_number(const char *name, enum bst_air_kind kind, uint8_t *ret)
{
    static const char *const kinds[] = {"NEA0 to NEA6", "NIA0 to NIA6", "NCA4 to NCA6"};
    const struct bst_air_algorithm *row = bst_air_named(bst_view(name));
    if (!row || row->kind != kind) {
        BST_FAIL(BST_E_VALUE, "'%s' is none of %s", name ? name : "", kinds[kind]);
    }
    *ret = row->id;
    return BST_OK;
}

static bst_result read_suite(const struct bst_core5g_suite *suite, struct bst_pdcp_suite *ret)
{
    BST_ENSURE(suite && suite->ciphering, BST_E_USAGE);
    *ret = (struct bst_pdcp_suite){
        .combined = suite->integrity == NULL,
        .emergency = suite->emergency,
        .mac_bytes = suite->mac_bytes,
    };
    BST_TRY(
        find_number(suite->ciphering, ret->combined ? BST_AIR_NCA : BST_AIR_NEA, &ret->ciphering));
    return ret->combined ? BST_OK : find_number(suite->integrity, BST_AIR_NIA, &ret->integrity);
}

/* What every way to keys begins with; the caller fills `keys` and hands it over. */
static bst_result begin_keys(const struct bst_core5g_suite *suite, struct bst_pdcp_suite *ret_suite,
                             struct bst_core5g_pdcp_keys **ret)
{
    BST_TRY(read_suite(suite, ret_suite));
    *ret = bst_alloc(sizeof **ret);
    BST_ENSURE(*ret, BST_E_NOMEM);
    return BST_OK;
}

static bst_result check_plane(enum bst_core5g_plane plane)
{
    BST_ENSURE(plane == BST_CORE5G_SRB || plane == BST_CORE5G_DRB, BST_E_USAGE);
    return BST_OK;
}

bst_result bst_core5g_pdcp_keys_derive(const struct bst_core5g_suite *suite,
                                       enum bst_core5g_plane plane, struct bst_view kgnb,
                                       struct bst_core5g_pdcp_keys **ret)
{
    struct bst_pdcp_suite inside;
    bst_auto_free struct bst_core5g_pdcp_keys *made = NULL;
    BST_ENSURE(ret && (kgnb.ptr || kgnb.len == 0), BST_E_USAGE);
    BST_TRY(check_plane(plane));
    BST_TRY(begin_keys(suite, &inside, &made));
    BST_TRY(bst_pdcp_keys_derive(&made->keys, &inside, (enum bst_pdcp_plane)plane, kgnb));
    *ret = bst_steal(&made);
    return BST_OK;
}

bst_result bst_core5g_pdcp_keys_inside(const struct bst_core5g *core, const char *label,
                                       const struct bst_core5g_suite *suite,
                                       enum bst_core5g_plane plane,
                                       struct bst_core5g_pdcp_keys **ret)
{
    struct bst_pdcp_suite inside;
    bst_auto_free struct bst_core5g_pdcp_keys *made = NULL;
    bst_key kgnb = 0;
    BST_ENSURE(core && label && ret, BST_E_USAGE);
    BST_TRY(check_plane(plane));
    BST_TRY(begin_keys(suite, &inside, &made));
    BST_TRY(bst_se_key_find(core->se, label, &kgnb));
    if (!kgnb) {
        BST_FAIL(BST_E_NOT_FOUND, "the secure environment has no key '%s'", label);
    }
    BST_TRY(
        bst_pdcp_keys_derive_se(&made->keys, &inside, (enum bst_pdcp_plane)plane, core->se, kgnb));
    *ret = bst_steal(&made);
    return BST_OK;
}

bst_result bst_core5g_pdcp_keys_new(const struct bst_core5g_suite *suite, struct bst_view ciphering,
                                    struct bst_view integrity, struct bst_core5g_pdcp_keys **ret)
{
    struct bst_pdcp_suite inside;
    bst_auto_free struct bst_core5g_pdcp_keys *made = NULL;
    BST_ENSURE(ret && (ciphering.ptr || ciphering.len == 0) && (integrity.ptr || !integrity.len),
               BST_E_USAGE);
    BST_TRY(begin_keys(suite, &inside, &made));
    BST_TRY(bst_pdcp_keys_init(&made->keys, &inside, ciphering, integrity));
    *ret = bst_steal(&made);
    return BST_OK;
}

void bst_core5g_pdcp_keys_free(struct bst_core5g_pdcp_keys **slot)
{
    struct bst_core5g_pdcp_keys *keys = slot ? bst_steal(slot) : NULL;
    if (keys) {
        bst_pdcp_keys_clear(&keys->keys);
        bst_free(keys);
    }
}

/* ---- transmitting ---- */

struct bst_core5g_tx {
    struct bst_pdcp_tx tx;
    struct bst_buf pdu; /* the last one */
};

static struct bst_pdcp_bearer bearer_of(const struct bst_core5g_bearer *from)
{
    return (struct bst_pdcp_bearer){
        .plane = (enum bst_pdcp_plane)from->plane,
        .rb_id = from->rb_id,
        .sn_bits = from->sn_bits,
        .sdap_bytes = from->sdap_bytes,
        .direction = from->downlink ? BST_AIR_DOWNLINK : BST_AIR_UPLINK,
        .ciphering = from->ciphering,
        .integrity = from->integrity,
    };
}

bst_result bst_core5g_tx_open(const struct bst_core5g_bearer *bearer,
                              struct bst_core5g_pdcp_keys *keys, uint32_t first_count,
                              struct bst_core5g_tx **ret)
{
    BST_ENSURE(bearer && keys && ret, BST_E_USAGE);
    const struct bst_pdcp_bearer inside = bearer_of(bearer);
    bst_auto_free struct bst_core5g_tx *tx = bst_alloc(sizeof *tx);
    BST_ENSURE(tx, BST_E_NOMEM);
    BST_TRY(bst_pdcp_tx_init(&tx->tx, &inside, &keys->keys, first_count));
    *ret = bst_steal(&tx);
    return BST_OK;
}

void bst_core5g_tx_close(struct bst_core5g_tx **slot)
{
    struct bst_core5g_tx *tx = slot ? bst_steal(slot) : NULL;
    if (tx) {
        bst_buf_clear(&tx->pdu);
        bst_free(tx);
    }
}

bst_result bst_core5g_send(struct bst_core5g_tx *tx, struct bst_view sdu, struct bst_view *ret_pdu)
{
    BST_ENSURE(tx && ret_pdu && (sdu.ptr || sdu.len == 0), BST_E_USAGE);
    tx->pdu.len = 0; /* its memory serves again */
    tx->pdu.failed = false;
    BST_TRY(bst_pdcp_send(&tx->tx, sdu, &tx->pdu));
    *ret_pdu = bst_buf_view(&tx->pdu);
    return BST_OK;
}

uint64_t bst_core5g_tx_count(const struct bst_core5g_tx *tx)
{
    return tx->tx.next;
}

bool bst_core5g_tx_refresh_due(const struct bst_core5g_tx *tx, uint32_t left)
{
    struct bst_pdcp_tx asked = tx->tx;
    asked.refresh_left = left ? left : BST_PDCP_REFRESH_LEFT;
    return bst_pdcp_tx_refresh_due(&asked);
}

bst_result bst_core5g_tx_reestablish(struct bst_core5g_tx *tx, struct bst_core5g_pdcp_keys *keys,
                                     bool keep_count)
{
    BST_ENSURE(tx && keys, BST_E_USAGE);
    return bst_pdcp_tx_reestablish(&tx->tx, &keys->keys, keep_count);
}

/* ---- receiving ---- */

struct bst_core5g_rx {
    struct bst_pdcp_rx rx;
};

bst_result bst_core5g_rx_open(const struct bst_core5g_rx_setup *setup,
                              struct bst_core5g_pdcp_keys *keys, struct bst_core5g_rx **ret)
{
    BST_ENSURE(setup && setup->deliver && keys && ret, BST_E_USAGE);
    const struct bst_pdcp_rx_setup inside = {
        .bearer = bearer_of(&setup->bearer),
        .first = setup->first_count,
        .t_reordering_us = setup->t_reordering_us,
        .out_of_order = setup->out_of_order,
        .stored_max_bytes = setup->stored_max_bytes,
        .deliver = setup->deliver,
        .ctx = setup->ctx,
    };
    bst_auto_free struct bst_core5g_rx *rx = bst_alloc(sizeof *rx);
    BST_ENSURE(rx, BST_E_NOMEM);
    BST_TRY(bst_pdcp_rx_init(&rx->rx, &inside, &keys->keys));
    *ret = bst_steal(&rx);
    return BST_OK;
}

void bst_core5g_rx_close(struct bst_core5g_rx **slot)
{
    struct bst_core5g_rx *rx = slot ? bst_steal(slot) : NULL;
    if (rx) {
        bst_pdcp_rx_clear(&rx->rx);
        bst_free(rx);
    }
}

bst_result bst_core5g_receive(struct bst_core5g_rx *rx, int64_t now_us, struct bst_view pdu)
{
    BST_ENSURE(rx && (pdu.ptr || pdu.len == 0), BST_E_USAGE);
    return bst_pdcp_receive(&rx->rx, now_us, pdu);
}

void bst_core5g_rx_tick(struct bst_core5g_rx *rx, int64_t now_us)
{
    bst_pdcp_rx_tick(&rx->rx, now_us);
}

void bst_core5g_rx_state(const struct bst_core5g_rx *rx, struct bst_core5g_rx_state *ret)
{
    *ret = (struct bst_core5g_rx_state){
        .next_count = rx->rx.window.next,
        .refresh_due = bst_pdcp_rx_refresh_due(&rx->rx),
        .waiting = rx->rx.window.running,
        .expires_us = rx->rx.window.running ? rx->rx.window.expires_us : 0,
        .forged = rx->rx.forged,
        .replayed = rx->rx.replayed,
    };
}

bst_result bst_core5g_rx_reestablish(struct bst_core5g_rx *rx, struct bst_core5g_pdcp_keys *keys,
                                     bool keep_count)
{
    BST_ENSURE(rx && keys, BST_E_USAGE);
    return bst_pdcp_rx_reestablish(&rx->rx, &keys->keys, keep_count);
}

/* ---- policies ---- */

static struct bst_up_case case_of(const struct bst_core5g_up_case *from)
{
    return (struct bst_up_case){
        .confidentiality = (enum bst_up_policy)from->confidentiality,
        .integrity = (enum bst_up_policy)from->integrity,
        .ran_confidentiality = from->ran_confidentiality,
        .ran_integrity = from->ran_integrity,
        .device_bps = from->device_bps,
        .session_bps = from->session_bps,
    };
}

bst_result bst_core5g_up_decide(const struct bst_core5g_up_case *in,
                                struct bst_core5g_up_decision *ret)
{
    struct bst_up_decision decision;
    BST_ENSURE(in && in->nea && in->nia && ret, BST_E_USAGE);
    struct bst_up_case inside = case_of(in);
    BST_TRY(find_number(in->nea, BST_AIR_NEA, &inside.ciphering));
    BST_TRY(find_number(in->nia, BST_AIR_NIA, &inside.integrity_algorithm));
    bst_up_decide(&inside, &decision);
    *ret = (struct bst_core5g_up_decision){
        .confidentiality = decision.confidentiality,
        .integrity = decision.integrity,
        .cause = decision.cause == BST_UP_CAUSE_NONE ? NULL : bst_up_cause_name(decision.cause),
    };
    return BST_OK;
}

bool bst_core5g_up_path_switch(const struct bst_core5g_up_case *smf,
                               struct bst_core5g_up_case *target)
{
    const struct bst_up_case from = case_of(smf);
    struct bst_up_case to = case_of(target);
    const bool differs = bst_up_path_switch(&from, &to);
    target->confidentiality = (enum bst_core5g_policy)to.confidentiality;
    target->integrity = (enum bst_core5g_policy)to.integrity;
    return differs;
}

static uint8_t copy_list(struct bst_view from, uint8_t out[8])
{
    const size_t n = from.ptr && from.len ? (from.len < 8 ? from.len : 8) : 0;
    if (n) {
        memcpy(out, from.ptr, n);
    }
    return (uint8_t)n;
}

bst_result bst_core5g_choose(struct bst_view nea, struct bst_view nia,
                             const struct bst_core5g_capability *device, bool emergency,
                             struct bst_core5g_choice *ret)
{
    struct bst_air_priority priority = {0};
    struct bst_air_choice choice;
    BST_ENSURE(device && ret, BST_E_USAGE);
    const struct bst_air_capability has = {device->nea, device->nia};
    priority.n_nea = copy_list(nea, priority.nea);
    priority.n_nia = copy_list(nia, priority.nia);
    BST_TRY(bst_air_choose(&priority, &has, emergency, &choice));
    *ret = (struct bst_core5g_choice){choice.nea, choice.nia};
    return BST_OK;
}

bst_result bst_core5g_check_choice(const struct bst_core5g_capability *sent,
                                   const struct bst_core5g_capability *replayed,
                                   const struct bst_core5g_choice *choice, bool emergency)
{
    BST_ENSURE(sent && replayed && choice, BST_E_USAGE);
    const struct bst_air_capability own = {sent->nea, sent->nia},
                                    heard = {replayed->nea, replayed->nia};
    const struct bst_air_choice chosen = {choice->nea, choice->nia};
    return bst_air_check_choice(&own, &heard, &chosen, emergency);
}

/* Keys of a plane, and one PDU at a time: header, integrity, ciphering. */
#include "core5g/pdcp/pdcp.h"

#include "core5g/kdf/kdf.h"
#include "crypto/digest.h"

#define SN_12 12
#define SN_18 18
#define SRB_MAX 4
#define DATA_PDU 0x80 /* D/C of a DRB's header */

/* ---- keys ---- */

/* TS 33.501 D.1: null integrity is for unauthenticated emergency sessions, where nothing else can
 * be had. */
static bst_result check_null(const struct bst_pdcp_suite *suite)
{
    if (suite->integrity == 0 && !(suite->emergency && suite->ciphering == 0)) {
        BST_FAIL(BST_E_VALUE, "NIA0 is for unauthenticated emergency sessions only, with NEA0");
    }
    return BST_OK;
}

static bst_result key_init(struct bst_air_key *key, enum bst_air_kind kind, uint8_t id,
                           struct bst_view value, unsigned tag_bytes)
{
    const struct bst_air_algorithm *row = bst_air_find(kind, id);
    if (!row) {
        BST_FAIL(BST_E_VALUE, "there is no algorithm %u of this kind", id);
    }
    if (value.len == BST_5G_KEY_BYTES && row->key_bytes < value.len) {
        value = bst_view_from(value, value.len - row->key_bytes);
    }
    if (row->tag_max && tag_bytes > row->tag_max) {
        BST_FAIL(BST_E_VALUE, "%s has no MAC-I of %u octets", row->name, tag_bytes);
    }
    return bst_air_key_init(key, row, value, row->tag_max ? tag_bytes : 0);
}

/* Two sets of keys are the same when algorithms and key octets are. */
static bst_result make_id(struct bst_pdcp_keys *keys, struct bst_view ciphering,
                          struct bst_view integrity)
{
    const uint8_t numbers[] = {keys->suite.ciphering, keys->suite.integrity, keys->suite.combined,
                               (uint8_t)ciphering.len};
    const struct bst_view parts[] = {bst_view_of(numbers, sizeof numbers), ciphering, integrity};
    uint8_t full[BST_SHA256_BYTES];
    BST_TRY(bst_hmac_sha256(BST_VIEW("pdcp keys"), parts, 3, full));
    memcpy(keys->id, full, sizeof keys->id);
    bst_wipe(full, sizeof full);
    return BST_OK;
}

bst_result bst_pdcp_keys_init(struct bst_pdcp_keys *keys, const struct bst_pdcp_suite *suite,
                              struct bst_view ciphering, struct bst_view integrity)
{
    bst_auto(pdcp_keys) made = {.suite = *suite};
    const unsigned mac = suite->mac_bytes ? suite->mac_bytes : BST_PDCP_MAC_BYTES;
    made.suite.mac_bytes = (uint8_t)mac;
    if (suite->combined) {
        made.suite.integrity = suite->ciphering;
        BST_TRY(key_init(&made.ciphering, BST_AIR_NCA, suite->ciphering, ciphering, mac));
    } else {
        BST_TRY(check_null(suite));
        BST_TRY(key_init(&made.ciphering, BST_AIR_NEA, suite->ciphering, ciphering, 0));
        BST_TRY(key_init(&made.integrity, BST_AIR_NIA, suite->integrity, integrity, mac));
    }
    made.experimental = made.ciphering.algorithm->experimental ||
                        (made.integrity.algorithm && made.integrity.algorithm->experimental);
    BST_TRY(make_id(&made, ciphering, integrity));
    *keys = made;
    made = (struct bst_pdcp_keys){0};
    return BST_OK;
}

static bst_result derive_one(struct bst_view kgnb, uint8_t use, uint8_t algorithm,
                             uint8_t out[BST_5G_KEY_BYTES])
{
    const struct bst_view params[] = {bst_view_of(&use, 1), bst_view_of(&algorithm, 1)};
    return bst_5g_derive(BST_5G_ALGORITHM_KEY, kgnb, params, 2, out);
}

bst_result bst_pdcp_keys_derive(struct bst_pdcp_keys *keys, const struct bst_pdcp_suite *suite,
                                enum bst_pdcp_plane plane, struct bst_view kgnb)
{
    uint8_t pair[2][BST_5G_KEY_BYTES];
    const bool signalling = plane == BST_PDCP_SRB;
    bst_result r =
        derive_one(kgnb, signalling ? BST_5G_RRC_ENC : BST_5G_UP_ENC, suite->ciphering, pair[0]);
    if (!bst_failed(r)) {
        r = derive_one(kgnb, signalling ? BST_5G_RRC_INT : BST_5G_UP_INT, suite->integrity,
                       pair[1]);
    }
    if (!bst_failed(r)) {
        r = bst_pdcp_keys_init(keys, suite, bst_view_of(pair[0], sizeof pair[0]),
                               bst_view_of(pair[1], sizeof pair[1]));
    }
    bst_wipe(pair, sizeof pair);
    return r;
}

struct derivation {
    struct bst_pdcp_keys *keys;
    const struct bst_pdcp_suite *suite;
    enum bst_pdcp_plane plane;
};

static bst_result derive_inside(struct bst_view key, void *io)
{
    const struct derivation *d = io;
    return bst_pdcp_keys_derive(d->keys, d->suite, d->plane, key);
}

bst_result bst_pdcp_keys_derive_se(struct bst_pdcp_keys *keys, const struct bst_pdcp_suite *suite,
                                   enum bst_pdcp_plane plane, struct bst_se *se, bst_key kgnb)
{
    static const struct bst_se_routine routine = {"keys of the air interface", derive_inside};
    struct derivation d = {keys, suite, plane};
    return bst_se_run(se, kgnb, &routine, &d);
}

void bst_pdcp_keys_clear(struct bst_pdcp_keys *keys)
{
    bst_air_key_clear(&keys->ciphering);
    bst_air_key_clear(&keys->integrity);
    bst_wipe(keys->id, sizeof keys->id);
}

/* ---- bearers and headers ---- */

static bool shape_good(const struct bst_pdcp_bearer *b)
{
    if ((unsigned)b->direction > BST_AIR_DOWNLINK || b->rb_id == 0) {
        return false;
    }
    if (b->plane == BST_PDCP_SRB) {
        return b->rb_id <= SRB_MAX && b->sn_bits == SN_12 && b->sdap_bytes == 0;
    }
    return b->plane == BST_PDCP_DRB && b->rb_id <= BST_PDCP_RB_MAX &&
           (b->sn_bits == SN_12 || b->sn_bits == SN_18) && b->sdap_bytes <= 1;
}

bst_result bst_pdcp_bearer_check(const struct bst_pdcp_bearer *bearer,
                                 const struct bst_pdcp_keys *keys)
{
    if (!shape_good(bearer)) {
        BST_FAIL(BST_E_VALUE,
                 "bearer %u with %u bits of SN: an SRB is 1 to 4 with 12 bits, a DRB 1 to 32 with "
                 "12 or 18",
                 bearer->rb_id, bearer->sn_bits);
    }
    if (bearer->plane == BST_PDCP_DRB && bearer->integrity && keys->suite.integrity == 0) {
        BST_FAIL(BST_E_VALUE, "NIA0 is not for data radio bearers");
    }
    if (keys->suite.combined && bearer->ciphering && !bearer->integrity) {
        BST_FAIL(BST_E_VALUE, "NCA%u ciphers only together with integrity", keys->suite.ciphering);
    }
    return BST_OK;
}

static size_t header_bytes(const struct bst_pdcp_bearer *bearer)
{
    return bearer->sn_bits == SN_18 ? 3 : 2;
}

static void header_put(const struct bst_pdcp_bearer *bearer, uint32_t count, char *out)
{
    const size_t n = header_bytes(bearer);
    const uint32_t sn = count & ((UINT32_C(1) << bearer->sn_bits) - 1);
    for (size_t i = 0; i < n; i++) {
        out[i] = (char)(uint8_t)(sn >> 8 * (n - 1 - i));
    }
    if (bearer->plane == BST_PDCP_DRB) {
        out[0] = (char)(uint8_t)((uint8_t)out[0] | DATA_PDU);
    }
}

bst_result bst_pdcp_header_parse(const struct bst_pdcp_bearer *bearer, struct bst_view pdu,
                                 struct bst_pdcp_header *ret)
{
    const uint8_t *in = (const uint8_t *)pdu.ptr;
    *ret = (struct bst_pdcp_header){0};
    BST_ENSURE(pdu.len > 0, BST_E_TRUNCATED);
    if (bearer->plane == BST_PDCP_DRB && !(in[0] & DATA_PDU)) {
        ret->control = true;
        return BST_OK;
    }
    ret->bytes = header_bytes(bearer);
    BST_ENSURE(pdu.len >= ret->bytes, BST_E_TRUNCATED);
    for (size_t i = 0; i < ret->bytes; i++) {
        ret->sn = ret->sn << 8 | in[i];
    }
    ret->sn &= (UINT32_C(1) << bearer->sn_bits) - 1; /* reserved bits are not looked at: 6.3.1 */
    return BST_OK;
}

size_t bst_pdcp_mac_bytes(const struct bst_pdcp_bearer *bearer, const struct bst_pdcp_keys *keys)
{
    return bearer->plane == BST_PDCP_SRB || bearer->integrity ? keys->suite.mac_bytes : 0;
}

/* ---- protection ---- */

/* A PDU in place: header, SDAP header, data, MAC-I. */
struct pdu {
    uint8_t *octets;
    size_t clear; /* PDCP and SDAP header */
    size_t data;  /* end of the data part */
    size_t mac_bytes;
};

static bst_result iv_of(const struct bst_air_key *key, const struct bst_pdcp_bearer *bearer,
                        uint32_t count, uint8_t iv[BST_AIR_IV_BYTES])
{
    const struct bst_air_place place = {count, (uint8_t)(bearer->rb_id - 1), bearer->direction};
    return bst_air_iv(key, &place, iv);
}

/* 5.8: the data part without SDAP header, and MAC-I. The same both ways. */
static bst_result cipher(struct bst_pdcp_keys *keys, const struct bst_pdcp_bearer *bearer,
                         uint32_t count, const struct pdu *pdu)
{
    uint8_t iv[BST_AIR_IV_BYTES], *at = pdu->octets + pdu->clear;
    if (!bearer->ciphering) {
        return BST_OK;
    }
    BST_TRY(iv_of(&keys->ciphering, bearer, count, iv));
    return bst_air_cipher(&keys->ciphering, iv, at, (pdu->data - pdu->clear + pdu->mac_bytes) * 8,
                          at);
}

/* With NCA what is not ciphered is authenticated besides: headers, or the whole PDU. */
static size_t aad_bytes(const struct bst_pdcp_bearer *bearer, const struct pdu *pdu)
{
    return bearer->ciphering ? pdu->clear : pdu->data;
}

static bst_result seal_combined(struct bst_pdcp_keys *keys, const struct bst_pdcp_bearer *bearer,
                                uint32_t count, const struct pdu *pdu)
{
    uint8_t iv[BST_AIR_IV_BYTES];
    const size_t aad = aad_bytes(bearer, pdu);
    BST_TRY(iv_of(&keys->ciphering, bearer, count, iv));
    return bst_air_seal(&keys->ciphering, iv, bst_view_of(pdu->octets, aad),
                        bst_view_of(pdu->octets + aad, pdu->data - aad), pdu->octets + aad,
                        pdu->octets + pdu->data);
}

static bst_result protect(struct bst_pdcp_keys *keys, const struct bst_pdcp_bearer *bearer,
                          uint32_t count, const struct pdu *pdu)
{
    uint8_t iv[BST_AIR_IV_BYTES];
    memset(pdu->octets + pdu->data, 0, pdu->mac_bytes);
    if (keys->suite.combined) {
        return bearer->integrity ? seal_combined(keys, bearer, count, pdu) : BST_OK;
    }
    if (bearer->integrity) {
        BST_TRY(iv_of(&keys->integrity, bearer, count, iv));
        BST_TRY(
            bst_air_mac(&keys->integrity, iv, pdu->octets, pdu->data * 8, pdu->octets + pdu->data));
    }
    return cipher(keys, bearer, count, pdu);
}

bst_result bst_pdcp_seal(struct bst_pdcp_keys *keys, const struct bst_pdcp_bearer *bearer,
                         uint32_t count, struct bst_view sdu, struct bst_buf *ret)
{
    const size_t header = header_bytes(bearer), mac = bst_pdcp_mac_bytes(bearer, keys);
    BST_TRY(bst_pdcp_bearer_check(bearer, keys));
    if (sdu.len > BST_PDCP_SDU_MAX) {
        BST_FAIL(BST_E_TOO_LONG, "an SDU of %zu octets; PDCP takes %d", sdu.len, BST_PDCP_SDU_MAX);
    }
    BST_ENSURE(sdu.len >= bearer->sdap_bytes, BST_E_TRUNCATED);
    char *at = bst_buf_reserve(ret, header + sdu.len + mac);
    BST_ENSURE(at, BST_E_NOMEM);
    header_put(bearer, count, at);
    if (sdu.len > 0) {
        memcpy(at + header, sdu.ptr, sdu.len);
    }
    const struct pdu pdu = {(uint8_t *)at, header + bearer->sdap_bytes, header + sdu.len, mac};
    bst_result r = protect(keys, bearer, count, &pdu);
    if (bst_failed(r)) {
        bst_wipe(at, header + sdu.len + mac);
        return r;
    }
    ret->len += header + sdu.len + mac;
    return BST_OK;
}

static bst_result open_combined(struct bst_pdcp_keys *keys, const struct bst_pdcp_bearer *bearer,
                                uint32_t count, const struct pdu *pdu)
{
    uint8_t iv[BST_AIR_IV_BYTES];
    const size_t aad = aad_bytes(bearer, pdu);
    BST_TRY(iv_of(&keys->ciphering, bearer, count, iv));
    return bst_air_open(&keys->ciphering, iv, bst_view_of(pdu->octets, aad),
                        bst_view_of(pdu->octets + aad, pdu->data - aad),
                        bst_view_of(pdu->octets + pdu->data, pdu->mac_bytes), pdu->octets + aad);
}

static bst_result unprotect(struct bst_pdcp_keys *keys, const struct bst_pdcp_bearer *bearer,
                            uint32_t count, const struct pdu *pdu)
{
    uint8_t iv[BST_AIR_IV_BYTES];
    if (keys->suite.combined) {
        return bearer->integrity ? open_combined(keys, bearer, count, pdu) : BST_OK;
    }
    BST_TRY(cipher(keys, bearer, count, pdu));
    /* D.1: with NIA0 the receiver does not check. */
    if (!bearer->integrity || keys->suite.integrity == 0) {
        return BST_OK;
    }
    BST_TRY(iv_of(&keys->integrity, bearer, count, iv));
    return bst_air_check(&keys->integrity, iv, pdu->octets, pdu->data * 8,
                         bst_view_of(pdu->octets + pdu->data, pdu->mac_bytes));
}

bst_result bst_pdcp_open(struct bst_pdcp_keys *keys, const struct bst_pdcp_bearer *bearer,
                         uint32_t count, struct bst_view in, struct bst_buf *ret)
{
    const size_t header = header_bytes(bearer), mac = bst_pdcp_mac_bytes(bearer, keys);
    BST_TRY(bst_pdcp_bearer_check(bearer, keys));
    BST_ENSURE(in.len <= BST_PDCP_SDU_MAX + BST_PDCP_OVERHEAD_MAX, BST_E_TOO_LONG);
    if (in.len < header + bearer->sdap_bytes + mac) {
        BST_FAIL(BST_E_TRUNCATED, "a PDU of %zu octets has no room for its header and MAC-I",
                 in.len);
    }
    char *at = bst_buf_reserve(ret, in.len);
    BST_ENSURE(at, BST_E_NOMEM);
    memcpy(at, in.ptr, in.len);
    const struct pdu pdu = {(uint8_t *)at, header + bearer->sdap_bytes, in.len - mac, mac};
    bst_result r = unprotect(keys, bearer, count, &pdu);
    if (bst_failed(r)) {
        bst_wipe(at, in.len);
        return r;
    }
    memmove(at, at + header, pdu.data - header);
    ret->len += pdu.data - header;
    return BST_OK;
}

/* Vectors of compact JWE and JWS. */
#include "core5g/jose/jose.h"
#include "core5g/kat/kat_priv.h"

/* A refusal with something of the payload in hand is none. */
static bst_result refusal(struct kat *kat, bst_result outcome, const struct bst_buf *out)
{
    if (out->len) {
        BST_FAIL(BST_E_VALUE, "something of the payload came out");
    }
    return kat_refused(kat, outcome);
}

static bst_result run_jwe(struct kat *kat, bool valid)
{
    struct bst_view key, jwe;
    bst_auto(buf) plain = {0};
    BST_TRY(kat_octets(kat, "cek_hex", &key));
    BST_TRY(kat_text(kat, "jwe", &jwe));
    bst_result opened = bst_jwe_open(key, jwe, &plain);
    if (!valid) {
        return refusal(kat, opened, &plain);
    }
    BST_TRY(opened);
    return kat_answer(kat, "plaintext_hex", plain.ptr, plain.len);
}

static bst_result run_jws(struct kat *kat, bool valid)
{
    yyjson_val *jwk = NULL;
    struct bst_view jws;
    bst_auto(buf) payload = {0};
    BST_TRY(bst_json_object(kat->vector, "public_jwk", &jwk));
    BST_TRY(kat_text(kat, "jws", &jws));
    bst_result verified = bst_jws_verify(jwk, jws, &payload);
    if (!valid) {
        return refusal(kat, verified, &payload);
    }
    BST_TRY(verified);
    kat->answers++;
    return BST_OK;
}

bst_result kat_jose(struct kat *kat)
{
    struct bst_view type;
    bool valid;
    BST_TRY(kat_text(kat, "type", &type));
    BST_TRY(kat_wants_valid(kat, &valid));
    if (bst_view_starts(type, BST_VIEW("JWE"))) {
        return run_jwe(kat, valid);
    }
    if (bst_view_starts(type, BST_VIEW("JWS"))) {
        return run_jws(kat, valid);
    }
    BST_FAIL(BST_E_VALUE, "field 'type' is '%.*s'", BST_VIEW_ARGS(type));
}

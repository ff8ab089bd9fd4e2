/* Vectors of SUPI concealment: both sides, intermediate values, refusals. The home network key is
 * in a secure environment as in real use. */
#include "core5g/kat/kat_priv.h"
#include "core5g/suci/suci.h"

struct suci_case {
    struct kat *kat;
    const struct bst_suci_scheme *scheme;
    struct bst_supi supi; /* type and home network; msin or username when the vector gives them */
    bool typed;           /* the vector says what kind of SUPI it is */
    struct bst_se *se;
    bst_key key;
};

static int64_t no_clock(void *ctx)
{
    return 1;
}

/* ---- what the vector gives ---- */

static bst_result read_imsi(struct suci_case *c)
{
    struct bst_view network, msin;
    if (!kat_has(c->kat, "home_network")) {
        return BST_OK;
    }
    BST_TRY(kat_text(c->kat, "home_network", &network));
    if (!bst_digits_only(network, 5, 6)) {
        BST_FAIL(BST_E_VALUE, "field 'home_network' has not 5 or 6 digits");
    }
    memcpy(c->supi.mcc, network.ptr, 3);
    memcpy(c->supi.mnc, network.ptr + 3, network.len - 3);
    if (kat_has(c->kat, "msin")) {
        BST_TRY(kat_text(c->kat, "msin", &msin));
        return bst_view_copy(msin, c->supi.msin, sizeof c->supi.msin);
    }
    return BST_OK;
}

static bst_result read_nai(struct suci_case *c)
{
    struct bst_view supi;
    bst_auto(buf) text = {0};
    c->supi.type = BST_SUPI_NAI;
    if (!kat_has(c->kat, "supi")) {
        return BST_OK;
    }
    BST_TRY(kat_text(c->kat, "supi", &supi));
    bst_buf_adds(&text, "nai-");
    bst_buf_addv(&text, supi);
    return bst_supi_parse(bst_buf_view(&text), 2, &c->supi);
}

static bst_result read_supi(struct suci_case *c)
{
    struct bst_view type = {0};
    BST_TRY(bst_json_opt_string(c->kat->vector, "supi_type", &type));
    c->typed = type.len > 0;
    if (!c->typed) {
        return BST_OK;
    }
    if (bst_view_is(type, "imsi")) {
        return read_imsi(c);
    }
    if (bst_view_is(type, "nai")) {
        return read_nai(c);
    }
    BST_FAIL(BST_E_VALUE, "field 'supi_type' is '%.*s'", BST_VIEW_ARGS(type));
}

static bst_result import_private(struct suci_case *c)
{
    struct bst_view raw;
    bst_auto_pkey *pair = NULL;
    bst_auto(secret) der = {0};
    uint8_t point[BST_CURVE_POINT_MAX];
    if (!c->scheme->keyed || !kat_has(c->kat, "hn_private")) {
        return BST_OK;
    }
    BST_TRY(kat_sized(c->kat, "hn_private", 32, 32, &raw));
    BST_TRY(bst_agree_key_load(c->scheme->curve, raw, &pair));
    BST_TRY(bst_agree_key_point(c->scheme->curve, pair, point));
    BST_TRY(kat_answer(c->kat, "hn_public", point, bst_curve_point_bytes(c->scheme->curve)));
    BST_TRY(bst_pkey_private(pair, &der));
    return bst_se_key_import(
        c->se, &(struct bst_key_attrs){.type = c->scheme->key_type, .uses = BST_KEY_USE_AGREE},
        &der, &c->key);
}

/* ---- device side ---- */

static bst_result scheme_input(const struct suci_case *c, struct bst_buf *ret)
{
    struct bst_view plaintext;
    if (c->supi.msin[0] || c->supi.username[0]) {
        return bst_supi_scheme_input(&c->supi, ret);
    }
    BST_TRY(kat_octets(c->kat, "plaintext", &plaintext));
    bst_buf_addv(ret, plaintext);
    return bst_buf_check(ret);
}

static bst_result home_point(const struct suci_case *c, uint8_t out[BST_CURVE_POINT_MAX])
{
    struct bst_view text;
    uint8_t other[BST_CURVE_POINT_MAX];
    BST_TRY(kat_text(c->kat, "hn_public", &text));
    BST_TRY(bst_agree_point_load(c->scheme->curve, text, out));
    if (!kat_has(c->kat, "hn_public_uncompressed")) {
        return BST_OK;
    }
    BST_TRY(kat_text(c->kat, "hn_public_uncompressed", &text));
    BST_TRY(bst_agree_point_load(c->scheme->curve, text, other));
    return kat_answer(c->kat, "hn_public", other, bst_curve_point_bytes(c->scheme->curve));
}

static bst_result check_key_data(struct suci_case *c, struct evp_pkey_st *ephemeral)
{
    const size_t len = bst_curve_point_bytes(c->scheme->curve);
    uint8_t point[BST_CURVE_POINT_MAX], home[BST_CURVE_POINT_MAX];
    bst_auto(secret) z = {0}, data = {0};
    BST_TRY(bst_agree_key_point(c->scheme->curve, ephemeral, point));
    BST_TRY(kat_answer(c->kat, "eph_public", point, len));
    BST_TRY(home_point(c, home));
    BST_TRY(bst_suci_key_data(c->scheme->curve, ephemeral, bst_view_of(home, len),
                              bst_view_of(point, len), &z, &data));
    BST_TRY(kat_answer(c->kat, "shared", z.ptr, z.len));
    BST_TRY(kat_answer(c->kat, "enc_key", data.ptr, 16));
    BST_TRY(kat_answer(c->kat, "icb", data.ptr + 16, 16));
    return kat_answer(c->kat, "mac_key", data.ptr + 32, 32);
}

static bst_result check_output(struct suci_case *c, struct evp_pkey_st *ephemeral)
{
    const size_t point_len = bst_curve_point_bytes(c->scheme->curve);
    uint8_t home[BST_CURVE_POINT_MAX];
    bst_auto(buf) input = {0}, output = {0};
    BST_TRY(scheme_input(c, &input));
    BST_TRY(kat_answer(c->kat, "plaintext", input.ptr, input.len));
    BST_TRY(home_point(c, home));
    BST_TRY(c->scheme->conceal(c->scheme, bst_view_of(home, point_len), ephemeral,
                               bst_buf_view(&input), &output));
    BST_TRY(kat_answer(c->kat, "ciphertext", output.ptr + point_len, input.len));
    BST_TRY(kat_answer(c->kat, "mac", output.ptr + point_len + input.len, 8));
    return kat_answer(c->kat, "scheme_output", output.ptr, output.len);
}

static bst_result conceal_ecies(struct suci_case *c)
{
    struct bst_view raw;
    bst_auto_pkey *ephemeral = NULL;
    if (!kat_has(c->kat, "eph_private")) {
        return BST_OK;
    }
    BST_TRY(kat_sized(c->kat, "eph_private", 32, 32, &raw));
    BST_TRY(bst_agree_key_load(c->scheme->curve, raw, &ephemeral));
    BST_TRY(check_key_data(c, ephemeral));
    return kat_has(c->kat, "scheme_output") ? check_output(c, ephemeral) : BST_OK;
}

/* "userid" and the name, as the NAI form of the SUCI has it between its labels. */
static bst_result check_nai_form(struct suci_case *c, const struct bst_suci *suci)
{
    bst_auto(buf) nai = {0}, expected = {0};
    struct bst_view form;
    if (!kat_has(c->kat, "scheme_output_nai_form")) {
        return BST_OK;
    }
    BST_TRY(kat_text(c->kat, "scheme_output_nai_form", &form));
    BST_TRY(bst_suci_format_nai(suci, &nai));
    bst_buf_addf(&expected, "type1.rid0.schid0.%.*s@%s", BST_VIEW_ARGS(form), c->supi.realm);
    c->kat->answers++;
    if (!bst_view_eq(bst_buf_view(&nai), bst_buf_view(&expected))) {
        BST_FAIL(BST_E_VALUE, "field 'scheme_output_nai_form' does not come out");
    }
    return BST_OK;
}

static bst_result conceal_null(struct suci_case *c)
{
    const struct bst_suci_home home = {.scheme = BST_SUCI_NULL};
    bst_auto(suci) suci = {0};
    BST_TRY(bst_suci_conceal(&c->supi, &home, &suci));
    BST_TRY(kat_answer(c->kat, "scheme_output", suci.output.ptr, suci.output.len));
    return check_nai_form(c, &suci);
}

/* ---- home network side ---- */

static bst_result reveal(struct suci_case *c, struct bst_view output, struct bst_buf *ret)
{
    struct bst_supi supi = c->supi;
    bst_auto(buf) input = {0};
    if (c->scheme->keyed && !c->key) {
        BST_FAIL(BST_E_USAGE, "field 'hn_private' is missing");
    }
    BST_TRY(c->scheme->reveal(c->scheme, c->se, c->key, output, &input));
    if (c->typed) {
        BST_TRY(bst_supi_take_input(bst_buf_view(&input), &supi));
        if (strcmp(supi.msin, c->supi.msin) != 0 && c->supi.msin[0]) {
            BST_FAIL(BST_E_VALUE, "field 'msin' is %s, revealed is %s", c->supi.msin, supi.msin);
        }
    }
    *ret = input;
    input = (struct bst_buf){0};
    return BST_OK;
}

static bst_result check_reveal(struct suci_case *c)
{
    bst_auto(buf) output = {0}, input = {0};
    struct bst_view octets;
    if (kat_has(c->kat, "scheme_output")) {
        BST_TRY(kat_octets(c->kat, "scheme_output", &octets));
        bst_buf_addv(&output, octets);
    } else if (c->scheme->keyed) {
        return BST_OK;
    } else {
        BST_TRY(scheme_input(c, &output));
    }
    BST_TRY(bst_buf_check(&output));
    BST_TRY(reveal(c, bst_buf_view(&output), &input));
    return kat_answer(c->kat, "plaintext", input.ptr, input.len);
}

static bst_result must_refuse(struct suci_case *c, const char *what)
{
    struct bst_view output;
    bst_auto(buf) input = {0};
    BST_TRY(kat_octets(c->kat, "scheme_output", &output));
    if (c->scheme->keyed && !c->key) {
        BST_FAIL(BST_E_USAGE, "field 'hn_private' is missing");
    }
    bst_result r = reveal(c, output, &input);
    if (!bst_failed(r) || input.len) {
        BST_FAIL(BST_E_VALUE, "%s was revealed instead of refused", what);
    }
    return kat_refused(c->kat, r);
}

/* ---- one vector ---- */

static bool is_uncompressed(const struct suci_case *c)
{
    struct bst_view output;
    return c->scheme->id == BST_SUCI_PROFILE_B && kat_has(c->kat, "scheme_output") &&
           kat_has(c->kat, "plaintext") &&
           !bst_failed(kat_octets(c->kat, "scheme_output", &output)) && output.len &&
           output.ptr[0] == 4;
}

static bst_result run_case(struct suci_case *c)
{
    struct bst_view expect = {0};
    BST_TRY(bst_json_opt_string(c->kat->vector, "expect", &expect));
    BST_TRY(read_supi(c));
    BST_TRY(import_private(c));
    if (bst_view_starts(expect, BST_VIEW("reject"))) {
        return must_refuse(c, "what must be refused");
    }
    if (is_uncompressed(c)) {
        return must_refuse(c, "an uncompressed ephemeral key");
    }
    BST_TRY(c->scheme->keyed ? conceal_ecies(c) : conceal_null(c));
    return check_reveal(c);
}

bst_result kat_suci(struct kat *kat)
{
    struct bst_view profile;
    struct bst_se_host host = {0};
    struct suci_case c = {.kat = kat};
    BST_TRY(kat_text(kat, "profile", &profile));
    c.scheme = bst_suci_scheme_named(profile);
    if (!c.scheme || (c.scheme->keyed && !c.scheme->ecies)) {
        BST_FAIL(BST_E_VALUE, "field 'profile' is '%.*s'", BST_VIEW_ARGS(profile));
    }
    bst_se_host_file(&host, no_clock);
    BST_TRY(bst_se_open(&host, "se:soft", &c.se));
    bst_result r = run_case(&c);
    bst_se_close(&c.se);
    return r;
}

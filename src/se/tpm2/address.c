/* Address of a TPM: "tpm2:" TCTI [ "?" options ]. Secrets are in files or service credentials. */
#include "se/tpm2/tpm2_priv.h"

#define DEFAULT_TCTI "device:/dev/tpmrm0"
#define EXAMPLE                                                                                    \
    "an example is "                                                                               \
    "tpm2:device:/dev/tpmrm0?dir=/var/lib/bastide/tpm&pin-source=file:/etc/bastide/pin"

/* Ways to a TPM that are one. "cmd:" would run any command, so it is not among them; a module by
 * its path is loaded as a PKCS#11 module is. */
static const char *const ways[] = {"device", "swtpm", "mssim", "tabrmd"};

static bst_result copy_option(struct bst_view name, struct bst_view value, char *out, size_t cap)
{
    bst_auto(buf) decoded = {0};
    if (value.len == 0 || bst_failed(bst_percent_decode(value, &decoded)) ||
        bst_failed(bst_view_copy(bst_buf_view(&decoded), out, cap))) {
        BST_FAIL(BST_E_CONFIG,
                 "the value of %.*s= in the address of a TPM is empty, too long or wrongly "
                 "escaped",
                 BST_VIEW_ARGS(name));
    }
    return BST_OK;
}

static bst_result read_source(struct bst_view name, struct bst_view value, char *out, size_t cap)
{
    BST_TRY(copy_option(name, value, out, cap));
    bool file = strncmp(out, "file:", 5) == 0 && out[5];
    bool credential = strncmp(out, "credential:", 11) == 0 && out[11];
    if (!file && !credential) {
        BST_FAIL(BST_E_CONFIG, "%.*s= of a TPM is file:PATH or credential:NAME, never the secret",
                 BST_VIEW_ARGS(name));
    }
    return BST_OK;
}

static bst_result bad_pcrs(void)
{
    BST_FAIL(BST_E_CONFIG, "pcrs= of a TPM is sha256: and numbers from 0 to 23, such as "
                           "sha256:0,2,7");
}

static bst_result read_pcrs(struct bst_view value, uint32_t *ret)
{
    struct bst_view bank, item;
    uint32_t pcrs = 0;
    if (!bst_view_cut(&value, ':', &bank) || !bst_view_is(bank, "sha256") || value.len == 0) {
        return bad_pcrs();
    }
    while (value.len) {
        uint64_t number;
        bst_view_cut(&value, ',', &item);
        if (bst_failed(bst_parse_u64(item, &number)) || number > 23) {
            return bad_pcrs();
        }
        pcrs |= UINT32_C(1) << number;
    }
    *ret = pcrs;
    return BST_OK;
}

static bst_result read_parent(struct bst_view value, uint32_t *ret)
{
    uint8_t bytes[4] = {0};
    bool hex = value.len == 10 && bst_view_starts(value, BST_VIEW("0x")) &&
               !bst_failed(bst_hex_decode(bst_view_from(value, 2), bytes, 4));
    if (!hex || bytes[0] != 0x81) {
        BST_FAIL(BST_E_CONFIG,
                 "parent= of a TPM is the handle of a persistent storage key, such as "
                 "0x81000001");
    }
    *ret = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
    return BST_OK;
}

static bst_result read_fallback(struct bst_view value, bool *ret)
{
    *ret = bst_view_is(value, "soft");
    if (!*ret && !bst_view_is(value, "none")) {
        BST_FAIL(BST_E_CONFIG, "fallback= of a TPM is soft or none");
    }
    return BST_OK;
}

static bst_result read_roots(struct bst_view name, struct bst_view value, struct tpm2_address *ret)
{
    if (ret->roots[0]) {
        BST_FAIL(BST_E_CONFIG, "ek-roots= and test-root= of a TPM exclude each other");
    }
    ret->test_root = bst_view_is(name, "test-root");
    return copy_option(name, value, ret->roots, sizeof ret->roots);
}

static bst_result read_option(struct bst_view name, struct bst_view value, struct tpm2_address *ret)
{
    if (bst_view_is(name, "dir")) {
        return copy_option(name, value, ret->dir, sizeof ret->dir);
    }
    if (bst_view_is(name, "pin-source")) {
        return read_source(name, value, ret->pin_source, sizeof ret->pin_source);
    }
    if (bst_view_is(name, "owner-source")) {
        return read_source(name, value, ret->owner_source, sizeof ret->owner_source);
    }
    if (bst_view_is(name, "ek-roots") || bst_view_is(name, "test-root")) {
        return read_roots(name, value, ret);
    }
    if (bst_view_is(name, "pcrs")) {
        return read_pcrs(value, &ret->pcrs);
    }
    if (bst_view_is(name, "parent")) {
        return read_parent(value, &ret->parent);
    }
    if (bst_view_is(name, "fallback")) {
        return read_fallback(value, &ret->fallback);
    }
    if (bst_view_is(name, "pin-value")) {
        BST_FAIL(BST_E_CONFIG, "pin-value= would show the PIN to everybody on this machine; put it "
                               "into a file of mode 0600 and name that: pin-source=file:PATH");
    }
    BST_FAIL(BST_E_CONFIG,
             "the address of a TPM has no '%.*s='; it has dir, pin-source, owner-source, pcrs, "
             "parent, ek-roots, test-root and fallback",
             BST_VIEW_ARGS(name));
}

static bool is_way(struct bst_view way)
{
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        if (bst_view_is(way, ways[i])) {
            return true;
        }
    }
    return way.len > 1 && way.ptr[0] == '/';
}

static bst_result read_tcti(struct bst_view tcti, struct tpm2_address *ret)
{
    struct bst_view rest = tcti, way;
    if (tcti.len == 0) {
        return bst_view_copy(BST_VIEW(DEFAULT_TCTI), ret->tcti, sizeof ret->tcti);
    }
    bst_view_cut(&rest, ':', &way);
    if (!is_way(way) || bst_failed(bst_view_copy(tcti, ret->tcti, sizeof ret->tcti))) {
        BST_FAIL(BST_E_CONFIG,
                 "'tpm2:%.*s' is no way to a TPM; there is device:PATH, swtpm:port=N, mssim: and "
                 "tabrmd:; " EXAMPLE,
                 BST_VIEW_ARGS(tcti));
    }
    return BST_OK;
}

bst_result tpm2_address_parse(struct bst_view text, struct tpm2_address *ret)
{
    struct tpm2_address address = {0};
    struct bst_view query = text, tcti;
    bst_view_cut(&query, '?', &tcti);
    BST_TRY(read_tcti(tcti, &address));
    while (query.len) {
        struct bst_view value, name;
        bst_view_cut(&query, '&', &value);
        bst_view_cut(&value, '=', &name);
        BST_TRY(read_option(name, value, &address));
    }
    *ret = address;
    return BST_OK;
}

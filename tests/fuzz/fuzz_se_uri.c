/* Addresses of secure environments: none, software, tokens, TPMs; and as the configuration has
 * them.
 */
#include "app/se_uri.h"
#include "se/pkcs11/p11_priv.h"
#include "se/tpm2/tpm2_priv.h"
#include "support/se_host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse_token(struct bst_view text)
{
    struct p11_address address;
    if (!bst_failed(p11_address_parse(text, &address))) {
        p11_address_clear(&address);
    }
}

static void parse_tpm(struct bst_view text)
{
    struct tpm2_address address;
    if (!bst_failed(tpm2_address_parse(text, &address))) {
        BST_BUG(address.tcti[0] == '\0' || strlen(address.tcti) >= sizeof address.tcti);
        BST_BUG(address.pcrs >> 24);
        BST_BUG(strncmp(address.tcti, "cmd", 3) == 0);
    }
}

/* The host has no files and no secrets, so that nothing is opened but what keeps nothing. */
static bst_result no_secret(void *ctx, const char *source, struct bst_secret *ret)
{
    return bst_error(BST_E_PERMISSION);
}

static void open_own(const char *uri)
{
    struct test_host host;
    struct bst_se *se = NULL;
    test_host_init(&host);
    host.host.secret_read = no_secret;
    if (!bst_failed(bst_se_open(&host.host, uri, &se))) {
        bst_se_close(&se);
    }
    test_host_clear(&host);
}

static void settle(const char *uri)
{
    char label[BST_KEY_LABEL_MAX + 1] = "";
    bst_auto(buf) settled = {0}, split = {0}, again = {0};
    if (!bst_failed(bst_se_uri_settle(uri, "pin", false, &settled))) {
        (void)bst_se_uri_split(settled.ptr, &split, label).code;
    }
    (void)bst_se_uri_split(uri, &again, label).code;
    (void)bst_se_uri_name(uri);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    struct bst_view rest = bst_view(text), scheme;
    settle(text);
    if (bst_view_cut(&rest, ':', &scheme)) {
        if (bst_view_is(scheme, "pkcs11")) {
            parse_token(rest);
        } else if (bst_view_is(scheme, "tpm2")) {
            parse_tpm(rest);
        } else if (bst_view_starts(bst_view(text), BST_VIEW("se:soft")) ||
                   bst_view_is(scheme, "none")) {
            open_own(text);
        }
    }
    free(text);
    return 0;
}

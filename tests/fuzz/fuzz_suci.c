/* SUCIs in text and as mobile identities, what a home network does with them, SUPIs, key files,
 * files of vectors. What was read must be written and read again as the same. */
#include "core5g/aka/keyfile.h"
#include "core5g/kat/kat.h"
#include "core5g/suci/sidf.h"
#include "crypto/kem.h"
#include "obs/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int64_t one(void)
{
    return 1;
}

static int64_t se_one(void *ctx)
{
    return 1;
}

static struct bst_sidf *sidf(void)
{
    static struct bst_sidf table;
    static struct bst_se *se;
    if (!se) {
        struct bst_se_host host;
        const struct bst_hn_wish a = {.id = 1, .scheme = BST_SUCI_PROFILE_A, .temporary = true};
        const struct bst_hn_wish b = {.id = 2, .scheme = BST_SUCI_PROFILE_B, .temporary = true};
        const struct bst_hn_wish c = {
            .id = 3, .scheme = BST_SUCI_X25519_MLKEM768, .temporary = true};
        bst_log_configure(&(struct bst_log_setup){.level = BST_LOG_ERROR});
        bst_se_host_file(&host, se_one);
        if (bst_failed(bst_se_open(&host, "se:soft", &se)) || bst_failed(bst_hn_key_add(se, &a)) ||
            bst_failed(bst_hn_key_add(se, &b)) ||
            (bst_kem_provider() && bst_failed(bst_hn_key_add(se, &c))) ||
            bst_failed(bst_sidf_init(&table, se, one))) {
            abort();
        }
        table.allow_null = true;
    }
    return &table;
}

static void same(const struct bst_suci *a, const struct bst_suci *b)
{
    if (a->type != b->type || a->scheme != b->scheme || a->key_id != b->key_id ||
        strcmp(a->routing, b->routing) != 0 || strcmp(a->realm, b->realm) != 0 ||
        strcmp(a->mcc, b->mcc) != 0 || strcmp(a->mnc, b->mnc) != 0 ||
        !bst_view_eq(bst_buf_view(&a->output), bst_buf_view(&b->output))) {
        abort();
    }
}

static void use(const struct bst_suci *suci)
{
    struct bst_supi supi;
    bst_auto(buf) text = {0}, nas = {0};
    bst_auto(suci) again = {0};
    (void)bst_sidf_reveal(sidf(), suci, &supi).code;
    if (!bst_failed(bst_suci_format(suci, &text)) &&
        !bst_failed(bst_suci_parse(bst_buf_view(&text), &again))) {
        same(suci, &again);
    }
    bst_suci_clear(&again);
    if (!bst_failed(bst_suci_format_nas(suci, &nas)) &&
        !bst_failed(bst_suci_parse_nas(bst_buf_view(&nas), &again))) {
        same(suci, &again);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bst_view in = bst_view_of(data, size);
    bst_auto(suci) text = {0}, nas = {0};
    struct bst_supi supi;
    struct bst_aka_keys keys;
    struct bst_kat_tally tally = {0};
    if (!bst_failed(bst_suci_parse(in, &text))) {
        use(&text);
    }
    if (!bst_failed(bst_suci_parse_nas(in, &nas))) {
        use(&nas);
    }
    (void)bst_supi_parse(in, 2, &supi).code;
    (void)bst_aka_keyfile_parse(in, &keys).code;
    (void)bst_kat_run("suci.json", in, &tally).code;
    return 0;
}

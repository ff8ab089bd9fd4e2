/* The installed library, the calls of include/bastide/core5g.h over the folders beside this one:
 * opening, concealed identities, derivations. */
#include "core5g/api/api_priv.h"

/* ---- opening ---- */

static int64_t se_clock(void *ctx)
{
    struct bst_core5g *core = ctx;
    return core->wall_us();
}

bst_result bst_core5g_open(const char *uri, int64_t (*wall_us)(void), struct bst_core5g **ret)
{
    struct bst_se_host host = {0};
    BST_ENSURE(uri && wall_us && ret, BST_E_USAGE);
    struct bst_core5g *core = bst_alloc(sizeof *core);
    BST_ENSURE(core, BST_E_NOMEM);
    core->wall_us = wall_us;
    bst_se_host_file(&host, se_clock);
    host.ctx = core;
    bst_result opened = bst_se_open(&host, uri, &core->se);
    if (!bst_failed(opened)) {
        opened = bst_sidf_init(&core->sidf, core->se, wall_us);
    }
    if (bst_failed(opened)) {
        bst_core5g_close(&core);
        return opened;
    }
    *ret = core;
    return BST_OK;
}

void bst_core5g_close(struct bst_core5g **slot)
{
    struct bst_core5g *core = slot ? bst_steal(slot) : NULL;
    if (core) {
        bst_se_close(&core->se);
        bst_free(core);
    }
}

/* ---- concealed identities ---- */

static bst_result find_scheme(const char *name, const struct bst_suci_scheme **ret)
{
    BST_ENSURE(name, BST_E_USAGE);
    *ret = bst_suci_scheme_named(bst_view(name));
    if (!*ret) {
        BST_FAIL(BST_E_VALUE, "there is no protection scheme '%s'", name);
    }
    return BST_OK;
}

static bst_result find_home_key(const struct bst_core5g *core, uint8_t id,
                                const struct bst_hn_key **ret)
{
    for (size_t i = 0; i < core->sidf.n; i++) {
        if (core->sidf.keys[i].id == id) {
            *ret = &core->sidf.keys[i];
            return BST_OK;
        }
    }
    BST_FAIL(BST_E_NOT_FOUND, "there is no home network key with id %u", (unsigned)id);
}

bst_result bst_core5g_home_key(struct bst_core5g *core, const char *scheme, uint8_t id,
                               struct bst_view private_key)
{
    BST_ENSURE(core, BST_E_USAGE);
    return bst_core5g_home_key_valid(core, scheme, id, private_key, core->wall_us(), 0);
}

bst_result bst_core5g_home_key_valid(struct bst_core5g *core, const char *scheme, uint8_t id,
                                     struct bst_view private_key, int64_t from_us, int64_t until_us)
{
    const struct bst_suci_scheme *row = NULL;
    BST_ENSURE(core, BST_E_USAGE);
    BST_TRY(find_scheme(scheme, &row));
    const struct bst_hn_wish wish = {
        .id = id,
        .scheme = row->id,
        .from_us = from_us,
        .until_us = until_us,
        .private_key = private_key,
        .temporary = !api_keeps(core),
    };
    BST_TRY(bst_hn_key_add(core->se, &wish));
    return bst_sidf_init(&core->sidf, core->se, core->wall_us);
}

bst_result bst_core5g_home_key_at(const struct bst_core5g *core, size_t n,
                                  struct bst_core5g_home_key_info *ret)
{
    BST_ENSURE(core, BST_E_USAGE);
    BST_ENSURE(n < core->sidf.n, BST_E_NOT_FOUND);
    const struct bst_hn_key *key = &core->sidf.keys[n];
    *ret = (struct bst_core5g_home_key_info){
        .id = key->id,
        .scheme = bst_suci_scheme(key->scheme)->name,
        .state = bst_hn_state_name(key->state),
        .from_us = key->from_us,
        .until_us = key->until_us,
        .level = key->level,
    };
    return BST_OK;
}

bst_result bst_core5g_home_public(const struct bst_core5g *core, uint8_t id,
                                  uint8_t out[BST_CORE5G_PUBLIC_MAX], size_t *ret_len)
{
    const struct bst_hn_key *key = NULL;
    BST_ENSURE(core, BST_E_USAGE);
    BST_TRY(find_home_key(core, id, &key));
    *ret_len = bst_suci_scheme(key->scheme)->public_bytes;
    memcpy(out, key->public_key, *ret_len);
    return BST_OK;
}

bst_result bst_core5g_home_key_remove(struct bst_core5g *core, uint8_t id)
{
    BST_ENSURE(core, BST_E_USAGE);
    BST_TRY(bst_hn_key_remove(core->se, id));
    return bst_sidf_init(&core->sidf, core->se, core->wall_us);
}

static bst_result give_text(struct bst_buf *text, char *out, size_t size)
{
    bst_buf_addc(text, '\0');
    BST_TRY(bst_buf_check(text));
    BST_ENSURE(text->len <= size, BST_E_TOO_LONG);
    memcpy(out, text->ptr, text->len);
    return BST_OK;
}

bst_result bst_core5g_conceal(const char *supi, unsigned mnc_digits, const char *scheme, uint8_t id,
                              struct bst_view public_key, char ret_suci[BST_CORE5G_SUCI_MAX])
{
    const struct bst_suci_scheme *row = NULL;
    struct bst_suci_home home = {.key_id = id};
    struct bst_supi parsed;
    bst_auto(suci) suci = {0};
    bst_auto(buf) text = {0};
    BST_ENSURE(supi, BST_E_USAGE);
    BST_TRY(find_scheme(scheme, &row));
    home.scheme = row->id;
    BST_TRY(bst_supi_parse(bst_view(supi), mnc_digits, &parsed));
    if (row->keyed) {
        BST_TRY(row->read_public(row, public_key, home.public_key));
    }
    BST_TRY(bst_suci_conceal(&parsed, &home, &suci));
    BST_TRY(bst_suci_format(&suci, &text));
    return give_text(&text, ret_suci, BST_CORE5G_SUCI_MAX);
}

bst_result bst_core5g_reveal(const struct bst_core5g *core, const char *suci,
                             char ret_supi[BST_CORE5G_SUPI_MAX])
{
    bst_auto(suci) parsed = {0};
    bst_auto(buf) text = {0};
    struct bst_supi supi;
    BST_ENSURE(core && suci, BST_E_USAGE);
    BST_TRY(bst_suci_parse(bst_view(suci), &parsed));
    BST_TRY(bst_sidf_reveal(&core->sidf, &parsed, &supi));
    bst_supi_format(&supi, &text);
    return give_text(&text, ret_supi, BST_CORE5G_SUPI_MAX);
}

/* ---- keys ---- */

bst_result bst_core5g_derive(const char *clause, struct bst_view key, const struct bst_view *params,
                             size_t n, uint8_t out[32], size_t *ret_len)
{
    BST_ENSURE(clause && (params || n == 0), BST_E_USAGE);
    for (unsigned which = 0; which < BST_5G_KDF_COUNT; which++) {
        const struct bst_5g_kdf_row *row = bst_5g_kdf_row((enum bst_5g_kdf)which);
        if (strcmp(row->clause, clause) == 0) {
            *ret_len = row->out;
            return bst_5g_derive((enum bst_5g_kdf)which, key, params, n, out);
        }
    }
    BST_FAIL(BST_E_VALUE, "TS 33.501 has no derivation '%s'", clause);
}

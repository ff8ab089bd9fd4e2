/* The keys of the project CA: found by the certificate that they belong to, wherever a change of
 * keys has put them. */
#include "app/ca_keys.h"

#include "app/state_priv.h"
#include "codec/json.h"

#include <stdio.h>

/* --- the record ----------------------------------------------------------------------------- */

void ca_record_clear(struct ca_record *record)
{
    while (record->n_places > 0) {
        bst_free(record->places[--record->n_places]);
    }
    *record = (struct ca_record){0};
}

static bst_result take_places(yyjson_val *list, struct ca_record *ret)
{
    yyjson_arr_iter iter = yyjson_arr_iter_with(list);
    for (yyjson_val *item; (item = yyjson_arr_iter_next(&iter)) != NULL;) {
        BST_ENSURE(ret->n_places < CA_PLACES_MAX && yyjson_is_str(item), BST_E_CORRUPT);
        char *place = bst_strndup(bst_json_view(item).ptr, bst_json_view(item).len);
        BST_ENSURE(place, BST_E_NOMEM);
        ret->places[ret->n_places++] = place;
    }
    return BST_OK;
}

static bst_result take_former(yyjson_val *list, struct ca_record *ret)
{
    yyjson_arr_iter iter = yyjson_arr_iter_with(list);
    for (yyjson_val *item; (item = yyjson_arr_iter_next(&iter)) != NULL;) {
        struct bst_view serial;
        BST_ENSURE(ret->n_former < BST_PKI_FORMER_MAX, BST_E_CORRUPT);
        struct ca_former *former = &ret->former[ret->n_former++];
        BST_TRY(bst_json_string(item, "ca", &serial));
        BST_TRY(bst_view_copy(serial, former->serial, sizeof former->serial));
        BST_TRY(bst_json_i64(item, "until", &former->until_us));
    }
    return BST_OK;
}

static bst_result take_record(struct bst_view text, struct ca_record *ret)
{
    bst_auto(arena) arena = {0};
    yyjson_val *root, *list;
    BST_TRY(bst_json_parse(&arena, text, 4, &root));
    BST_TRY(bst_json_array(root, "places", &list));
    BST_TRY(take_places(list, ret));
    BST_TRY(bst_json_array(root, "former", &list));
    return take_former(list, ret);
}

bst_result ca_record_read(const struct bst_state *state, struct ca_record *ret)
{
    struct ca_record record = {0};
    bst_auto(buf) text = {0};
    bst_result r = bst_state_read(state, CA_KEYS_FILE, &text);
    if (r.code == BST_E_NOT_FOUND) {
        *ret = record;
        return BST_OK;
    }
    BST_TRY(r);
    if (bst_failed(take_record(bst_buf_view(&text), &record))) {
        ca_record_clear(&record);
        BST_FAIL(BST_E_CORRUPT, "%s is not one of ours; restore it from a backup", CA_KEYS_FILE);
    }
    *ret = record;
    return BST_OK;
}

bst_result ca_record_write(const struct bst_state *state, const struct ca_record *record)
{
    bst_auto(buf) text = {0};
    char path[BST_PATH_MAX];
    bst_buf_adds(&text, "{\"places\":[");
    for (size_t i = 0; i < record->n_places; i++) {
        bst_buf_adds(&text, i ? "," : "");
        bst_buf_add_json(&text, bst_view(record->places[i]));
    }
    bst_buf_adds(&text, "],\"former\":[");
    for (size_t i = 0; i < record->n_former; i++) {
        bst_buf_addf(&text, "%s{\"ca\":\"%s\",\"until\":%lld}", i ? "," : "",
                     record->former[i].serial, (long long)record->former[i].until_us);
    }
    bst_buf_adds(&text, "]}\n");
    BST_TRY(bst_buf_check(&text));
    BST_TRY(bst_state_path(state->folder, CA_KEYS_FILE, path));
    return bst_file_write_atomic(path, bst_buf_view(&text), 0600);
}

bst_result ca_record_add_place(struct ca_record *record, const char *address)
{
    size_t at = 0;
    while (at < record->n_places && strcmp(record->places[at], address) != 0) {
        at++;
    }
    BST_ENSURE(at < CA_PLACES_MAX, BST_E_LIMIT);
    char *place = at < record->n_places ? record->places[at] : bst_strdup(address);
    BST_ENSURE(place, BST_E_NOMEM);
    record->n_places += at == record->n_places;
    memmove(record->places + 1, record->places, at * sizeof record->places[0]);
    record->places[0] = place;
    return BST_OK;
}

/* --- environments --------------------------------------------------------------------------- */

static void env_drop(struct bst_state *state, size_t at)
{
    bst_free(state->ca_envs[at].address);
    bst_state_place_clear(&state->ca_envs[at].place);
    state->n_ca_envs--;
    memmove(state->ca_envs + at, state->ca_envs + at + 1,
            (state->n_ca_envs - at) * sizeof state->ca_envs[0]);
}

void ca_keys_close(struct bst_state *state)
{
    while (state->n_ca_envs > 0) {
        env_drop(state, state->n_ca_envs - 1);
    }
}

static size_t env_find(const struct bst_state *state, const char *address)
{
    size_t at = 0;
    while (at < state->n_ca_envs && strcmp(state->ca_envs[at].address, address) != 0) {
        at++;
    }
    return at;
}

static bst_result env_add(struct bst_state *state, const char *address,
                          struct bst_state_place *take)
{
    char *copy = bst_strdup(address);
    if (!copy) {
        bst_state_place_clear(take);
        return bst_error(BST_E_NOMEM);
    }
    if (state->n_ca_envs == BST_CA_ENVS_MAX) {
        env_drop(state, 0); /* whoever uses it holds it */
    }
    state->ca_envs[state->n_ca_envs++] = (struct bst_ca_env){.address = copy, .place = *take};
    return BST_OK;
}

bst_result ca_keys_place(struct ca_keys *keys, const char *address,
                         struct bst_state_place *ret_borrowed)
{
    struct bst_state *state = keys->state;
    const bool token = bst_view_starts(bst_view(address), BST_VIEW("pkcs11:"));
    const size_t at = env_find(state, address);
    const bool open = at < state->n_ca_envs;
    if (!open || (keys->anew && token)) {
        struct bst_state_place fresh;
        BST_TRY(state_place_at(state, address, BST_STATE_KEY_CA, keys->anew, &fresh));
        if (open) {
            env_drop(state, at);
        }
        BST_TRY(env_add(state, address, &fresh));
    }
    *ret_borrowed = state->ca_envs[env_find(state, address)].place;
    return BST_OK;
}

/* --- the key of a certificate --------------------------------------------------------------- */

/* A token that is not there may come back; a wrong PIN or address will not mend itself. */
static bst_result open_place(struct ca_keys *keys, const char *address,
                             struct bst_state_place *ret_borrowed)
{
    bst_result r = ca_keys_place(keys, address, ret_borrowed);
    enum bst_class class = bst_error_class(r.code);
    if (class == BST_CLASS_NOT_FOUND || class == BST_CLASS_BACKEND || class == BST_CLASS_IO) {
        char why[256];
        (void)bst_view_copy(bst_view(bst_error_detail()), why, sizeof why).code;
        BST_FAIL(BST_E_BUSY, "the environment of the project CA's key is not at hand: %s", why);
    }
    return r;
}

static bst_result find_at(struct ca_keys *keys, const char *address, struct bst_view cert_pem,
                          struct bst_state_place *ret_borrowed, bst_key *ret)
{
    BST_TRY(open_place(keys, address, ret_borrowed));
    return bst_state_place_key(ret_borrowed, cert_pem, ret);
}

struct failure {
    bst_result result;
    char why[320];
};

/* Where it may be when it is back says more than where it is not. */
static void note_failure(struct failure *failure, bst_result r)
{
    if (!bst_failed(failure->result) || (bst_error_class(r.code) == BST_CLASS_BUSY &&
                                         bst_error_class(failure->result.code) != BST_CLASS_BUSY)) {
        failure->result = r;
        snprintf(failure->why, sizeof failure->why, "%s", bst_error_detail());
    }
}

/* The configuration is right when the key is there; else it is where a change of keys put it. */
bst_result ca_keys_find(struct ca_keys *keys, struct bst_view cert_pem,
                        struct bst_state_place *ret_borrowed, bst_key *ret,
                        const char **ret_address)
{
    struct failure failure = {BST_OK, ""};
    for (size_t i = 0; i <= keys->record.n_places; i++) {
        const char *address =
            i ? keys->record.places[i - 1] : state_key_address(keys->config, BST_STATE_KEY_CA);
        bst_result r = find_at(keys, address, cert_pem, ret_borrowed, ret);
        if (!bst_failed(r)) {
            if (ret_address) {
                *ret_address = address;
            }
            return BST_OK;
        }
        note_failure(&failure, r);
    }
    bst_error_set_detail(failure.why);
    return failure.result;
}

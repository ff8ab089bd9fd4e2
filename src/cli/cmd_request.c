/* bastide request: a oneM2M client (TS-0004 7.2) for people and scripts. */
#include "cli/cli.h"
#include "cli/client.h"

#include "sys/file.h"

#include <unistd.h>

#define CONTENT_BYTES_MAX (4u << 20)

/* One request being put together. */
struct request {
    const struct cli_call *call;
    struct bst_arena arena;
    struct cli_client client;
    struct bst_m2m_request req;
    struct bst_m2m_response rsp;
};

static const struct bst_m2m_type *type_find(struct bst_view word)
{
    const struct bst_m2m_type *type;
    int64_t number = -1;
    (void)bst_failed(bst_parse_i64(word, &number));
    for (size_t i = 0; (type = bst_m2m_type_at(i)) != NULL; i++) {
        if (bst_view_is(word, type->sn) || bst_view_is(word, type->name) || type->ty == number) {
            return type;
        }
    }
    return NULL;
}

static bst_result type_of(const char *word, const struct bst_m2m_type **ret)
{
    *ret = type_find(bst_view(word));
    if (!*ret) {
        BST_FAIL(BST_E_USAGE,
                 "'%s' is no resource type: give a short name (cnt), a name or a number", word);
    }
    return BST_OK;
}

static bst_result read_content(struct request *r, const char *path, struct bst_view *ret)
{
    bst_auto(buf) text = {0};
    if (strcmp(path, "-") == 0) {
        char part[4096];
        size_t n;
        while ((n = fread(part, 1, sizeof part, stdin)) > 0 && text.len < CONTENT_BYTES_MAX) {
            bst_buf_add(&text, part, n);
        }
    } else {
        BST_TRY(bst_file_read(path, CONTENT_BYTES_MAX, &text));
    }
    *ret = bst_arena_view(&r->arena, bst_buf_view(&text));
    BST_ENSURE(ret->ptr, BST_E_NOMEM);
    return BST_OK;
}

/* "name=text" or "name:=json" as a JSON member. */
static bst_result add_member(struct request *r, const char *word, struct bst_buf *out)
{
    struct bst_view rest = bst_view(word), name;
    if (!bst_view_cut(&rest, '=', &name) || !name.len) {
        BST_FAIL(BST_E_USAGE, "'%s' is no attribute: write name=text or name:=JSON", word);
    }
    bool json = name.ptr[name.len - 1] == ':';
    name.len -= json;
    bst_buf_add_json(out, name);
    bst_buf_addc(out, ':');
    if (!json) {
        bst_buf_add_json(out, rest);
        return BST_OK;
    }
    yyjson_val *value;
    bst_result parsed = bst_json_parse(&r->arena, rest, BST_JSON_DEPTH, &value);
    if (bst_failed(parsed)) {
        char why[256];
        (void)bst_failed(bst_view_copy(bst_view(bst_error_detail()), why, sizeof why));
        BST_FAIL(BST_E_USAGE, "attribute %.*s: %s", BST_VIEW_ARGS(name), why);
    }
    return bst_json_write(value, out);
}

/* Content from --content, or from the words that follow the resource type. */
static bst_result build_content(struct request *r, const char *root, size_t first_word)
{
    const char *file = cli_value(r->call, "--content");
    struct bst_view text;
    if (file) {
        if (r->call->n_args > first_word) {
            BST_FAIL(BST_E_USAGE,
                     "attributes come from --content or from the command line, not from both");
        }
        BST_TRY(read_content(r, file, &text));
    } else {
        bst_auto(buf) out = {0};
        bst_buf_addf(&out, "{\"%s\":{", root);
        for (size_t i = first_word; i < r->call->n_args; i++) {
            if (i > first_word) {
                bst_buf_addc(&out, ',');
            }
            BST_TRY(add_member(r, r->call->args[i], &out));
        }
        bst_buf_adds(&out, "}}");
        BST_TRY(bst_buf_check(&out));
        text = bst_arena_view(&r->arena, bst_buf_view(&out));
        BST_ENSURE(text.ptr, BST_E_NOMEM);
    }
    BST_TRY(bst_json_parse(&r->arena, text, BST_JSON_DEPTH, &r->req.pc));
    r->req.pc_text = text;
    return BST_OK;
}

static bst_result add_filters(struct request *r)
{
    struct bst_m2m_filter_reader reader = {&r->arena, &r->req.fc};
    const char *word;
    for (size_t i = 0; (word = cli_value_at(r->call, "--filter", i)) != NULL; i++) {
        struct bst_view rest = bst_view(word), name;
        bool taken = false;
        if (!bst_view_cut(&rest, '=', &name)) {
            BST_FAIL(BST_E_USAGE, "--filter wants NAME=VALUE, such as lbl=room1 or ty=4, not '%s'",
                     word);
        }
        BST_TRY(bst_m2m_filter_add(&reader, name, rest, &taken));
        if (!taken) {
            BST_TRY(bst_m2m_filter_add_attr(&reader, BST_FC_ATR, name, rest));
        }
        r->req.present |= BST_REQ_FC;
    }
    return bst_m2m_filter_finish(&reader);
}

static bst_result add_number(struct request *r, const char *option, int64_t max, int *ret)
{
    int64_t number = *ret;
    BST_TRY(cli_number(r->call, option, number, 0, max, &number));
    *ret = (int)number;
    return BST_OK;
}

static bst_result fill_common(struct request *r, enum bst_m2m_op op)
{
    const char *release = cli_value(r->call, "--release");
    bst_m2m_request_init(&r->req);
    r->req.op = op;
    r->req.to = bst_view(r->call->args[0]);
    BST_TRY(add_number(r, "--rcn", 12, &r->req.rcn));
    BST_TRY(add_number(r, "--rt", 5, &r->req.rt));
    if (release) {
        r->req.rvi = bst_view(release);
        r->req.release = bst_m2m_release_of(r->req.rvi);
    }
    if (cli_value(r->call, "--as")) {
        r->req.fr = bst_view(cli_value(r->call, "--as"));
        r->req.present |= BST_REQ_FR;
    }
    return add_filters(r);
}

static bst_result open_client(struct request *r)
{
    const char *profile = cli_value(r->call, "--profile");
    const char *lab = cli_value(r->call, "--lab");
    if (!profile == !lab) {
        BST_FAIL(BST_E_USAGE, "say who asks: --profile DIR, or --lab PORT with --as ORIGINATOR");
    }
    if (profile) {
        return cli_client_open(profile, &r->client);
    }
    return cli_client_open_lab(lab, "", &r->client);
}

/* The answer for people: its content, or one line when there is none. */
static bst_result print_text(struct request *r)
{
    FILE *out = r->call->out;
    if (!r->rsp.pc.len) {
        fprintf(out, "%d %s\n", r->rsp.rsc, bst_m2m_rsc_name(r->rsp.rsc));
        return BST_OK;
    }
    yyjson_val *pc;
    BST_TRY(bst_json_parse(&r->arena, r->rsp.pc, 64, &pc));
    size_t len = 0;
    yyjson_alc alc = bst_json_allocator(&r->arena);
    char *pretty = yyjson_val_write_opts(pc, YYJSON_WRITE_PRETTY_TWO_SPACES, &alc, &len, NULL);
    BST_ENSURE(pretty, BST_E_NOMEM);
    fprintf(out, "%.*s\n", (int)len, pretty);
    return BST_OK;
}

static bst_result print_answer(struct request *r)
{
    if (!r->call->json) {
        return print_text(r);
    }
    bst_auto(buf) line = {0};
    bst_buf_addf(&line, "{\"rsc\":%d,\"name\":\"%s\",\"to\":", r->rsp.rsc,
                 bst_m2m_rsc_name(r->rsp.rsc));
    bst_buf_add_json(&line, r->req.to);
    if (r->rsp.cnst) {
        bst_buf_addf(&line, ",\"cnst\":%d,\"cnot\":%lld", r->rsp.cnst, (long long)r->rsp.cnot);
    }
    if (r->rsp.pc.len) {
        bst_buf_adds(&line, ",\"pc\":");
        bst_buf_addv(&line, r->rsp.pc);
    }
    bst_buf_addc(&line, '}');
    BST_TRY(bst_buf_check(&line));
    fprintf(r->call->out, "%.*s\n", (int)line.len, line.ptr);
    return BST_OK;
}

static bst_result exchange(struct request *r)
{
    BST_TRY(cli_client_request(&r->client, BST_PROFILE_CSE, &r->req, &r->arena, &r->rsp));
    BST_TRY(cli_client_status(&r->rsp));
    return print_answer(r);
}

/* Run one operation: `fill` adds what is particular to it. */
static int run(struct cli_call *call, enum bst_m2m_op op, size_t min_args,
               bst_result (*fill)(struct request *r))
{
    struct request r = {.call = call};
    if (call->n_args < min_args) {
        return cli_usage(call, "too few words");
    }
    bst_arena_init(&r.arena, 64u << 20);
    bst_result result = open_client(&r);
    if (!bst_failed(result)) {
        result = fill_common(&r, op);
    }
    if (!bst_failed(result)) {
        result = fill(&r);
    }
    if (!bst_failed(result)) {
        result = exchange(&r);
    }
    int code = bst_failed(result) ? cli_fail(call, result, "the request failed") : CLI_OK;
    cli_client_close(&r.client);
    bst_arena_clear(&r.arena);
    return code;
}

static bst_result fill_create(struct request *r)
{
    const struct bst_m2m_type *type;
    BST_TRY(type_of(r->call->args[1], &type));
    r->req.ty = type->ty;
    return build_content(r, type->root, 2);
}

static bst_result fill_update(struct request *r)
{
    const struct bst_m2m_type *type;
    BST_TRY(type_of(r->call->args[1], &type));
    return build_content(r, type->root, 2);
}

static bst_result fill_retrieve(struct request *r)
{
    size_t n = 0;
    while (cli_value_at(r->call, "--attribute", n)) {
        n++;
    }
    r->req.atrl.v = bst_arena_alloc(&r->arena, (n + 1) * sizeof *r->req.atrl.v);
    BST_ENSURE(r->req.atrl.v, BST_E_NOMEM);
    for (size_t i = 0; i < n; i++) {
        r->req.atrl.v[r->req.atrl.n++] = bst_view(cli_value_at(r->call, "--attribute", i));
    }
    return BST_OK;
}

static bst_result fill_discover(struct request *r)
{
    r->req.fc.fu = BST_FU_DISCOVERY;
    r->req.fc.present |= BST_FC_BIT(BST_FC_FU);
    r->req.present |= BST_REQ_FC;
    r->req.drt = cli_has(r->call, "--unstructured") ? 2 : 1;
    return BST_OK;
}

static bst_result fill_nothing(struct request *r)
{
    (void)r;
    return BST_OK;
}

static bst_result fill_notify(struct request *r)
{
    if (!cli_value(r->call, "--content")) {
        BST_FAIL(BST_E_USAGE, "a notification needs --content FILE");
    }
    return build_content(r, "m2m:sgn", 1);
}

static int run_create(struct cli_call *call)
{
    return run(call, BST_OP_CREATE, 2, fill_create);
}
static int run_retrieve(struct cli_call *call)
{
    return run(call, BST_OP_RETRIEVE, 1, fill_retrieve);
}
static int run_update(struct cli_call *call)
{
    return run(call, BST_OP_UPDATE, 2, fill_update);
}
static int run_delete(struct cli_call *call)
{
    return run(call, BST_OP_DELETE, 1, fill_nothing);
}
static int run_discover(struct cli_call *call)
{
    return run(call, BST_OP_RETRIEVE, 1, fill_discover);
}
static int run_notify(struct cli_call *call)
{
    return run(call, BST_OP_NOTIFY, 1, fill_notify);
}

#define WHO                                                                                        \
    {"--profile", "DIR", "Profile of who asks: credential, addresses, originator.", false},        \
        {"--lab", "PORT", "Ask a laboratory server on the loopback instead.", false},              \
        {"--as", "ID", "Originator (From); without it the profile's.", false},                     \
        {"--release", "RVI", "Release Version Indicator; without it 3.", false},                   \
        {"--rcn", "N", "Result Content, 0 to 12.", false},                                         \
    {                                                                                              \
        "--rt", "N", "Response Type, 1 to 5.", false                                               \
    }
#define CONTENT                                                                                    \
    {                                                                                              \
        "--content", "FILE", "Content as JSON with its root member; - reads standard input.",      \
            false                                                                                  \
    }
#define FILTER                                                                                     \
    {                                                                                              \
        "--filter", "NAME=VALUE", "Filter criterion (lbl, ty, cra, lim, lvl...) or attribute.",    \
            true                                                                                   \
    }

static const struct cli_option content_options[] = {WHO, CONTENT, {0}};
static const struct cli_option retrieve_options[] = {
    WHO, FILTER, {"--attribute", "NAME", "Only this attribute, by short name.", true}, {0}};
static const struct cli_option discover_options[] = {
    WHO,
    FILTER,
    {"--unstructured", NULL, "Give resource identifiers instead of paths.", false},
    {0}};
static const struct cli_option filter_options[] = {WHO, FILTER, {0}};

static const struct cli_command words[] = {
    {"create", "TO TYPE [NAME=TEXT | NAME:=JSON]...", "Create a resource",
     "TYPE is a short name (cnt), a name (container) or a number. Attributes are given by short "
     "name.",
     content_options, "bastide request create --lab 8080 --as CAdmin cse-in cnt rn=hut mni:=100",
     run_create, NULL},
    {"retrieve", "TO", "Retrieve a resource", NULL, retrieve_options,
     "bastide request retrieve --profile hut cse-in/hut/temp/la", run_retrieve, NULL},
    {"update", "TO TYPE [NAME=TEXT | NAME:=JSON]...", "Update a resource", NULL, content_options,
     "bastide request update --profile hut cse-in/hut/temp cnt mni:=50", run_update, NULL},
    {"delete", "TO", "Delete a resource and everything below it", NULL, filter_options,
     "bastide request delete --profile hut cse-in/hut/temp/la", run_delete, NULL},
    {"discover", "TO", "Find resources below one", NULL, discover_options,
     "bastide request discover --profile app cse-in --filter lbl=room1 --filter ty=3", run_discover,
     NULL},
    {"notify", "TO", "Send a notification", NULL, content_options,
     "bastide request notify --lab 8080 --as CAdmin Chut --content note.json", run_notify, NULL},
    {0},
};

const struct cli_command cmd_request = {
    "request", "",   "Ask a CSE: create, retrieve, update, delete, discover, notify",
    NULL,      NULL, NULL,
    NULL,      words};

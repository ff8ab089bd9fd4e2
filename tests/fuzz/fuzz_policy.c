/* Privileges: whatever compiles can be decided on and explained. */
#include "sec/acp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct bst_self self = {{"acme.example.com", 16}, {"id-in", 5}};

static void decide(const struct bst_acp_rules *rules, const char *from)
{
    struct bst_originator o = {0};
    if (bst_failed(bst_entity_parse(&self, bst_view(from), &o.id))) {
        return;
    }
    bst_originator_init(&o);
    for (uint32_t op = BST_ACOP_CREATE; op <= BST_ACOP_DISCOVERY; op <<= 1) {
        struct bst_location place = {
            .has_point = true, .latitude = 1, .longitude = 2, .country = "FR"};
        struct bst_access_request req = {.originator = &o,
                                         .op = op,
                                         .target_ty = 3,
                                         .create_ty = 4,
                                         .now_us = INT64_C(1795400000000000),
                                         .location = &place,
                                         .ip = {4, {10, 0, 0, 1}}};
        struct bst_access_decision d;
        struct bst_buf text = {0};
        bst_access_decide(&rules, 1, &req, &d);
        bst_access_explain(&d, &req, &text);
        bst_buf_clear(&text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bst_arena arena;
    bst_arena_init(&arena, 1 << 22);
    yyjson_val *root;
    struct bst_acp_rules *rules = NULL;
    struct bst_acp_source source = {&self, BST_VIEW("acp"), false};
    if (!bst_failed(bst_json_parse(&arena, bst_view_of(data, size), BST_JSON_DEPTH, &root)) &&
        !bst_failed(bst_acp_compile(&source, root, &rules))) {
        decide(rules, "S1");
        decide(rules, "/id-mn/C1");
    }
    bst_acp_rules_free(&rules);
    bst_arena_clear(&arena);
    return 0;
}

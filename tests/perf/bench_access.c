/* Time of one access decision: 20 policies of 10 rules, where nothing matches until the last rule.
 */
#include "sec/acp.h"

#include <stdio.h>
#include <time.h>

enum { POLICIES = 20, RULES = 10, ROUNDS = 200000 };

static const struct bst_self self = {{"acme.example.com", 16}, {"id-in", 5}};

/* Rules as people write them: some ids each, every third with a context, some with wildcards. */
static void write_policy(struct bst_buf *json, int p, bool last)
{
    bst_buf_adds(json, "{\"acr\":[");
    for (int r = 0; r < RULES; r++) {
        bst_buf_addf(
            json,
            "%s{\"acor\":[\"S%d\",\"C%dapp\",\"/id-mn%d/Cdev%d\",\"//other%d.example/S1\"%s],"
            "\"acop\":63%s}",
            r ? "," : "", p * 100 + r, p * 100 + r, p, r, p, r % 5 == 4 ? ",\"/id-mn*/Cplc*\"" : "",
            r % 3 == 2 ? ",\"acco\":[{\"actw\":[\"* * 8-17 * * 1-5 *\"],\"acip\":{\"ipv4\":"
                         "[\"10.0.0.0/8\"]}}]"
                       : "");
    }
    if (last) {
        json->len -= 1;
        bst_buf_adds(json, ",\"acaf\":true,\"acco\":[{\"actw\":[\"* * * * * * *\"]}]}");
    }
    bst_buf_adds(json, "]}");
}

static bst_result compile(int p, struct bst_acp_rules **ret)
{
    bool last = p == POLICIES - 1;
    bst_auto(buf) json = {0};
    write_policy(&json, p, last);
    struct bst_arena arena;
    bst_arena_init(&arena, 0);
    yyjson_val *root;
    struct bst_acp_source source = {&self, BST_VIEW("acp"), false};
    bst_result r = bst_json_parse(&arena, bst_buf_view(&json), 16, &root);
    r = bst_failed(r) ? r : bst_acp_compile(&source, root, ret);
    bst_arena_clear(&arena);
    return r;
}

static double measure(const struct bst_acp_rules *const *sets, struct bst_access_request *req,
                      const char *from, bool expect)
{
    struct bst_originator o = {0};
    struct bst_access_decision d;
    struct timespec a, b;
    if (bst_failed(bst_entity_parse(&self, bst_view(from), &o.id))) {
        return -1;
    }
    bst_originator_init(&o);
    req->originator = &o;
    unsigned wrong = 0;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
    for (int i = 0; i < ROUNDS; i++) {
        bst_access_decide(sets, POLICIES, req, &d);
        wrong += d.permit != expect;
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
    return wrong ? -1 : ((b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / ROUNDS;
}

int main(void)
{
    struct bst_acp_rules *sets[POLICIES] = {0};
    size_t bytes = 0;
    for (int p = 0; p < POLICIES; p++) {
        if (bst_failed(compile(p, &sets[p]))) {
            fprintf(stderr, "%s\n", bst_error_detail());
            return 1;
        }
        bytes += bst_acp_rules_bytes(sets[p]);
    }
    struct bst_access_request req = {.op = BST_ACOP_RETRIEVE,
                                     .authenticated = true,
                                     .now_us = INT64_C(1795400000) * BST_US_PER_S};
    if (bst_failed(bst_ip_parse(BST_VIEW("10.1.2.3"), &req.ip))) {
        return 1;
    }
    const struct bst_acp_rules *const *view = (const struct bst_acp_rules *const *)sets;
    double permit = measure(view, &req, "S1909", true);
    double deny = measure(view, &req, "S2", false);
    printf("access decision, %d policies of %d rules: %.0f ns permitted by the last rule, "
           "%.0f ns denied with reason, %zu bytes compiled\n",
           POLICIES, RULES, permit, deny, bytes);
    for (int p = 0; p < POLICIES; p++) {
        bst_acp_rules_free(&sets[p]);
    }
    return permit < 0 || deny < 0;
}

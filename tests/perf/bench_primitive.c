/* What the service layer's front end costs: one contentInstance CREATE from HTTP message to
 * validated members, and its answer back to an HTTP message. Prints ns per operation. */
#include "bind/http/http_binding.h"
#include "onem2m/r1.h"

#include <stdio.h>
#include <time.h>

#define ROUNDS 300000

/* A view in a static initializer. */
#define TEXT(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

static const struct bst_http_header headers[] = {
    {TEXT("Host"), TEXT("127.0.0.1:8443")},
    {TEXT("X-M2M-Origin"), TEXT("Cdevice-0001")},
    {TEXT("X-M2M-RI"), TEXT("req-000017")},
    {TEXT("X-M2M-RVI"), TEXT("3")},
    {TEXT("Accept"), TEXT("application/json")},
    {TEXT("Content-Type"), TEXT("application/json;ty=4")},
    {TEXT("Content-Length"), TEXT("95")},
};
static const struct bst_http_msg create = {
    .method = BST_HTTP_POST,
    .target = TEXT("/cse-in/device/telemetry"),
    .headers = headers,
    .n_headers = sizeof headers / sizeof headers[0],
    .minor = 1,
    .body = TEXT("{\"m2m:cin\":{\"con\":\"{\\\"load\\\":0.42,\\\"mem\\\":81234}\","
                 "\"cnf\":\"application/json:0\",\"lbl\":[\"telemetry\"]}}"),
};

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static bst_result parse(struct bst_arena *arena)
{
    yyjson_val *root;
    return bst_json_parse(arena, create.body, BST_JSON_DEPTH, &root);
}

static bst_result read_request(struct bst_arena *arena)
{
    struct bst_m2m_request req;
    return bst_http_to_request(&create, 1, arena, &req);
}

static bst_result read_and_validate(struct bst_arena *arena)
{
    struct bst_m2m_request req;
    const struct bst_m2m_type *type;
    yyjson_val *members;
    BST_TRY(bst_http_to_request(&create, 1, arena, &req));
    BST_TRY(bst_m2m_request_resource(&req, &type, &members));
    return bst_m2m_validate(type, BST_OP_CREATE, members);
}

static bst_result whole(struct bst_arena *arena)
{
    struct bst_http_msg out;
    struct bst_m2m_response rsp = {
        .rsc = BST_RSC_CREATED,
        .rqi = BST_VIEW("req-000017"),
        .rvi = BST_VIEW("3"),
        .content_location = BST_VIEW("abcdefghijklm"),
        .pc = BST_VIEW(
            "{\"m2m:cin\":{\"ri\":\"abcdefghijklm\",\"pi\":\"nopqrstuvwxyz\",\"ty\":4,\"rn\":\"x\","
            "\"ct\":\"20260101T000000,000000\",\"lt\":\"20260101T000000,000000\",\"st\":1,\"cs\":"
            "27}}"),
    };
    BST_TRY(read_and_validate(arena));
    return bst_http_from_response(&rsp, BST_FORMAT_JSON, arena, &out);
}

static bst_result discovery_query(struct bst_arena *arena)
{
    static const struct bst_http_msg discover = {
        .method = BST_HTTP_GET,
        .target = TEXT("/cse-in?fu=1&ty=3+4&lbl=telemetry+room:1&lim=50&cra=20260101T000000"),
        .headers = headers,
        .n_headers = 5,
        .minor = 1};
    struct bst_m2m_request req;
    return bst_http_to_request(&discover, 1, arena, &req);
}

static void measure(const char *what, bst_result (*run)(struct bst_arena *))
{
    struct bst_arena arena;
    double best = 1e18;
    bst_arena_init(&arena, 0);
    for (int repeat = 0; repeat < 5; repeat++) {
        double start = now_ns();
        for (int i = 0; i < ROUNDS; i++) {
            bst_arena_reset(&arena);
            if (bst_failed(run(&arena))) {
                fprintf(stderr, "%s: %s\n", what, bst_error_detail());
                exit(1);
            }
        }
        double ns = (now_ns() - start) / ROUNDS;
        best = ns < best ? ns : best;
    }
    printf("%-44s %8.0f ns/op\n", what, best);
    bst_arena_clear(&arena);
}

int main(void)
{
    measure("JSON of a contentInstance", parse);
    measure("HTTP message to checked request", read_request);
    measure("the same and attributes validated", read_and_validate);
    measure("the same and the answer built", whole);
    measure("HTTP message with a discovery query", discovery_query);
    return 0;
}

/* The reader of plaintext handshakes, fed as records of any cut; then both message readers alone.
 */
#include "tls/scan.h"

static bst_result read_message(void *ctx, uint8_t type, struct bst_view body)
{
    struct bst_tls_hello hello;
    struct bst_view identity = {0};
    if (type == BST_TLS_MSG_CLIENT_HELLO) {
        if (!bst_failed(bst_tls_hello_read(body, &hello))) {
            identity = hello.psk_identity;
        }
    } else if (bst_failed(bst_tls_key_exchange_read(body, &identity))) {
        identity = (struct bst_view){0};
    }
    /* What is read lies inside the message. */
    if (identity.len &&
        (identity.ptr < body.ptr || identity.ptr + identity.len > body.ptr + body.len)) {
        abort();
    }
    (void)bst_tls_identity_is_text(identity);
    return BST_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct bst_tls_scan scan = {0};
    struct bst_view in = bst_view_of(bytes, len);
    size_t n;
    while (in.len && (n = bst_tls_record_len(in)) > 0) {
        if (bst_failed(
                bst_tls_scan_record(&scan, (struct bst_view){in.ptr, n}, read_message, NULL))) {
            break;
        }
        in = bst_view_from(in, n);
    }
    bst_tls_scan_clear(&scan);
    in = bst_view_of(bytes, len);
    (void)!bst_failed(read_message(NULL, BST_TLS_MSG_CLIENT_HELLO, in));
    (void)!bst_failed(read_message(NULL, BST_TLS_MSG_CLIENT_KEY_EXCHANGE, in));
    return 0;
}

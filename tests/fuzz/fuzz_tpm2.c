/* What comes from the folder of a TPM, and attestations that anybody may send. */
#include "crypto/endorse.h"
#include "se/tpm2/tpm2.h"
#include "se/tpm2/tpm2_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_head(struct bst_view in)
{
    struct tpm2_head head;
    TPM2B_PUBLIC public;
    uint64_t number;
    bst_auto(buf) back = {0};
    if (!bst_failed(tpm2_head_read(in, &head)) && !bst_failed(tpm2_head_put(&head, &back))) {
        BST_BUG(!bst_view_eq(in, bst_buf_view(&back)));
        (void)tpm2_read_public(head.pub, &public).code;
    }
    (void)tpm2_tomb_read(in, &number);
}

/* A record whose seal was good says whatever its writer wanted. */
static void read_record(struct bst_view in)
{
    struct tpm2_record record;
    bst_auto(buf) back = {0};
    if (!bst_failed(tpm2_record_read(in, &record))) {
        tpm2_record_put(&record, &back);
        bst_free(record.object);
    }
}

static void read_public(struct bst_view in)
{
    TPM2B_PUBLIC public;
    bst_auto(buf) spki = {0};
    uint8_t name[TPM2_NAME_MAX];
    size_t len;
    if (!bst_failed(tpm2_read_public(in, &public))) {
        (void)tpm2_spki(&public.publicArea, &spki).code;
        (void)tpm2_name(&public.publicArea, name, &len).code;
    }
}

/* Length and bytes, five times. */
static void verify(struct bst_view in)
{
    bst_auto(se_attestation) a = {.kind = "tpm2"};
    struct bst_buf *const parts[] = {&a.statement, &a.signature, &a.object, &a.signer, &a.chain};
    bst_auto(se_attested) attested = {.level = 0};
    bst_auto(buf) challenge = {0}, nonce = {0};
    for (size_t i = 0; i < 5; i++) {
        struct bst_view part = {0};
        (void)bst_soft_take_view(&in, 2, &part);
        bst_buf_addv(parts[i], part);
    }
    (void)bst_se_attest_verify(&a, BST_VIEW("nonce"), in, &attested).code;
    (void)bst_tpm2_challenge(&a, in, &challenge, &nonce).code;
}

static void read_certificate(struct bst_view in)
{
    bst_auto(endorsement) e = {.evaluated = false};
    (void)bst_endorsement_verify(in, (struct bst_view){0}, in, 0, &e).code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct bst_view in = bst_view_of(data + 1, size - 1);
    switch (data[0] % 5) {
    case 0:
        read_head(in);
        break;
    case 1:
        read_record(in);
        break;
    case 2:
        read_public(in);
        break;
    case 3:
        verify(in);
        break;
    default:
        read_certificate(in);
    }
    return 0;
}

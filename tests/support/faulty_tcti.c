/* TCTI library: hands commands on to the TCTI that its settings name, but for the one that fails.
 */
#include "support/faulty_tcti.h"

#include <string.h>
#include <tss2/tss2_tctildr.h>

struct faulty_tcti faulty_tcti_state;

#define MAGIC UINT64_C(0xfa017fa017fa0170)
#define ANSWER_BYTES 10

struct context {
    TSS2_TCTI_CONTEXT_COMMON_V2 common;
    TSS2_TCTI_CONTEXT *behind;
    bool answer; /* the next answer is made up */
};

static TSS2_RC transmit(TSS2_TCTI_CONTEXT *tcti, size_t size, const uint8_t *command)
{
    struct context *c = (struct context *)tcti;
    struct faulty_tcti *f = &faulty_tcti_state;
    if (++f->calls != f->fail_at) {
        return Tss2_Tcti_Transmit(c->behind, size, command);
    }
    c->answer = f->rc != 0;
    return c->answer ? TSS2_RC_SUCCESS : TSS2_TCTI_RC_IO_ERROR;
}

static TSS2_RC receive(TSS2_TCTI_CONTEXT *tcti, size_t *size, uint8_t *response, int32_t timeout)
{
    struct context *c = (struct context *)tcti;
    uint32_t rc = faulty_tcti_state.rc;
    const uint8_t answer[ANSWER_BYTES] = {0x80,
                                          0x01,
                                          0,
                                          0,
                                          0,
                                          ANSWER_BYTES,
                                          (uint8_t)(rc >> 24),
                                          (uint8_t)(rc >> 16),
                                          (uint8_t)(rc >> 8),
                                          (uint8_t)rc};
    if (!c->answer) {
        return Tss2_Tcti_Receive(c->behind, size, response, timeout);
    }
    if (!response) {
        *size = sizeof answer;
        return TSS2_RC_SUCCESS;
    }
    c->answer = false;
    memcpy(response, answer, sizeof answer);
    *size = sizeof answer;
    return TSS2_RC_SUCCESS;
}

static void finalize(TSS2_TCTI_CONTEXT *tcti)
{
    struct context *c = (struct context *)tcti;
    Tss2_TctiLdr_Finalize(&c->behind);
}

static TSS2_RC init(TSS2_TCTI_CONTEXT *tcti, size_t *size, const char *config)
{
    if (!tcti) {
        *size = sizeof(struct context);
        return TSS2_RC_SUCCESS;
    }
    struct context *c = (struct context *)tcti;
    memset(c, 0, sizeof *c);
    c->common.v1.magic = MAGIC;
    c->common.v1.version = 2;
    c->common.v1.transmit = transmit;
    c->common.v1.receive = receive;
    c->common.v1.finalize = finalize;
    return Tss2_TctiLdr_Initialize(config, &c->behind);
}

const TSS2_TCTI_INFO *Tss2_Tcti_Info(void);
const TSS2_TCTI_INFO *Tss2_Tcti_Info(void)
{
    static const TSS2_TCTI_INFO info = {.version = 2,
                                        .name = "faulty",
                                        .description = "fails on demand",
                                        .config_help = "another TCTI",
                                        .init = init};
    return &info;
}

/* Batches of NEA and NIA 1 to 3 by intel-ipsec-mb, which is loaded when it is there: its header at
 * build time, its library at run time. */
#include "core5g/air/air_priv.h"

#include <dlfcn.h>
#include <intel-ipsec-mb.h>
#include <pthread.h>
#include <stdio.h>

#define AT_ONCE 16
/* What the library's lengths of 16 bits hold, and what one of ZUC's messages may have. */
#define BITS_MAX (65500 * 8)
#define ZUC_BITS_MAX 65504
/* CMAC takes header and message in one piece: the largest PDCP SDU (TS 38.323 4.3.1) is copied. */
#define CMAC_OCTETS_MAX 9000
#define HEADER 8

/* ---- the library ---- */

static struct {
    IMB_MGR *(*alloc)(uint64_t flags);
    void (*release)(IMB_MGR *manager);
    void (*init)(IMB_MGR *manager, IMB_ARCH *arch);
    pthread_key_t worker;
} library;

/* A manager holds jobs on their way and is one thread's. */
struct worker {
    IMB_MGR *manager;
    uint8_t text[AT_ONCE][HEADER + CMAC_OCTETS_MAX];
};

static void worker_free(void *ptr)
{
    struct worker *worker = ptr;
    if (worker->manager) {
        library.release(worker->manager);
    }
    bst_free(worker);
}

static struct worker *worker_new(void)
{
    IMB_ARCH arch = IMB_ARCH_NONE;
    struct worker *worker = bst_alloc(sizeof *worker);
    if (!worker) {
        return NULL;
    }
    worker->manager = library.alloc(0);
    if (worker->manager) {
        library.init(worker->manager, &arch);
    }
    if (arch == IMB_ARCH_NONE || pthread_setspecific(library.worker, worker)) {
        worker_free(worker);
        return NULL;
    }
    return worker;
}

static bool symbol(void *handle, const char *name, void *ret)
{
    void *found = dlsym(handle, name);
    memcpy(ret, &found, sizeof found);
    return found != NULL;
}

static bool usable(void)
{
    char name[32];
    (void)snprintf(name, sizeof name, "libIPSec_MB.so.%d", IMB_VERSION_NUM >> 16);
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL); /* stays: keys point into it */
    return handle && symbol(handle, "alloc_mb_mgr", &library.alloc) &&
           symbol(handle, "free_mb_mgr", &library.release) &&
           symbol(handle, "init_mb_mgr_auto", &library.init) &&
           pthread_key_create(&library.worker, worker_free) == 0 && worker_new();
}

/* ---- jobs ---- */

/* What a job points at while the library works. */
struct scratch {
    uint8_t iv[16], key[16], tag[16] __attribute__((aligned(16)));
};

typedef void fill_fn(struct worker *worker, IMB_JOB *job, const struct bst_air_job *from,
                     struct scratch *scratch, size_t slot);

static void cipher(IMB_JOB *job, IMB_CIPHER_MODE mode, const struct bst_air_job *from)
{
    job->cipher_mode = mode;
    job->cipher_direction = IMB_DIR_ENCRYPT;
    job->chain_order = IMB_ORDER_CIPHER_HASH;
    job->hash_alg = IMB_AUTH_NULL;
    job->src = from->in;
    job->dst = from->out;
    job->cipher_start_src_offset_in_bytes = 0;
    job->msg_len_to_cipher_in_bytes = from->len;
    job->key_len_in_bytes = 16;
    job->iv = from->iv;
    job->iv_len_in_bytes = 16;
}

static void hash(IMB_JOB *job, IMB_HASH_ALG algorithm, const uint8_t *in, size_t bits,
                 struct scratch *scratch)
{
    job->cipher_mode = IMB_CIPHER_NULL;
    job->cipher_direction = IMB_DIR_ENCRYPT;
    job->chain_order = IMB_ORDER_HASH_CIPHER;
    job->hash_alg = algorithm;
    job->src = in;
    job->hash_start_src_offset_in_bytes = 0;
    job->msg_len_to_hash_in_bits = bits;
    job->auth_tag_output = scratch->tag;
    job->auth_tag_output_len_in_bytes = 4;
}

static void fill_nea1(struct worker *worker, IMB_JOB *job, const struct bst_air_job *from,
                      struct scratch *scratch, size_t slot)
{
    IMB_SNOW3G_INIT_KEY_SCHED(worker->manager, from->key->key.ptr, (void *)scratch->key);
    cipher(job, IMB_CIPHER_SNOW3G_UEA2_BITLEN, from);
    job->cipher_start_src_offset_in_bits = 0;
    job->msg_len_to_cipher_in_bits = 8 * from->len;
    job->enc_keys = scratch->key;
}

static void fill_nea2(struct worker *worker, IMB_JOB *job, const struct bst_air_job *from,
                      struct scratch *scratch, size_t slot)
{
    cipher(job, IMB_CIPHER_CNTR, from);
    job->enc_keys = from->key->schedule.ptr;
}

static void fill_nea3(struct worker *worker, IMB_JOB *job, const struct bst_air_job *from,
                      struct scratch *scratch, size_t slot)
{
    cipher(job, IMB_CIPHER_ZUC_EEA3, from);
    job->enc_keys = from->key->key.ptr;
}

static void fill_nia1(struct worker *worker, IMB_JOB *job, const struct bst_air_job *from,
                      struct scratch *scratch, size_t slot)
{
    IMB_SNOW3G_INIT_KEY_SCHED(worker->manager, from->key->key.ptr, (void *)scratch->key);
    memcpy(scratch->iv, from->iv, 16);
    hash(job, IMB_AUTH_SNOW3G_UIA2_BITLEN, from->in, from->packet->bits, scratch);
    job->u.SNOW3G_UIA2._key = scratch->key;
    job->u.SNOW3G_UIA2._iv = scratch->iv;
}

static void fill_nia2(struct worker *worker, IMB_JOB *job, const struct bst_air_job *from,
                      struct scratch *scratch, size_t slot)
{
    const uint8_t *schedule = from->key->schedule.ptr;
    uint8_t *text = worker->text[slot];
    memcpy(text, from->iv, HEADER);
    if (from->len > 0) {
        memcpy(text + HEADER, from->in, from->len);
    }
    hash(job, IMB_AUTH_AES_CMAC_BITLEN, text, HEADER * 8 + from->packet->bits, scratch);
    job->u.CMAC._key_expanded = schedule;
    job->u.CMAC._skey1 = schedule + BST_AIR_K1_AT;
    job->u.CMAC._skey2 = schedule + BST_AIR_K2_AT;
}

static void fill_nia3(struct worker *worker, IMB_JOB *job, const struct bst_air_job *from,
                      struct scratch *scratch, size_t slot)
{
    memcpy(scratch->iv, from->iv, 16);
    hash(job, IMB_AUTH_ZUC_EIA3_BITLEN, from->in, from->packet->bits, scratch);
    job->u.ZUC_EIA3._key = from->key->key.ptr;
    job->u.ZUC_EIA3._iv = scratch->iv;
}

static const struct {
    fill_fn *fill;
    size_t bits_min, bits_max;
} kinds[2][4] = {
    [BST_AIR_NEA] = {[1] = {fill_nea1, 1, BITS_MAX},
                     [2] = {fill_nea2, 1, BITS_MAX},
                     [3] = {fill_nea3, 1, ZUC_BITS_MAX}},
    [BST_AIR_NIA] = {[1] = {fill_nia1, 1, BITS_MAX},
                     [2] = {fill_nia2, 0, (size_t)CMAC_OCTETS_MAX * 8},
                     [3] = {fill_nia3, 1, ZUC_BITS_MAX}},
};

static bool completed(const IMB_JOB *done)
{
    return !done || done->status == IMB_STATUS_COMPLETED;
}

/* As many as one scratch is for; what the library does not take is done here. */
static bst_result some_jobs(struct worker *worker, struct bst_air_job *jobs, size_t n)
{
    const struct bst_air_algorithm *algorithm = jobs[0].key->algorithm;
    struct scratch scratch[AT_ONCE];
    bool taken[AT_ONCE], good = true;
    const IMB_JOB *done;
    for (size_t i = 0; i < n; i++) {
        size_t bits = jobs[i].packet->bits;
        taken[i] = bits >= kinds[algorithm->kind][algorithm->id].bits_min &&
                   bits <= kinds[algorithm->kind][algorithm->id].bits_max;
        if (taken[i]) {
            IMB_JOB *job = IMB_GET_NEXT_JOB(worker->manager);
            kinds[algorithm->kind][algorithm->id].fill(worker, job, &jobs[i], &scratch[i], i);
            good = completed(IMB_SUBMIT_JOB_NOCHECK(worker->manager)) && good;
        }
    }
    while ((done = IMB_FLUSH_JOB(worker->manager))) {
        good = completed(done) && good;
    }
    for (size_t i = 0; i < n; i++) {
        memcpy(jobs[i].tag, scratch[i].tag, taken[i] ? 4 : 0);
        if (!taken[i]) {
            BST_TRY(bst_air_serve_single(&jobs[i], false));
        }
    }
    bst_wipe(scratch, sizeof scratch);
    if (!good) {
        BST_FAIL(BST_E_CRYPTO, "intel-ipsec-mb did not complete %s", algorithm->name);
    }
    return BST_OK;
}

static bst_result batch(struct bst_air_job *jobs, size_t n, bool open)
{
    struct worker *worker = pthread_getspecific(library.worker);
    if (!worker) {
        worker = worker_new();
    }
    BST_ENSURE(worker, BST_E_NOMEM);
    for (size_t some; n > 0; n -= some, jobs += some) {
        some = n < AT_ONCE ? n : AT_ONCE;
        BST_TRY(some_jobs(worker, jobs, some));
    }
    return BST_OK;
}

const struct bst_air_implementation bst_air_ipsec_mb = {
    .name = "ipsec-mb",
    .usable = usable,
    .batch = {[BST_AIR_NEA] = {[1] = batch, [2] = batch, [3] = batch},
              [BST_AIR_NIA] = {[1] = batch, [2] = batch, [3] = batch}},
    .aes_schedule = bst_air_aes_schedule_x86,
};

/* What the files of the certification authority share. */
#pragma once

#include "base/time.h"
#include "pki/pki.h"
#include "se/se.h"

#include <pthread.h>

#define PKI_PATH_BYTES 1024
#define PKI_ROOTS_MAX (1 + BST_PKI_FORMER_MAX)
/* Clocks of devices may be behind. */
#define PKI_BACKDATE_US (3600 * BST_US_PER_S)

/** One root with its list; [0] is the present one. */
struct pki_root {
    struct x509_st *cert;
    struct evp_pkey_st *key;    /* inside its secure environment; NULL: not at hand */
    struct evp_pkey_st *public; /* of the certificate */
    char serial[48];
    struct bst_crl crl;
    struct bst_buf crl_pem;
};

struct bst_pki {
    struct bst_se *se;
    const struct bst_se_host *host;
    const struct bst_pki_keys *keys;
    char crt_path[PKI_PATH_BYTES], crl_path[PKI_PATH_BYTES], chain_path[PKI_PATH_BYTES];
    char label[BST_KEY_LABEL_MAX + 1];
    int64_t crl_lifetime_us;
    struct pki_root roots[PKI_ROOTS_MAX];
    size_t n_roots;
    struct x509_st *crosses[BST_PKI_FORMER_MAX]; /* [i]: the key of root i by root i+1 */
    size_t n_crosses;
    pthread_mutex_t lock; /* guards the lists */
};

int64_t pki_now_us(const struct bst_pki *pki);
bst_result pki_read(const struct bst_pki *pki, const char *path, struct bst_buf *ret);
bst_result pki_replace(const struct bst_pki *pki, const char *path, const struct bst_buf *text);
void pki_root_clear(struct pki_root *root);
/** Takes the certificate. */
bst_result pki_root_set(struct pki_root *root, struct x509_st *take_cert);
bst_result pki_roots_text(const struct pki_root *roots, size_t n, struct bst_buf *ret_pem);
bst_result pki_crosses_text(struct x509_st *const *crosses, size_t n, struct bst_buf *ret_pem);

/* pki_lists.c */
/** Sign a list with the next number, in memory. */
bst_result pki_list_sign(const struct bst_pki *pki, struct pki_root *root,
                         const struct bst_revocation *entries, size_t n);
/** Write the lists of these roots as one file. */
bst_result pki_lists_write(const struct bst_pki *pki, const struct pki_root *roots, size_t n);
bst_result pki_lists_open(struct bst_pki *pki);

/* pki_succeed.c */
/** Those certificates of the file that lead from root to root; others are left out. */
bst_result pki_crosses_open(struct bst_pki *pki);

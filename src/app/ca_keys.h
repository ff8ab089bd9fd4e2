/* Where the keys of the project CA are: the present one, and those of former roots that are still
 * trusted. pki/ca.keys holds what the configuration does not say. */
#pragma once

#include "app/state.h"

#define CA_KEYS_FILE "pki/ca.keys"
#define CA_PLACES_MAX (1 + BST_PKI_FORMER_MAX)

/** Addresses besides `pki.ca-uri`, and until when former roots are trusted. */
struct ca_record {
    char *places[CA_PLACES_MAX]; /* owned; asked after the configuration's */
    size_t n_places;
    struct ca_former {
        char serial[48];  /* of the root */
        int64_t until_us; /* wall; 0: until it is retired */
    } former[BST_PKI_FORMER_MAX];
    size_t n_former;
};
void ca_record_clear(struct ca_record *record);
/** Empty when there is no file. */
bst_result ca_record_read(const struct bst_state *state, struct ca_record *ret);
bst_result ca_record_write(const struct bst_state *state, const struct ca_record *record);
/** The latest addition is asked first; one that is there already moves there. */
bst_result ca_record_add_place(struct ca_record *record, const char *address);

/** Opens the environments of the CA's keys; those that are open already are kept by the state, as a
 * folder has one writer. Fits struct bst_pki_keys. */
struct ca_keys {
    struct bst_state *state;
    const struct bst_config *config;
    bool anew; /* open tokens once more, to see what other programs did on them */
    struct ca_record record;
};
/** @param ret_address  where it was found; may be NULL; borrowed of `keys` */
bst_result ca_keys_find(struct ca_keys *keys, struct bst_view cert_pem,
                        struct bst_state_place *ret_borrowed, bst_key *ret,
                        const char **ret_address);
/** The environment of an address, "" for that of the state; borrowed from the state. */
bst_result ca_keys_place(struct ca_keys *keys, const char *address,
                         struct bst_state_place *ret_borrowed);
void ca_keys_close(struct bst_state *state);

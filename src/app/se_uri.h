/* Addresses of secure environments as people and configurations give them. */
#pragma once

#include "se/se.h"

/** The address with the file of its PIN put in, in place of any other; for software it is the file
 * of the passphrase. Relative paths become absolute when `absolute`, so that the address holds from
 * every folder. The text ends with NUL.
 * @param pin_file  may be NULL */
bst_result bst_se_uri_settle(const char *uri, const char *pin_file, bool absolute,
                             struct bst_buf *ret);
/** Take `object=LABEL` (RFC 7512 2.3; for all kinds of environments) out of the address of a key.
 * @param ret_label  untouched when the address names none */
bst_result bst_se_uri_split(const char *uri, struct bst_buf *ret_uri,
                            char ret_label[BST_KEY_LABEL_MAX + 1]);
/** The address without its query, for people. */
struct bst_view bst_se_uri_name(const char *uri);

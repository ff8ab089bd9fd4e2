/* What the reader, the table and the printer of the configuration share. */
#pragma once

#include "app/config.h"

#define CONFIG_FILE_MAX ((size_t)256 * 1024)
#define CONFIG_ITEMS_MAX 256

/** Row of a dotted name; -1 when there is none. */
int config_find(const struct bst_config_option *schema, size_t n, struct bst_view name);
/** The row whose name is nearest, NULL when none is near. */
const char *config_nearest(const struct bst_config_option *schema, size_t n, struct bst_view name);
/** Set a text, number or switch of `base` from its text form; `plain`: it was not quoted. */
bst_result config_set_scalar(const struct bst_config_option *option, void *field,
                             struct bst_view value, bool plain);
/** Append to a list. */
bst_result config_add_text(const struct bst_config_option *option, struct bst_config_texts *list,
                           struct bst_view value);
void config_texts_clear(struct bst_config_texts *list);
/** Append a MEF with its defaults. */
bst_result config_add_mef(struct bst_config *config, struct bst_config_mef **ret);

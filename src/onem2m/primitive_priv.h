/* The request parameters by short name: where each is kept. Shared by the checks and the JSON form.
 */
#pragma once

#include "onem2m/primitive.h"
#include "onem2m/tables_priv.h"

enum bst_m2m_param_form {
    BST_PARAM_TEXT,
    BST_PARAM_INT,
    BST_PARAM_TIME,
    BST_PARAM_BOOL, /* presence in bst_m2m_request.present */
    BST_PARAM_TEXTS,
    BST_PARAM_RT,
    BST_PARAM_FC,
    BST_PARAM_PC,
};
struct bst_m2m_param {
    char sn[8];
    enum bst_m2m_param_form form;
    size_t at;    /* offset in struct bst_m2m_request */
    int absent;   /* of an INT: the value that means absent */
    uint32_t bit; /* of a BOOL */
};
/* In the order of bst_m2m_parameters, which the generator sorts by short name. */
extern const struct bst_m2m_param bst_m2m_params[];
extern const size_t bst_m2m_n_params;

bool bst_m2m_param_present(const struct bst_m2m_request *req, const struct bst_m2m_param *p);

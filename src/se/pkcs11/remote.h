/* A PKCS#11 module in a process of its own, as a function list like that of a module in this one.
 *
 * A module that crashes, hangs or is killed costs the calls that wait for it, nothing else: they
 * end with P11_RV_ENDED or P11_RV_HUNG, and the next start is a new process. */
#pragma once

#include "bastide/result.h"

#include <p11-kit/pkcs11.h>

#include <stdbool.h>

/* Answers that no module gives. */
#define P11_RV_ENDED (CKR_VENDOR_DEFINED | 0x42535401UL)
#define P11_RV_HUNG (CKR_VENDOR_DEFINED | 0x42535402UL)

struct p11_remote;
struct p11_remote_spec {
    const char *module_path; /* "": those that p11-kit has registered... */
    const char *module_name; /* ...or of these the one with that name */
    int timeout_s;           /* a call that takes longer ends the process */
};
/** Nothing is started yet. @param spec  borrowed as long as the remote lives */
bst_result p11_remote_new(const struct p11_remote_spec *spec, struct p11_remote **ret);
void p11_remote_free(struct p11_remote **remote);
/** A new process, in place of an old one. Nobody else calls meanwhile.
 * @error BST_E_CONFIG  there is no such module, or it cannot be initialised
 * @error BST_E_BUSY    it ended or hung while it started */
bst_result p11_remote_start(struct p11_remote *remote);
/** The last thing that it did was not to answer. */
bool p11_remote_hung(struct p11_remote *remote);
/** Process of the module, 0 when there is none. */
int p11_remote_pid(struct p11_remote *remote);
/** C_GetSlotList, which has no argument that would say whose. */
CK_RV p11_remote_slots(struct p11_remote *remote, CK_SLOT_ID *slots, CK_ULONG *n);
/** What the backend uses of PKCS#11; slots and sessions say whose process is meant. */
extern CK_FUNCTION_LIST p11_remote_functions;

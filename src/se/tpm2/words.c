/* What a TPM says, in words. */
#include "obs/log.h"
#include "se/tpm2/tpm2_priv.h"

#include <tss2/tss2_rc.h>

#include <stdio.h>

#define GONE_REMEDY                                                                                \
    "the next use tries again by itself; if it stays so, is the device there, may this user open " \
    "it (group tss), is its service up?"
#define LOCKOUT_REMEDY                                                                             \
    "wait, or let the holder of the lockout authorisation end it: tpm2_dictionarylockout -c"
#define TAKEN "end other programs that use it without a resource manager, or use /dev/tpmrm0"

#define OURS "the log of Bastide at level debug has the answer; please report it"
#define WAY "is it a TPM 2.0, is all in order between this machine and it?"

#define OWN_FAILURE ((TSS2_RC)TSS2_RC_LAYER(0xfe)) /* a layer that nobody has */

/* No code by its name: an operator cannot do anything with it. */
static const struct {
    TSS2_RC rc;
    enum bst_error error;
    enum tpm2_loss loss;
    const char *words, *remedy;
} words[] = {
    {TPM2_RC_INITIALIZE, BST_E_BUSY, TPM2_GONE, "it has just been started", GONE_REMEDY},
    {TPM2_RC_FAILURE, BST_E_SE_TOKEN, TPM2_STILL_THERE,
     "it has failed its self-test and refuses everything", "restart the machine"},
    {TPM2_RC_REBOOT, BST_E_SE_TOKEN, TPM2_STILL_THERE, "it wants a restart", "restart the machine"},
    {TPM2_RC_UPGRADE, BST_E_BUSY, TPM2_STILL_THERE, "its firmware is being replaced",
     "try again when that is done"},
    {TPM2_RC_DISABLED, BST_E_SE_MECHANISM, TPM2_STILL_THERE, "the command is disabled",
     "look into the settings of the firmware (BIOS)"},
    {TPM2_RC_COMMAND_CODE, BST_E_SE_MECHANISM, TPM2_STILL_THERE, "it does not have this command",
     ""},
    {TPM2_RC_AUTH_FAIL, BST_E_SE_PIN, TPM2_STILL_THERE, "the PIN is wrong",
     "put the right PIN into the file of pin-source="},
    {TPM2_RC_BAD_AUTH, BST_E_SE_PIN, TPM2_STILL_THERE, "the authorisation is wrong",
     "of the owner hierarchy: owner-source= names the file with its secret"},
    {TPM2_RC_LOCKOUT, BST_E_SE_BLOCKED, TPM2_STILL_THERE, "it is locked after too many wrong tries",
     LOCKOUT_REMEDY},
    {TPM2_RC_POLICY_FAIL, BST_E_SE_BLOCKED, TPM2_STILL_THERE,
     "the machine was not started as when the keys were made: the PCRs of pcrs= differ",
     "start what was started then; keys that are bound to PCRs need a way back beforehand"},
    {TPM2_RC_PCR_CHANGED, BST_E_SE_BLOCKED, TPM2_STILL_THERE, "the PCRs of pcrs= have just changed",
     "try again; if it stays so, start anew"},
    {TPM2_RC_AUTH_UNAVAILABLE, BST_E_SE_USAGE, TPM2_STILL_THERE,
     "the object cannot be used with this kind of authorisation", ""},
    {TPM2_RC_OBJECT_MEMORY, BST_E_BUSY, TPM2_NO_PLACE, "its places for loaded keys are taken",
     TAKEN},
    {TPM2_RC_OBJECT_HANDLES, BST_E_BUSY, TPM2_NO_PLACE, "its places for loaded keys are taken",
     TAKEN},
    {TPM2_RC_SESSION_MEMORY, BST_E_BUSY, TPM2_NO_PLACE, "its places for sessions are taken", TAKEN},
    {TPM2_RC_SESSION_HANDLES, BST_E_BUSY, TPM2_NO_PLACE, "its places for sessions are taken",
     TAKEN},
    {TPM2_RC_CONTEXT_GAP, BST_E_BUSY, TPM2_GONE, "it can count no more sessions", TAKEN},
    {TPM2_RC_MEMORY, BST_E_BUSY, TPM2_NO_PLACE, "it is out of memory", TAKEN},
    {TPM2_RC_REFERENCE_H0, BST_E_BUSY, TPM2_GONE, "it has forgotten a loaded key", GONE_REMEDY},
    {TPM2_RC_REFERENCE_H1, BST_E_BUSY, TPM2_GONE, "it has forgotten a loaded key", GONE_REMEDY},
    {TPM2_RC_REFERENCE_H2, BST_E_BUSY, TPM2_GONE, "it has forgotten a loaded key", GONE_REMEDY},
    {TPM2_RC_REFERENCE_S0, BST_E_BUSY, TPM2_GONE, "it has forgotten a session", GONE_REMEDY},
    {TPM2_RC_REFERENCE_S1, BST_E_BUSY, TPM2_GONE, "it has forgotten a session", GONE_REMEDY},
    {TPM2_RC_REFERENCE_S2, BST_E_BUSY, TPM2_GONE, "it has forgotten a session", GONE_REMEDY},
    {TPM2_RC_RETRY, BST_E_BUSY, TPM2_STILL_THERE, "it is busy", "try again"},
    {TPM2_RC_YIELDED, BST_E_BUSY, TPM2_STILL_THERE, "it is busy", "try again"},
    {TPM2_RC_TESTING, BST_E_BUSY, TPM2_STILL_THERE, "it tests itself", "try again"},
    {TPM2_RC_CANCELED, BST_E_CANCELLED, TPM2_STILL_THERE, "it was cancelled", ""},
    {TPM2_RC_LOCALITY, BST_E_SE_USAGE, TPM2_STILL_THERE, "it does not do that from here (locality)",
     ""},
    {TPM2_RC_NV_SPACE, BST_E_DISK_FULL, TPM2_STILL_THERE, "its memory for counters is full",
     "remove indices that are not needed: tpm2_nvundefine"},
    {TPM2_RC_NV_RATE, BST_E_BUSY, TPM2_STILL_THERE, "it spares its memory from so many writes",
     "try again later"},
    {TPM2_RC_NV_UNAVAILABLE, BST_E_BUSY, TPM2_STILL_THERE, "its memory cannot be written now",
     "try again later"},
    {TPM2_RC_NV_DEFINED, BST_E_EXISTS, TPM2_STILL_THERE, "this NV index is taken", ""},
    {TPM2_RC_NV_AUTHORIZATION, BST_E_SE_USAGE, TPM2_STILL_THERE, "this NV index is somebody else's",
     ""},
    {TPM2_RC_NV_UNINITIALIZED, BST_E_NOT_FOUND, TPM2_STILL_THERE, "this NV index was never written",
     ""},
    {TPM2_RC_HANDLE, BST_E_NOT_FOUND, TPM2_STILL_THERE, "there is no such key or index",
     "was it taken away by another program, or was the owner "
     "hierarchy cleared?"},
    {TPM2_RC_INTEGRITY, BST_E_CORRUPT, TPM2_STILL_THERE,
     "the key was changed, or is of another TPM", "restore the folder on the machine it is of"},
    {TPM2_RC_CURVE, BST_E_SE_MECHANISM, TPM2_STILL_THERE, "it does not have this curve",
     "choose EC P-256"},
    {TPM2_RC_HASH, BST_E_SE_MECHANISM, TPM2_STILL_THERE, "it does not have this hash function",
     "choose SHA-256"},
    {TPM2_RC_ASYMMETRIC, BST_E_SE_MECHANISM, TPM2_STILL_THERE, "it does not have this algorithm",
     ""},
    {TPM2_RC_SCHEME, BST_E_SE_MECHANISM, TPM2_STILL_THERE,
     "it does not use the key with this algorithm", ""},
    {TPM2_RC_SYMMETRIC, BST_E_SE_MECHANISM, TPM2_STILL_THERE, "it does not have this cipher", ""},
    {TPM2_RC_ATTRIBUTES, BST_E_SE_USAGE, TPM2_STILL_THERE, "the key may not be used for this", ""},
    {TPM2_RC_TYPE, BST_E_SE_MECHANISM, TPM2_STILL_THERE, "keys of this type do not do this", ""},
    {TPM2_RC_KEY, BST_E_BAD_KEY, TPM2_STILL_THERE, "it does not take the key", ""},
    {TPM2_RC_BINDING, BST_E_BAD_KEY, TPM2_STILL_THERE,
     "the two halves of the key do not belong together", ""},
    {TPM2_RC_ECC_POINT, BST_E_BAD_KEY, TPM2_STILL_THERE, "the public key is not on the curve", ""},
    {TPM2_RC_KEY_SIZE, BST_E_SE_MECHANISM, TPM2_STILL_THERE, "it does not use keys of this size",
     ""},
    {TPM2_RC_SIZE, BST_E_TOO_LONG, TPM2_STILL_THERE, "the data has a wrong length", ""},
    {TPM2_RC_HIERARCHY, BST_E_SE_MECHANISM, TPM2_STILL_THERE, "this hierarchy is switched off",
     "look into the settings of the firmware (BIOS)"},
    {TPM2_RC_NONCE, BST_E_BUSY, TPM2_GONE, "its session does not go on", GONE_REMEDY},
    {TSS2_ESYS_RC_RSP_AUTH_FAILED, BST_E_SE_TOKEN, TPM2_STILL_THERE,
     "its answer was changed on the way", "somebody sits between this machine and its TPM"},
    {TSS2_ESYS_RC_BAD_SEQUENCE, BST_E_BUSY, TPM2_GONE,
     "an interrupted command has left the connection unusable", GONE_REMEDY},
    {TSS2_SYS_RC_BAD_SEQUENCE, BST_E_BUSY, TPM2_GONE,
     "an interrupted command has left the connection unusable", GONE_REMEDY},
    {TSS2_ESYS_RC_MEMORY, BST_E_NOMEM, TPM2_STILL_THERE, "there is no memory left", ""},
    {TSS2_TCTI_RC_NOT_SUPPORTED, BST_E_CONFIG, TPM2_STILL_THERE,
     "the library for this way to a TPM is not installed", "packages libtss2-tcti-*"},
    {TSS2_TCTI_RC_BAD_VALUE, BST_E_CONFIG, TPM2_STILL_THERE,
     "the library for this way to a TPM does not take the address",
     "examples: device:/dev/tpmrm0, swtpm:port=2321"},
    {TPM2_RC_BAD_TAG, BST_E_SE_TOKEN, TPM2_STILL_THERE,
     "it is a TPM 1.2, or does not understand the command",
     "only TPM 2.0 is used; look into the settings of the firmware (BIOS)"},
    {TPM2_RC_SEQUENCE, BST_E_SE_TOKEN, TPM2_STILL_THERE,
     "a computation in parts was not begun or not ended", OURS},
    {TPM2_RC_PRIVATE, BST_E_SE_TOKEN, TPM2_STILL_THERE,
     "it does not take the private half of the key", OURS},
    {TPM2_RC_HMAC, BST_E_SE_TOKEN, TPM2_STILL_THERE, "it cannot make this MAC", OURS},
    {TPM2_RC_EXCLUSIVE, BST_E_BUSY, TPM2_STILL_THERE,
     "another program audits it and wants it for itself", TAKEN},
    {TPM2_RC_AUTH_TYPE, BST_E_SE_USAGE, TPM2_STILL_THERE,
     "the object cannot be used with this kind of authorisation", ""},
    {TPM2_RC_AUTH_MISSING, BST_E_SE_USAGE, TPM2_STILL_THERE, "an authorisation is missing", OURS},
    {TPM2_RC_POLICY, BST_E_SE_BLOCKED, TPM2_STILL_THERE, "the policy of the key cannot be met",
     OURS},
    {TPM2_RC_PCR, BST_E_SE_BLOCKED, TPM2_STILL_THERE,
     "the PCRs of pcrs= differ from those of the key",
     "start what was started when the key was made"},
    {TPM2_RC_TOO_MANY_CONTEXTS, BST_E_BUSY, TPM2_STILL_THERE,
     "it can put no more keys and sessions aside", "restart the machine"},
    {TPM2_RC_UNBALANCED, BST_E_SE_MECHANISM, TPM2_STILL_THERE,
     "hash function and cipher are not of like strength", OURS},
    {TPM2_RC_COMMAND_SIZE, BST_E_SE_TOKEN, TPM2_STILL_THERE,
     "the command came to it cut off or with something behind it", WAY},
    {TPM2_RC_AUTHSIZE, BST_E_SE_TOKEN, TPM2_STILL_THERE,
     "the authorisation came to it cut off or with something behind it", WAY},
    {TPM2_RC_AUTH_CONTEXT, BST_E_SE_USAGE, TPM2_STILL_THERE, "the command takes no authorisation",
     OURS},
    {TPM2_RC_NV_RANGE, BST_E_SE_TOKEN, TPM2_STILL_THERE,
     "this NV index is shorter than what is wanted of it", OURS},
    {TPM2_RC_NV_SIZE, BST_E_TOO_LONG, TPM2_STILL_THERE, "it has no NV indices of this size", ""},
    {TPM2_RC_NV_LOCKED, BST_E_SE_BLOCKED, TPM2_STILL_THERE,
     "this NV index is locked until the next start", "restart the machine"},
    {TPM2_RC_BAD_CONTEXT, BST_E_BUSY, TPM2_STILL_THERE,
     "it does not take back what it had put aside", GONE_REMEDY},
    {TPM2_RC_CPHASH, BST_E_SE_USAGE, TPM2_STILL_THERE, "the authorisation is for another command",
     OURS},
    {TPM2_RC_PARENT, BST_E_CORRUPT, TPM2_STILL_THERE, "the key above this one is not the right one",
     "was the owner hierarchy cleared, or is the folder of another machine?"},
    {TPM2_RC_NEEDS_TEST, BST_E_BUSY, TPM2_STILL_THERE, "it has not tested itself yet", "try again"},
    {TPM2_RC_NO_RESULT, BST_E_SE_TOKEN, TPM2_STILL_THERE, "it could not compute this", OURS},
    {TPM2_RC_SENSITIVE, BST_E_CORRUPT, TPM2_STILL_THERE,
     "the private half of the key cannot be read", "restore the folder on the machine it is of"},
    {TPM2_RC_VALUE, BST_E_SE_TOKEN, TPM2_STILL_THERE, "it does not take a value of the command",
     OURS},
    {TPM2_RC_MGF, BST_E_SE_MECHANISM, TPM2_STILL_THERE,
     "it does not have this mask generation function", ""},
    {TPM2_RC_MODE, BST_E_SE_MECHANISM, TPM2_STILL_THERE, "it does not have this mode of the cipher",
     ""},
    {TPM2_RC_KDF, BST_E_SE_MECHANISM, TPM2_STILL_THERE,
     "it does not have this key derivation function", ""},
    {TPM2_RC_RANGE, BST_E_SE_TOKEN, TPM2_STILL_THERE, "a value of the command is out of its range",
     OURS},
    {TPM2_RC_PP, BST_E_SE_USAGE, TPM2_STILL_THERE, "it wants somebody present at the machine",
     "look into the settings of the firmware (BIOS)"},
    {TPM2_RC_TAG, BST_E_SE_TOKEN, TPM2_STILL_THERE, "it does not take the form of the command",
     OURS},
    {TPM2_RC_SELECTOR, BST_E_SE_TOKEN, TPM2_STILL_THERE,
     "it does not take the kind of a value of the command", OURS},
    {TPM2_RC_INSUFFICIENT, BST_E_SE_TOKEN, TPM2_STILL_THERE, "the command ends too early", OURS},
    {TPM2_RC_SIGNATURE, BST_E_BAD_MAC, TPM2_STILL_THERE, "the signature does not fit", ""},
    {TPM2_RC_TICKET, BST_E_SE_TOKEN, TPM2_STILL_THERE, "it does not know its own ticket again",
     "try again"},
    {TPM2_RC_RESERVED_BITS, BST_E_SE_TOKEN, TPM2_STILL_THERE,
     "the command sets what it does not know", OURS},
    {TPM2_RC_EXPIRED, BST_E_EXPIRED, TPM2_STILL_THERE, "the authorisation is over", "try again"},
    {TPM2_RC_POLICY_CC, BST_E_SE_USAGE, TPM2_STILL_THERE,
     "the policy of the key is for another command", ""},
    {TPM2_RC_NOT_USED, BST_E_SE_TOKEN, TPM2_STILL_THERE, "it gives an answer that no TPM may give",
     "ask the maker of the machine for newer firmware"},
    {TPM2_RC_REFERENCE_H3, BST_E_BUSY, TPM2_STILL_THERE, "it has forgotten a loaded key",
     GONE_REMEDY},
    {TPM2_RC_REFERENCE_S3, BST_E_BUSY, TPM2_STILL_THERE, "it has forgotten a session", GONE_REMEDY},
    {TPM2_RC_REFERENCE_H4, BST_E_BUSY, TPM2_STILL_THERE, "it has forgotten a loaded key",
     GONE_REMEDY},
    {TPM2_RC_REFERENCE_S4, BST_E_BUSY, TPM2_STILL_THERE, "it has forgotten a session", GONE_REMEDY},
    {TPM2_RC_REFERENCE_H5, BST_E_BUSY, TPM2_STILL_THERE, "it has forgotten a loaded key",
     GONE_REMEDY},
    {TPM2_RC_REFERENCE_S5, BST_E_BUSY, TPM2_STILL_THERE, "it has forgotten a session", GONE_REMEDY},
    {TPM2_RC_REFERENCE_H6, BST_E_BUSY, TPM2_STILL_THERE, "it has forgotten a loaded key",
     GONE_REMEDY},
    {TPM2_RC_REFERENCE_S6, BST_E_BUSY, TPM2_STILL_THERE, "it has forgotten a session", GONE_REMEDY},
};

/* What the libraries on the way to a TPM say, whichever of them it is. Others are for programs that
 * use them otherwise. */
static const struct {
    TSS2_RC base;
    const char *words, *remedy;
} base_words[] = {
    {TSS2_BASE_RC_GENERAL_FAILURE, "a library on the way to it failed without a reason", WAY},
    {TSS2_BASE_RC_NOT_IMPLEMENTED, "a library on the way to it does not have this", WAY},
    {TSS2_BASE_RC_ABI_MISMATCH, "the libraries on the way to it are of different releases",
     "install those of one release: packages libtss2-*"},
    {TSS2_BASE_RC_INSUFFICIENT_BUFFER, "its answer is longer than it may be", WAY},
    {TSS2_BASE_RC_NO_CONNECTION, "it cannot be reached", GONE_REMEDY},
    {TSS2_BASE_RC_TRY_AGAIN, "it does not answer in time", "try again"},
    {TSS2_BASE_RC_IO_ERROR, "the way to it is broken", GONE_REMEDY},
    {TSS2_BASE_RC_NOT_PERMITTED, "the way to it does not allow this", WAY},
    {TSS2_BASE_RC_MALFORMED_RESPONSE, "its answer makes no sense", WAY},
    {TSS2_BASE_RC_INSUFFICIENT_RESPONSE, "its answer is cut off", WAY},
    {TSS2_BASE_RC_INCOMPATIBLE_TCTI, "the library for this way to it is of another release",
     "install those of one release: packages libtss2-*"},
    {TSS2_BASE_RC_NOT_SUPPORTED, "a library on the way to it does not have this", WAY},
    {TSS2_BASE_RC_MEMORY, "there is no memory left", "end other programs"},
};
#define WORDS (sizeof words / sizeof words[0])

/* A response code of format 1 also says which parameter, handle or session it is about [TPM 2.0
 * Library, Part 2, 6.6]; the kernel's resource manager marks what it passes on. */
TSS2_RC tpm2_bare(TSS2_RC rc)
{
    TSS2_RC layer = rc & TSS2_RC_LAYER_MASK;
    if (layer != TSS2_TPM_RC_LAYER && layer != TSS2_RESMGR_TPM_RC_LAYER) {
        return rc;
    }
    TSS2_RC code = rc & ~TSS2_RC_LAYER_MASK;
    return code & TPM2_RC_FMT1 ? code & (TPM2_RC_FMT1 | 0x3f) : code;
}

static size_t find_words(TSS2_RC rc)
{
    size_t i = 0;
    TSS2_RC bare = tpm2_bare(rc);
    while (i < WORDS && words[i].rc != bare) {
        i++;
    }
    return i;
}

enum tpm2_loss tpm2_loss(TSS2_RC rc)
{
    size_t i = find_words(rc);
    bool way = (rc & TSS2_RC_LAYER_MASK) == TSS2_TCTI_RC_LAYER;
    return rc == TSS2_RC_SUCCESS ? TPM2_STILL_THERE
           : i < WORDS           ? words[i].loss
           : way                 ? TPM2_GONE
                                 : TPM2_STILL_THERE;
}

TSS2_RC tpm2_own(struct tpm2 *t, bst_result r)
{
    t->own = r;
    return bst_failed(r) ? OWN_FAILURE : TSS2_RC_SUCCESS;
}

void tpm2_lockout_words(const struct tpm2_facts *facts, char *out, size_t cap)
{
    out[0] = '\0';
    if (facts->locked) {
        snprintf(out, cap, "locked after too many wrong tries; one try comes back every %u s",
                 facts->recovery_s);
    } else if (facts->fails) {
        snprintf(out, cap, "%u of %u wrong tries are used up; one comes back every %u s",
                 facts->fails, facts->fails_max, facts->recovery_s);
    }
}

static const char *way_words(TSS2_RC rc, const char **ret_remedy)
{
    TSS2_RC base = rc & ~TSS2_RC_LAYER_MASK;
    for (size_t i = 0; i < sizeof base_words / sizeof base_words[0]; i++) {
        if (base_words[i].base == base) {
            *ret_remedy = base_words[i].remedy;
            return base_words[i].words;
        }
    }
    *ret_remedy = OURS;
    return "a library on the way to it does not take the command";
}

/* Neither in the table nor a loss. */
static bst_result unknown(const struct tpm2 *t, TSS2_RC rc, const char *what)
{
    const char *remedy;
    if (tpm2_bare(rc) != rc || !(rc & TSS2_RC_LAYER_MASK)) { /* by the TPM itself */
        BST_FAIL(BST_E_SE_TOKEN,
                 "TPM '%s', %s: it gives an answer that TPM 2.0 has no meaning for, number %u; "
                 "look for the number into its maker's manual",
                 t->address.tcti, what, (unsigned)tpm2_bare(rc));
    }
    const char *said = way_words(rc, &remedy);
    BST_FAIL(BST_E_SE_TOKEN, "TPM '%s', %s: %s; %s", t->address.tcti, what, said, remedy);
}

bst_result tpm2_fail(const struct tpm2 *t, TSS2_RC rc, const char *what)
{
    if (rc == OWN_FAILURE) {
        return t->own;
    }
    char said[128];
    size_t i = find_words(rc);
    bst_log(BST_LOG_DEBUG, "tpm.answer", "TPM '%s', %s: 0x%x, %s", t->address.tcti, what,
            (unsigned)rc, Tss2_RC_Decode(rc));
    if (i < WORDS) {
        bool guess = words[i].error == BST_E_SE_PIN || words[i].error == BST_E_SE_BLOCKED;
        tpm2_lockout_words(&t->facts, said, sizeof said);
        BST_FAIL(words[i].error, "TPM '%s', %s: %s%s%s%s%s", t->address.tcti, what, words[i].words,
                 guess && said[0] ? "; " : "", guess ? said : "", words[i].remedy[0] ? "; " : "",
                 words[i].remedy);
    }
    if (tpm2_loss(rc) == TPM2_GONE) {
        BST_FAIL(BST_E_BUSY, "TPM '%s', %s: it cannot be reached; " GONE_REMEDY, t->address.tcti,
                 what);
    }
    return unknown(t, rc, what);
}

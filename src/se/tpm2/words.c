/* What a TPM says, in words. */
#include "se/tpm2/tpm2_priv.h"

#include <tss2/tss2_rc.h>

#include <stdio.h>

#define GONE_REMEDY                                                                                \
    "the next use tries again by itself; if it stays so, is the device there, may this user open " \
    "it (group tss), is its service up?"
#define LOCKOUT_REMEDY                                                                             \
    "wait, or let the holder of the lockout authorisation end it: tpm2_dictionarylockout -c"
#define TAKEN "end other programs that use it without a resource manager, or use /dev/tpmrm0"

#define OWN_FAILURE ((TSS2_RC)TSS2_RC_LAYER(0xfe)) /* a layer that nobody has */

static const struct {
    TSS2_RC rc;
    const char *name;
    enum bst_error error;
    enum tpm2_loss loss;
    const char *words, *remedy;
} words[] = {
    {TPM2_RC_INITIALIZE, "TPM_RC_INITIALIZE", BST_E_BUSY, TPM2_GONE, "it has just been started",
     GONE_REMEDY},
    {TPM2_RC_FAILURE, "TPM_RC_FAILURE", BST_E_SE_TOKEN, TPM2_STILL_THERE,
     "it has failed its self-test and refuses everything", "restart the machine"},
    {TPM2_RC_REBOOT, "TPM_RC_REBOOT", BST_E_SE_TOKEN, TPM2_STILL_THERE, "it wants a restart",
     "restart the machine"},
    {TPM2_RC_UPGRADE, "TPM_RC_UPGRADE", BST_E_BUSY, TPM2_STILL_THERE,
     "its firmware is being replaced", "try again when that is done"},
    {TPM2_RC_DISABLED, "TPM_RC_DISABLED", BST_E_SE_MECHANISM, TPM2_STILL_THERE,
     "the command is disabled", "look into the settings of the firmware (BIOS)"},
    {TPM2_RC_COMMAND_CODE, "TPM_RC_COMMAND_CODE", BST_E_SE_MECHANISM, TPM2_STILL_THERE,
     "it does not have this command", ""},
    {TPM2_RC_AUTH_FAIL, "TPM_RC_AUTH_FAIL", BST_E_SE_PIN, TPM2_STILL_THERE, "the PIN is wrong",
     "put the right PIN into the file of pin-source="},
    {TPM2_RC_BAD_AUTH, "TPM_RC_BAD_AUTH", BST_E_SE_PIN, TPM2_STILL_THERE,
     "the authorisation is wrong",
     "of the owner hierarchy: owner-source= names the file with its secret"},
    {TPM2_RC_LOCKOUT, "TPM_RC_LOCKOUT", BST_E_SE_BLOCKED, TPM2_STILL_THERE,
     "it is locked after too many wrong tries", LOCKOUT_REMEDY},
    {TPM2_RC_POLICY_FAIL, "TPM_RC_POLICY_FAIL", BST_E_SE_BLOCKED, TPM2_STILL_THERE,
     "the machine was not started as when the keys were made: the PCRs of pcrs= differ",
     "start what was started then; keys that are bound to PCRs need a way back beforehand"},
    {TPM2_RC_PCR_CHANGED, "TPM_RC_PCR_CHANGED", BST_E_SE_BLOCKED, TPM2_STILL_THERE,
     "the PCRs of pcrs= have just changed", "try again; if it stays so, start anew"},
    {TPM2_RC_AUTH_UNAVAILABLE, "TPM_RC_AUTH_UNAVAILABLE", BST_E_SE_USAGE, TPM2_STILL_THERE,
     "the object cannot be used with this kind of authorisation", ""},
    {TPM2_RC_OBJECT_MEMORY, "TPM_RC_OBJECT_MEMORY", BST_E_BUSY, TPM2_NO_PLACE,
     "its places for loaded keys are taken", TAKEN},
    {TPM2_RC_OBJECT_HANDLES, "TPM_RC_OBJECT_HANDLES", BST_E_BUSY, TPM2_NO_PLACE,
     "its places for loaded keys are taken", TAKEN},
    {TPM2_RC_SESSION_MEMORY, "TPM_RC_SESSION_MEMORY", BST_E_BUSY, TPM2_NO_PLACE,
     "its places for sessions are taken", TAKEN},
    {TPM2_RC_SESSION_HANDLES, "TPM_RC_SESSION_HANDLES", BST_E_BUSY, TPM2_NO_PLACE,
     "its places for sessions are taken", TAKEN},
    {TPM2_RC_CONTEXT_GAP, "TPM_RC_CONTEXT_GAP", BST_E_BUSY, TPM2_GONE,
     "it can count no more sessions", TAKEN},
    {TPM2_RC_MEMORY, "TPM_RC_MEMORY", BST_E_BUSY, TPM2_NO_PLACE, "it is out of memory", TAKEN},
    {TPM2_RC_REFERENCE_H0, "TPM_RC_REFERENCE_H0", BST_E_BUSY, TPM2_GONE,
     "it has forgotten a loaded key", GONE_REMEDY},
    {TPM2_RC_REFERENCE_H1, "TPM_RC_REFERENCE_H1", BST_E_BUSY, TPM2_GONE,
     "it has forgotten a loaded key", GONE_REMEDY},
    {TPM2_RC_REFERENCE_H2, "TPM_RC_REFERENCE_H2", BST_E_BUSY, TPM2_GONE,
     "it has forgotten a loaded key", GONE_REMEDY},
    {TPM2_RC_REFERENCE_S0, "TPM_RC_REFERENCE_S0", BST_E_BUSY, TPM2_GONE,
     "it has forgotten a session", GONE_REMEDY},
    {TPM2_RC_REFERENCE_S1, "TPM_RC_REFERENCE_S1", BST_E_BUSY, TPM2_GONE,
     "it has forgotten a session", GONE_REMEDY},
    {TPM2_RC_REFERENCE_S2, "TPM_RC_REFERENCE_S2", BST_E_BUSY, TPM2_GONE,
     "it has forgotten a session", GONE_REMEDY},
    {TPM2_RC_RETRY, "TPM_RC_RETRY", BST_E_BUSY, TPM2_STILL_THERE, "it is busy", "try again"},
    {TPM2_RC_YIELDED, "TPM_RC_YIELDED", BST_E_BUSY, TPM2_STILL_THERE, "it is busy", "try again"},
    {TPM2_RC_TESTING, "TPM_RC_TESTING", BST_E_BUSY, TPM2_STILL_THERE, "it tests itself",
     "try again"},
    {TPM2_RC_CANCELED, "TPM_RC_CANCELED", BST_E_CANCELLED, TPM2_STILL_THERE, "it was cancelled",
     ""},
    {TPM2_RC_LOCALITY, "TPM_RC_LOCALITY", BST_E_SE_USAGE, TPM2_STILL_THERE,
     "it does not do that from here (locality)", ""},
    {TPM2_RC_NV_SPACE, "TPM_RC_NV_SPACE", BST_E_DISK_FULL, TPM2_STILL_THERE,
     "its memory for counters is full", "remove indices that are not needed: tpm2_nvundefine"},
    {TPM2_RC_NV_RATE, "TPM_RC_NV_RATE", BST_E_BUSY, TPM2_STILL_THERE,
     "it spares its memory from so many writes", "try again later"},
    {TPM2_RC_NV_UNAVAILABLE, "TPM_RC_NV_UNAVAILABLE", BST_E_BUSY, TPM2_STILL_THERE,
     "its memory cannot be written now", "try again later"},
    {TPM2_RC_NV_DEFINED, "TPM_RC_NV_DEFINED", BST_E_EXISTS, TPM2_STILL_THERE,
     "this NV index is taken", ""},
    {TPM2_RC_NV_AUTHORIZATION, "TPM_RC_NV_AUTHORIZATION", BST_E_SE_USAGE, TPM2_STILL_THERE,
     "this NV index is somebody else's", ""},
    {TPM2_RC_NV_UNINITIALIZED, "TPM_RC_NV_UNINITIALIZED", BST_E_NOT_FOUND, TPM2_STILL_THERE,
     "this NV index was never written", ""},
    {TPM2_RC_HANDLE, "TPM_RC_HANDLE", BST_E_NOT_FOUND, TPM2_STILL_THERE,
     "there is no such key or index",
     "was it taken away by another program, or was the owner "
     "hierarchy cleared?"},
    {TPM2_RC_INTEGRITY, "TPM_RC_INTEGRITY", BST_E_CORRUPT, TPM2_STILL_THERE,
     "the key was changed, or is of another TPM", "restore the folder on the machine it is of"},
    {TPM2_RC_CURVE, "TPM_RC_CURVE", BST_E_SE_MECHANISM, TPM2_STILL_THERE,
     "it does not have this curve", "choose EC P-256"},
    {TPM2_RC_HASH, "TPM_RC_HASH", BST_E_SE_MECHANISM, TPM2_STILL_THERE,
     "it does not have this hash function", "choose SHA-256"},
    {TPM2_RC_ASYMMETRIC, "TPM_RC_ASYMMETRIC", BST_E_SE_MECHANISM, TPM2_STILL_THERE,
     "it does not have this algorithm", ""},
    {TPM2_RC_SCHEME, "TPM_RC_SCHEME", BST_E_SE_MECHANISM, TPM2_STILL_THERE,
     "it does not use the key with this algorithm", ""},
    {TPM2_RC_SYMMETRIC, "TPM_RC_SYMMETRIC", BST_E_SE_MECHANISM, TPM2_STILL_THERE,
     "it does not have this cipher", ""},
    {TPM2_RC_ATTRIBUTES, "TPM_RC_ATTRIBUTES", BST_E_SE_USAGE, TPM2_STILL_THERE,
     "the key may not be used for this", ""},
    {TPM2_RC_TYPE, "TPM_RC_TYPE", BST_E_SE_MECHANISM, TPM2_STILL_THERE,
     "keys of this type do not do this", ""},
    {TPM2_RC_KEY, "TPM_RC_KEY", BST_E_BAD_KEY, TPM2_STILL_THERE, "it does not take the key", ""},
    {TPM2_RC_BINDING, "TPM_RC_BINDING", BST_E_BAD_KEY, TPM2_STILL_THERE,
     "the two halves of the key do not belong together", ""},
    {TPM2_RC_ECC_POINT, "TPM_RC_ECC_POINT", BST_E_BAD_KEY, TPM2_STILL_THERE,
     "the public key is not on the curve", ""},
    {TPM2_RC_KEY_SIZE, "TPM_RC_KEY_SIZE", BST_E_SE_MECHANISM, TPM2_STILL_THERE,
     "it does not use keys of this size", ""},
    {TPM2_RC_SIZE, "TPM_RC_SIZE", BST_E_TOO_LONG, TPM2_STILL_THERE, "the data has a wrong length",
     ""},
    {TPM2_RC_HIERARCHY, "TPM_RC_HIERARCHY", BST_E_SE_MECHANISM, TPM2_STILL_THERE,
     "this hierarchy is switched off", "look into the settings of the firmware (BIOS)"},
    {TPM2_RC_NONCE, "TPM_RC_NONCE", BST_E_BUSY, TPM2_GONE, "its session does not go on",
     GONE_REMEDY},
    {TSS2_ESYS_RC_RSP_AUTH_FAILED, "RSP_AUTH_FAILED", BST_E_SE_TOKEN, TPM2_STILL_THERE,
     "its answer was changed on the way", "somebody sits between this machine and its TPM"},
    {TSS2_ESYS_RC_BAD_SEQUENCE, "BAD_SEQUENCE", BST_E_BUSY, TPM2_GONE,
     "an interrupted command has left the connection unusable", GONE_REMEDY},
    {TSS2_SYS_RC_BAD_SEQUENCE, "BAD_SEQUENCE", BST_E_BUSY, TPM2_GONE,
     "an interrupted command has left the connection unusable", GONE_REMEDY},
    {TSS2_ESYS_RC_MEMORY, "MEMORY", BST_E_NOMEM, TPM2_STILL_THERE, "there is no memory left", ""},
    {TSS2_TCTI_RC_NOT_SUPPORTED, "NOT_SUPPORTED", BST_E_CONFIG, TPM2_STILL_THERE,
     "the library for this way to a TPM is not installed", "packages libtss2-tcti-*"},
    {TSS2_TCTI_RC_BAD_VALUE, "BAD_VALUE", BST_E_CONFIG, TPM2_STILL_THERE,
     "the library for this way to a TPM does not take the address",
     "examples: device:/dev/tpmrm0, swtpm:port=2321"},
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

bst_result tpm2_fail(const struct tpm2 *t, TSS2_RC rc, const char *what)
{
    if (rc == OWN_FAILURE) {
        return t->own;
    }
    char said[128];
    size_t i = find_words(rc);
    if (i < WORDS) {
        bool guess = words[i].error == BST_E_SE_PIN || words[i].error == BST_E_SE_BLOCKED;
        tpm2_lockout_words(&t->facts, said, sizeof said);
        BST_FAIL(words[i].error, "TPM '%s', %s: %s (%s)%s%s%s%s", t->address.tcti, what,
                 words[i].words, words[i].name, guess && said[0] ? "; " : "", guess ? said : "",
                 words[i].remedy[0] ? "; " : "", words[i].remedy);
    }
    if (tpm2_loss(rc) == TPM2_GONE) {
        BST_FAIL(BST_E_BUSY, "TPM '%s', %s: it cannot be reached; " GONE_REMEDY, t->address.tcti,
                 what);
    }
    BST_FAIL(BST_E_SE_TOKEN, "TPM '%s', %s: it answers with %s", t->address.tcti, what,
             Tss2_RC_Decode(rc));
}

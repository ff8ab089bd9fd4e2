/* What tokens say, in words. */
#include "obs/log.h"
#include "se/pkcs11/p11_priv.h"

#include <stdio.h>

const struct p11_mech_fact p11_mechs[P11_MECHS] = {
    [P11_EC_GEN] = {CKM_EC_KEY_PAIR_GEN, "EC pair generation", CKF_GENERATE_KEY_PAIR},
    [P11_ECDSA] = {CKM_ECDSA, "ECDSA", CKF_SIGN},
    [P11_ED_GEN] = {CKM_EC_EDWARDS_KEY_PAIR_GEN, "Ed25519 pair generation", CKF_GENERATE_KEY_PAIR},
    [P11_EDDSA] = {CKM_EDDSA, "EdDSA", CKF_SIGN},
    [P11_SECRET_GEN] = {CKM_GENERIC_SECRET_KEY_GEN, "secret key generation", CKF_GENERATE},
    [P11_HMAC] = {CKM_SHA256_HMAC, "HMAC-SHA-256", CKF_SIGN},
    [P11_AES_GEN] = {CKM_AES_KEY_GEN, "AES key generation", CKF_GENERATE},
    [P11_GCM] = {CKM_AES_GCM, "AES-GCM", CKF_ENCRYPT | CKF_DECRYPT},
    [P11_ECDH] = {CKM_ECDH1_DERIVE, "ECDH", CKF_DERIVE},
    [P11_KWP] = {P11_CKM_KWP, "AES key wrap with padding", CKF_WRAP | CKF_UNWRAP},
    [P11_SECRETS] = {CK_UNAVAILABLE_INFORMATION, "secret keys", 0},
};

#define GONE_REMEDY                                                                                \
    "the next use tries again by itself; if it stays so, is it plugged in, is its service up?"
#define LOG_REMEDY "look into the log of the token's own software"
#define PIN_REMEDY                                                                                 \
    "put the right PIN into the file of pin-source=; nothing is tried again until then"

/* `gone`: look for the token, log in, and try once more. No code by its name: an operator cannot do
 * anything with it. */
static const struct {
    CK_RV rv;
    enum bst_error error;
    bool gone;
    const char *words, *remedy;
} words[] = {
    {CKR_CANCEL, BST_E_CANCELLED, false, "it was cancelled", ""},
    {CKR_HOST_MEMORY, BST_E_NOMEM, false, "there is no memory left", ""},
    {CKR_SLOT_ID_INVALID, BST_E_BUSY, true, "its slot is gone", GONE_REMEDY},
    {CKR_GENERAL_ERROR, BST_E_SE_TOKEN, false, "it failed without a reason", LOG_REMEDY},
    {CKR_FUNCTION_FAILED, BST_E_SE_TOKEN, false, "it could not do it", LOG_REMEDY},
    {CKR_ARGUMENTS_BAD, BST_E_SE_TOKEN, false, "it did not take the arguments", LOG_REMEDY},
    {CKR_NO_EVENT, BST_E_SE_TOKEN, false, "nothing has happened in any slot", ""},
    {CKR_NEED_TO_CREATE_THREADS, BST_E_SE_TOKEN, false, "its module wants to start threads",
     LOG_REMEDY},
    {CKR_CANT_LOCK, BST_E_SE_TOKEN, false, "its module cannot be used by several threads",
     "ask its maker for a module that can"},
    {CKR_ATTRIBUTE_READ_ONLY, BST_E_SE_TOKEN, false, "it does not let this attribute be set",
     LOG_REMEDY},
    {CKR_ATTRIBUTE_SENSITIVE, BST_E_SE_USAGE, false, "the key cannot leave it", ""},
    {CKR_ATTRIBUTE_TYPE_INVALID, BST_E_SE_MECHANISM, false, "it does not know an attribute", ""},
    {CKR_ATTRIBUTE_VALUE_INVALID, BST_E_SE_MECHANISM, false, "it does not allow such a key",
     "choose another type or other uses"},
    {CKR_ACTION_PROHIBITED, BST_E_SE_USAGE, false, "the object may not be changed or deleted so",
     ""},
    {CKR_DATA_INVALID, BST_E_VALUE, false, "it does not take the data", ""},
    {CKR_DATA_LEN_RANGE, BST_E_TOO_LONG, false, "the data is too long or too short for it", ""},
    {CKR_DEVICE_ERROR, BST_E_BUSY, true, "it reports a fault", GONE_REMEDY},
    {CKR_DEVICE_MEMORY, BST_E_DISK_FULL, false, "it is full",
     "delete keys that are not needed any more"},
    {CKR_DEVICE_REMOVED, BST_E_BUSY, true, "it was taken away", GONE_REMEDY},
    {CKR_ENCRYPTED_DATA_INVALID, BST_E_BAD_MAC, false,
     "the sealed data was changed, or is of another key", ""},
    {CKR_ENCRYPTED_DATA_LEN_RANGE, BST_E_BAD_MAC, false, "the sealed data is too long or too short",
     ""},
    {CKR_FUNCTION_CANCELED, BST_E_CANCELLED, false, "it was cancelled", ""},
    {CKR_FUNCTION_NOT_PARALLEL, BST_E_SE_TOKEN, false, "nothing runs beside this", ""},
    {CKR_FUNCTION_NOT_SUPPORTED, BST_E_SE_MECHANISM, false, "its module has no such function", ""},
    {CKR_KEY_HANDLE_INVALID, BST_E_NOT_FOUND, false, "the key is no longer on it",
     "was it deleted by another program?"},
    {CKR_KEY_SIZE_RANGE, BST_E_SE_MECHANISM, false, "it does not use keys of this size", ""},
    {CKR_KEY_TYPE_INCONSISTENT, BST_E_SE_MECHANISM, false,
     "the key is of a type that does not do this", ""},
    {CKR_KEY_NOT_NEEDED, BST_E_SE_TOKEN, false, "a key was given that it does not need",
     LOG_REMEDY},
    {CKR_KEY_CHANGED, BST_E_SE_TOKEN, false, "the key is not the one that the saved state is of",
     LOG_REMEDY},
    {CKR_KEY_NEEDED, BST_E_SE_TOKEN, false, "it wants a key for this", LOG_REMEDY},
    {CKR_KEY_INDIGESTIBLE, BST_E_SE_USAGE, false, "the value of the key cannot be hashed", ""},
    {CKR_KEY_FUNCTION_NOT_PERMITTED, BST_E_SE_USAGE, false, "the key may not be used for this", ""},
    {CKR_KEY_NOT_WRAPPABLE, BST_E_SE_USAGE, false, "the key cannot leave it", ""},
    {CKR_KEY_UNEXTRACTABLE, BST_E_SE_USAGE, false, "the key cannot leave it", ""},
    {CKR_MECHANISM_INVALID, BST_E_SE_MECHANISM, false, "it does not have this mechanism", ""},
    {CKR_MECHANISM_PARAM_INVALID, BST_E_SE_MECHANISM, false,
     "it does not take these parameters of the mechanism", ""},
    {CKR_OBJECT_HANDLE_INVALID, BST_E_NOT_FOUND, false, "the key is no longer on it",
     "a key that was not to be kept goes with its connection; others may have been deleted"},
    {CKR_OPERATION_ACTIVE, BST_E_BUSY, true, "another operation is under way in its session",
     GONE_REMEDY},
    {CKR_OPERATION_NOT_INITIALIZED, BST_E_BUSY, true, "it has forgotten the operation",
     GONE_REMEDY},
    {CKR_PIN_INCORRECT, BST_E_SE_PIN, false, "the PIN is wrong", PIN_REMEDY},
    {CKR_PIN_INVALID, BST_E_SE_PIN, false, "the PIN has characters that it does not take",
     PIN_REMEDY},
    {CKR_PIN_LEN_RANGE, BST_E_SE_PIN, false, "the PIN is too short or too long", PIN_REMEDY},
    {CKR_PIN_EXPIRED, BST_E_SE_PIN, false, "the PIN has expired",
     "set a new one with the token's own tool"},
    {CKR_PIN_LOCKED, BST_E_SE_BLOCKED, false, "the PIN is locked after too many wrong tries",
     "the security officer of the token can set a new one"},
    {CKR_SESSION_CLOSED, BST_E_BUSY, true, "its session was closed", GONE_REMEDY},
    {CKR_SESSION_COUNT, BST_E_BUSY, false, "it has no free session",
     "end other programs that use it"},
    {CKR_SESSION_HANDLE_INVALID, BST_E_BUSY, true, "its session was lost", GONE_REMEDY},
    {CKR_SESSION_PARALLEL_NOT_SUPPORTED, BST_E_SE_TOKEN, false, "it has no such kind of session",
     LOG_REMEDY},
    {CKR_SESSION_READ_ONLY, BST_E_READ_ONLY, false, "it takes no changes in this session", ""},
    {CKR_SESSION_EXISTS, BST_E_BUSY, false, "a session on it is open",
     "end other programs that use it"},
    {CKR_SESSION_READ_ONLY_EXISTS, BST_E_BUSY, false, "a session on it that only reads is open",
     "end other programs that use it"},
    {CKR_SESSION_READ_WRITE_SO_EXISTS, BST_E_BUSY, false, "its security officer is logged in",
     "end the program that is logged in as security officer"},
    {CKR_SIGNATURE_INVALID, BST_E_BAD_MAC, false, "the signature does not fit", ""},
    {CKR_SIGNATURE_LEN_RANGE, BST_E_BAD_MAC, false, "the signature has a wrong length", ""},
    {CKR_TEMPLATE_INCOMPLETE, BST_E_SE_MECHANISM, false, "it wants more attributes of a key", ""},
    {CKR_TEMPLATE_INCONSISTENT, BST_E_SE_MECHANISM, false, "it does not allow such a key",
     "many tokens make no keys that can be read, and some import none"},
    {CKR_TOKEN_NOT_PRESENT, BST_E_BUSY, true, "it is not there", GONE_REMEDY},
    {CKR_TOKEN_NOT_RECOGNIZED, BST_E_BUSY, true, "its slot does not recognise it", GONE_REMEDY},
    {CKR_TOKEN_WRITE_PROTECTED, BST_E_READ_ONLY, false, "it is write-protected", ""},
    {CKR_UNWRAPPING_KEY_HANDLE_INVALID, BST_E_NOT_FOUND, false,
     "the wrapping key is no longer on it", "was it deleted by another program?"},
    {CKR_UNWRAPPING_KEY_SIZE_RANGE, BST_E_SE_MECHANISM, false,
     "it does not wrap with keys of this size", ""},
    {CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, BST_E_SE_MECHANISM, false,
     "the wrapping key is of a type that does not do this", ""},
    {CKR_USER_ALREADY_LOGGED_IN, BST_E_SE_TOKEN, false, "somebody is logged in already",
     LOG_REMEDY},
    {CKR_USER_NOT_LOGGED_IN, BST_E_BUSY, true, "nobody is logged in",
     "is pin-source= there? " GONE_REMEDY},
    {CKR_USER_PIN_NOT_INITIALIZED, BST_E_SE_PIN, false, "it has no user PIN yet",
     "the security officer of the token sets the first one"},
    {CKR_USER_TYPE_INVALID, BST_E_SE_TOKEN, false, "it has no such kind of user", LOG_REMEDY},
    {CKR_USER_ANOTHER_ALREADY_LOGGED_IN, BST_E_BUSY, false, "another kind of user is logged in",
     "end the program that holds it"},
    {CKR_USER_TOO_MANY_TYPES, BST_E_BUSY, false, "too many kinds of user are logged in",
     "end other programs that use it"},
    {CKR_WRAPPED_KEY_INVALID, BST_E_BAD_MAC, false,
     "the wrapped key was changed, or is wrapped under another key", ""},
    {CKR_WRAPPED_KEY_LEN_RANGE, BST_E_BAD_MAC, false, "the wrapped key is too long or too short",
     ""},
    {CKR_WRAPPING_KEY_HANDLE_INVALID, BST_E_NOT_FOUND, false, "the wrapping key is no longer on it",
     "was it deleted by another program?"},
    {CKR_WRAPPING_KEY_SIZE_RANGE, BST_E_SE_MECHANISM, false,
     "it does not wrap with keys of this size", ""},
    {CKR_WRAPPING_KEY_TYPE_INCONSISTENT, BST_E_SE_MECHANISM, false,
     "the wrapping key is of a type that does not do this", ""},
    {CKR_RANDOM_SEED_NOT_SUPPORTED, BST_E_SE_MECHANISM, false,
     "its random number generator takes no seed", ""},
    {CKR_RANDOM_NO_RNG, BST_E_SE_MECHANISM, false, "it has no random number generator", ""},
    {CKR_DOMAIN_PARAMS_INVALID, BST_E_SE_MECHANISM, false, "it does not know this curve",
     "choose EC P-256"},
    {CKR_CURVE_NOT_SUPPORTED, BST_E_SE_MECHANISM, false, "it does not have this curve",
     "choose EC P-256"},
    {CKR_BUFFER_TOO_SMALL, BST_E_SE_TOKEN, false, "its answer is longer than it may be",
     LOG_REMEDY},
    {CKR_SAVED_STATE_INVALID, BST_E_SE_TOKEN, false, "it does not take the saved state",
     LOG_REMEDY},
    {CKR_INFORMATION_SENSITIVE, BST_E_SE_USAGE, false, "it does not tell this", ""},
    {CKR_STATE_UNSAVEABLE, BST_E_SE_TOKEN, false, "its state cannot be saved", LOG_REMEDY},
    {CKR_CRYPTOKI_NOT_INITIALIZED, BST_E_BUSY, true, "its module was shut down", GONE_REMEDY},
    {CKR_CRYPTOKI_ALREADY_INITIALIZED, BST_E_SE_TOKEN, false, "its module was started already",
     LOG_REMEDY},
    {CKR_MUTEX_BAD, BST_E_SE_TOKEN, false, "its module has trouble with its locks", LOG_REMEDY},
    {CKR_MUTEX_NOT_LOCKED, BST_E_SE_TOKEN, false, "its module has trouble with its locks",
     LOG_REMEDY},
    {CKR_NEW_PIN_MODE, BST_E_SE_PIN, false, "it wants a new PIN first",
     "set one with the token's own tool"},
    {CKR_NEXT_OTP, BST_E_SE_TOKEN, false, "it wants the next one-time password",
     "log in with the token's own tool"},
    {CKR_EXCEEDED_MAX_ITERATIONS, BST_E_SE_TOKEN, false, "it gave up after too many tries",
     "try again"},
    {CKR_FIPS_SELF_TEST_FAILED, BST_E_SE_TOKEN, false,
     "it has failed its self-test and refuses everything",
     "start it anew; if that does not help, its maker must"},
    {CKR_LIBRARY_LOAD_FAILED, BST_E_CONFIG, false, "its module lacks a library",
     "install what the maker of the token asks for"},
    {CKR_PIN_TOO_WEAK, BST_E_SE_PIN, false, "the PIN is too easy to guess for it",
     "choose a longer one, of more kinds of characters"},
    {CKR_PUBLIC_KEY_INVALID, BST_E_BAD_KEY, false, "it does not take the public key", ""},
    {CKR_FUNCTION_REJECTED, BST_E_DENIED, false, "whoever holds it said no", ""},
    {P11_RV_ENDED, BST_E_BUSY, true, "its module crashed or was ended",
     "it is started anew by itself; if that goes on, look into the log of the token's own "
     "software"},
    {P11_RV_HUNG, BST_E_BUSY, true, "its module hung and was ended",
     "it is started anew by itself; timeout= in the address allows it more time"},
    /* PKCS #11 3.0 and 3.1, which older headers do not know */
    {0x42UL, BST_E_BAD_MAC, false, "the sealed data was changed, or is of another key", ""},
    {0x201UL, BST_E_BUSY, false, "it is at its limits", "end other programs that use it"},
    {0x202UL, BST_E_SE_TOKEN, false, "the operation cannot be stopped any more", LOG_REMEDY},
    {0x203UL, BST_E_SE_USAGE, false, "the key was used as often as it may be", "make a new one"},
    {0x204UL, BST_E_BUSY, false, "it is not done yet", "try again"},
    {0x205UL, BST_E_SE_MECHANISM, false, "it has no such kind of session", ""},
    {0x206UL, BST_E_SE_TOKEN, false, "its random number generator wants a seed first", LOG_REMEDY},
    {0x207UL, BST_E_SE_USAGE, false, "its rules do not allow this operation", ""},
    {0x208UL, BST_E_SE_TOKEN, false, "it was never prepared for use",
     "prepare it with the token's own tool"},
    {0x209UL, BST_E_SE_MECHANISM, false, "it does not have this size of algorithm", ""},
};

#define WORDS (sizeof words / sizeof words[0])

static size_t find_words(CK_RV rv)
{
    size_t i = 0;
    while (i < WORDS && words[i].rv != rv) {
        i++;
    }
    return i;
}

bool p11_rv_gone(CK_RV rv)
{
    size_t i = find_words(rv);
    return i < WORDS && words[i].gone;
}

const char *p11_pin_words(CK_FLAGS flags)
{
    return flags & CKF_USER_PIN_LOCKED      ? "the PIN is locked"
           : flags & CKF_USER_PIN_FINAL_TRY ? "one try is left before the PIN is locked"
           : flags & CKF_USER_PIN_COUNT_LOW
               ? "a wrong PIN was given since the last right one: fewer "
                 "tries than at first are left"
               : "";
}

/* What a maker defines for itself has a meaning in that maker's manual only, by its number. */
static bst_result unknown(const struct p11 *p, CK_RV rv, const char *what)
{
    unsigned long number = (unsigned long)(rv & ~(CK_RV)CKR_VENDOR_DEFINED);
    bool own = rv & CKR_VENDOR_DEFINED;
    BST_FAIL(BST_E_SE_TOKEN, "token '%s', %s: %s, number %lu; " LOG_REMEDY "%s", p->address.token,
             what,
             own ? "it reports an error of its maker's own"
                 : "it gives an answer that PKCS #11 has no meaning for",
             number, own ? ", or for the number into its maker's manual" : "");
}

bst_result p11_fail(const struct p11 *p, CK_RV rv, const char *what)
{
    size_t i = find_words(rv);
    bst_log(BST_LOG_DEBUG, "token.answer", "token '%s', %s: return value 0x%lx", p->address.token,
            what, (unsigned long)rv);
    if (i == WORDS) {
        return unknown(p, rv, what);
    }
    BST_FAIL(words[i].error, "token '%s', %s: %s%s%s", p->address.token, what, words[i].words,
             words[i].remedy[0] ? "; " : "", words[i].remedy);
}

const char *p11_fallback_words(const struct p11 *p)
{
    return p->address.fallback ? ""
                               : "; with fallback=soft in its address software does it, at "
                                 "protection level 1";
}

bst_result p11_need(const struct p11 *p, enum p11_mech mech, const char *what)
{
    if (!p11_can(p, mech)) {
        BST_FAIL(BST_E_SE_MECHANISM, "token '%s' cannot %s: it has no %s%s", p->address.token, what,
                 p11_mechs[mech].name, p11_fallback_words(p));
    }
    return BST_OK;
}

/* ---- protection level ---- */

/* Tokens whose model says what it is made of. A name can be lied about by whoever replaces the
 * module, who then has the PIN too; that is what the evidence text says. Models that also exist as
 * simulators with the same name are left out on purpose. */
static const struct {
    const char *manufacturer, *model;
    int level;
    const char *why;
} known[] = {
    {"Yubico", "YubiHSM", 3, "YubiHSM 2, a secure element"},
    {"Yubico", "YubiKey", 3, "YubiKey, a secure element"},
    {"www.CardContact.de", "PKCS#15 emulated", 3,
     "SmartCard-HSM or Nitrokey HSM, a smart card chip"},
    {"SafeNet", "Luna", 3, "Luna HSM, a tamper-responding module"},
    {"Thales", "Luna", 3, "Luna HSM, a tamper-responding module"},
};

struct bst_view p11_text(const unsigned char *field, size_t len)
{
    while (len && (field[len - 1] == ' ' || field[len - 1] == '\0')) {
        len--;
    }
    return bst_view_of(field, len);
}

static bool text_starts(const unsigned char *field, size_t len, const char *prefix)
{
    return bst_view_starts(p11_text(field, len), bst_view(prefix));
}

int p11_level(const CK_SLOT_INFO *slot, const CK_TOKEN_INFO *token, char *evidence, size_t cap)
{
    struct bst_view maker = p11_text(token->manufacturerID, sizeof token->manufacturerID),
                    model = p11_text(token->model, sizeof token->model);
    if (!(slot->flags & CKF_HW_SLOT)) {
        snprintf(evidence, cap, "its module does not claim to be hardware: %.*s %.*s",
                 BST_VIEW_ARGS(maker), BST_VIEW_ARGS(model));
        return 1;
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (text_starts(token->manufacturerID, sizeof token->manufacturerID,
                        known[i].manufacturer) &&
            text_starts(token->model, sizeof token->model, known[i].model)) {
            snprintf(evidence, cap,
                     "its module claims hardware and names %s; both are the module's own "
                     "words, no attestation was checked",
                     known[i].why);
            return known[i].level;
        }
    }
    snprintf(evidence, cap,
             "its module claims hardware, but %.*s %.*s is not in the list of known "
             "tokens",
             BST_VIEW_ARGS(maker), BST_VIEW_ARGS(model));
    return 1;
}

/* A module in a process of its own: messages between the program that uses the token and
 * bastide-token, which has loaded the module.
 *
 * Why not p11-kit's own remoting: none of its releases up to 0.26 carries EdDSA, those before 0.25
 * neither ECDH nor AES-GCM, and a module that does not answer blocks its callers without an end.
 * Modules that are registered with p11-kit as "remote" work behind this one like any other.
 *
 * Each thread that calls has a socket of its own (a lane). A message is a head and segments; the
 * sender writes them from where they are and the receiver reads them to where they belong, so that
 * no copy of a PIN or of a key is left in between. Neither end believes what the other one says of
 * lengths. */
#pragma once

#include <p11-kit/pkcs11.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define P11_SEGMENTS 64
#define P11_ARGS 9
#define P11_ATTRIBUTES_MAX 24
#define P11_MAGIC UINT32_C(0x31314b50)
#define P11_MESSAGE_MAX (20u << 20)
#define P11_CONTROL_FD 3 /* of bastide-token: gives it its lanes, and its end is the end */
#define P11_LIST_MAX 512 /* slots, or objects in one answer */

struct p11_head {
    uint32_t magic;
    uint16_t function, n;
    uint32_t len[P11_SEGMENTS];
};

/** What a function takes and gives, one letter for each argument:
 *
 *  l slot, s session, n number, b bytes, m mechanism, t template
 *  N number, S session, B bytes, V list of numbers, A attributes to read, I fixed record: results
 */
#define P11_FUNCTIONS(X)                                                                           \
    X(C_GetSlotList, "V")                                                                          \
    X(C_GetSlotInfo, "lI")                                                                         \
    X(C_GetTokenInfo, "lI")                                                                        \
    X(C_GetMechanismInfo, "lnI")                                                                   \
    X(C_OpenSession, "lnS")                                                                        \
    X(C_CloseSession, "s")                                                                         \
    X(C_CloseAllSessions, "l")                                                                     \
    X(C_GetSessionInfo, "sI")                                                                      \
    X(C_Login, "snb")                                                                              \
    X(C_SetPIN, "sbb")                                                                             \
    X(C_CreateObject, "stN")                                                                       \
    X(C_DestroyObject, "sn")                                                                       \
    X(C_GetAttributeValue, "snA")                                                                  \
    X(C_SetAttributeValue, "snt")                                                                  \
    X(C_FindObjectsInit, "st")                                                                     \
    X(C_FindObjects, "sV")                                                                         \
    X(C_FindObjectsFinal, "s")                                                                     \
    X(C_SignInit, "smn")                                                                           \
    X(C_SignUpdate, "sb")                                                                          \
    X(C_SignFinal, "sB")                                                                           \
    X(C_GenerateKey, "smtN")                                                                       \
    X(C_GenerateKeyPair, "smttNN")                                                                 \
    X(C_WrapKey, "smnnB")                                                                          \
    X(C_UnwrapKey, "smnbtN")                                                                       \
    X(C_DeriveKey, "smntN")                                                                        \
    X(C_GenerateRandom, "sB")                                                                      \
    X(SignOnce, "smnbB")                                                                           \
    X(EncryptOnce, "smnbB")                                                                        \
    X(DecryptOnce, "smnbB")

#define P11_ENUM_(name, args) P11_FN_##name,
enum p11_function { P11_FUNCTIONS(P11_ENUM_) P11_FUNCTION_COUNT };
#undef P11_ENUM_
extern const char *const p11_function_args[P11_FUNCTION_COUNT];

/** One argument. `ptr` and `n` by its letter: n is the number, or how many bytes, entries or
 * attributes there are or may be. */
struct p11_arg {
    CK_ULONG n;
    void *ptr;
};

/** Head and segments under construction, or being taken apart. */
struct p11_message {
    struct p11_head head;
    struct iovec part[P11_SEGMENTS + 1]; /* [0] is the head */
};
void p11_message_start(struct p11_message *m, unsigned function);
/** False when there are too many or too long segments. */
bool p11_message_add(struct p11_message *m, const void *ptr, size_t len);
/** Until when a message, or one and its answer, must be there as a whole: an end that gives a byte
 * now and then gains nothing. */
struct p11_limit {
    int64_t until_us; /* monotonic; 0: never */
    bool late;        /* that moment has passed */
};
struct p11_limit p11_limit_in(int milliseconds);
/** The whole of it; false at the end of the stream, or at the limit. */
bool p11_message_send(int fd, struct p11_message *m, struct p11_limit *limit);
bool p11_receive(int fd, void *out, size_t len, struct p11_limit *limit);
bool p11_receive_parts(int fd, struct iovec *parts, size_t n, struct p11_limit *limit);
/** Its magic, function and sizes are possible. @param ret_total  bytes that follow */
bool p11_head_good(const struct p11_head *head, unsigned function, size_t *ret_total);

#define P11_NUMBERS_MAX 192
/** A call: what is sent, and where the answer goes. */
struct p11_exchange {
    const char *letters;
    struct p11_arg *args;
    struct p11_message out;
    struct iovec want[P11_SEGMENTS];
    bool exact[P11_SEGMENTS];
    unsigned n_want;
    CK_ULONG numbers[P11_NUMBERS_MAX]; /* that segments point to */
    size_t n_numbers;
    CK_ULONG rv;
    bool bad; /* more arguments than fit */
};
bool p11_exchange_pack(struct p11_exchange *x, enum p11_function function, struct p11_arg *args);
/** Send, and take the answer to where it belongs; false when there is none that fits. */
bool p11_exchange_run(struct p11_exchange *x, int fd, struct p11_limit *limit);

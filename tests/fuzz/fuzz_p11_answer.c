/* What the process of a PKCS#11 module may answer: it can have been taken over by its module. */
#include "se/pkcs11/remote_priv.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROOM 64

/* Exactly as long as said, so that one byte too many is seen. */
static void *room(void *blocks[], size_t *n, size_t bytes)
{
    return blocks[(*n)++] = malloc(bytes);
}

static void fill_arg(struct p11_arg *arg, char letter, CK_ATTRIBUTE list[2], void *blocks[],
                     size_t *n)
{
    static CK_MECHANISM mech = {CKM_ECDSA, NULL, 0};
    switch (letter) {
    case 'm':
        arg->ptr = &mech;
        break;
    case 't':
    case 'A':
        list[0] = (CK_ATTRIBUTE){CKA_VALUE, room(blocks, n, ROOM), ROOM};
        list[1] = (CK_ATTRIBUTE){CKA_LABEL, NULL, 0};
        memset(list[0].pValue, 0, ROOM);
        *arg = (struct p11_arg){2, list};
        break;
    case 'V':
        *arg = (struct p11_arg){8, room(blocks, n, 8 * sizeof(CK_ULONG))};
        break;
    case 'b':
    case 'B':
    case 'I':
        *arg = (struct p11_arg){ROOM, room(blocks, n, ROOM)};
        memset(arg->ptr, 0, ROOM);
        break;
    case 'N':
    case 'S':
        *arg = (struct p11_arg){1, room(blocks, n, sizeof(CK_ULONG))};
        break;
    default:
        arg->n = 1;
    }
}

static void call(enum p11_function function, int fd)
{
    struct p11_arg args[P11_ARGS] = {{0, NULL}};
    CK_ATTRIBUTE lists[P11_ARGS][2];
    void *blocks[2 * P11_ARGS];
    size_t n = 0;
    struct p11_exchange x;
    struct p11_limit limit = {0};
    for (size_t i = 0; p11_function_args[function][i]; i++) {
        fill_arg(&args[i], p11_function_args[function][i], lists[i], blocks, &n);
    }
    if (!p11_exchange_pack(&x, function, args)) {
        abort();
    }
    (void)p11_exchange_run(&x, fd, &limit);
    while (n) {
        free(blocks[--n]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int ends[2];
    if (size == 0 || size > 60000 || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
        return 0;
    }
    if (write(ends[1], data + 1, size - 1) == (ssize_t)(size - 1)) {
        shutdown(ends[1], SHUT_WR);
        call((enum p11_function)(data[0] % P11_FUNCTION_COUNT), ends[0]);
    }
    close(ends[0]);
    close(ends[1]);
    return 0;
}

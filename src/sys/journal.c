/* Datagrams to journald, one an entry; and standard error without the buffers of the C library. */
#include "sys/journal.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Larger entries would need a file descriptor to be passed; a log line is never that long. */
#define JOURNAL_ENTRY_MAX 32768

bool bst_journal_is_stderr(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat st;
    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &st) == 0 && (unsigned long long)st.st_dev == device &&
           (unsigned long long)st.st_ino == inode;
}

static int journal_socket(void)
{
    static _Atomic int kept = -1;
    int fd = atomic_load(&kept);
    if (fd >= 0) {
        return fd;
    }
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int expected = -1;
    if (fd >= 0 && !atomic_compare_exchange_strong(&kept, &expected, fd)) {
        close(fd);
        return expected;
    }
    return fd;
}

bool bst_journal_send(struct bst_view entry)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket"};
    int fd = journal_socket();
    return fd >= 0 && entry.len <= JOURNAL_ENTRY_MAX &&
           sendto(fd, entry.ptr, entry.len, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&addr,
                  sizeof addr) == (ssize_t)entry.len;
}

void bst_stderr_write(struct bst_view bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(STDERR_FILENO, bytes.ptr, bytes.len);
        if (n <= 0) {
            if (n < 0 && errno == EINTR) {
                continue;
            }
            return;
        }
        bytes = bst_view_from(bytes, (size_t)n);
    }
}

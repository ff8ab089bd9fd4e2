/* Reading a passphrase without showing it. */
#include "cli/passphrase.h"

#include "sys/file.h"

#include <termios.h>
#include <unistd.h>

#define PASSPHRASE_MAX 1024

static bst_result keep_line(char *line, size_t len, struct bst_secret *ret)
{
    while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r')) {
        len--;
    }
    bst_result r = len ? bst_secret_copy(ret, line, len)
                       : bst_error_detailed(BST_E_VALUE, "the passphrase is empty");
    return r;
}

static bst_result from_file(const char *file, struct bst_secret *ret)
{
    unsigned mode;
    bst_auto(buf) text = {0};
    BST_TRY(bst_file_mode(file, &mode));
    if (mode & 077) {
        BST_FAIL(BST_E_PERMISSION, "others may read %s: chmod 600 %s", file, file);
    }
    BST_TRY(bst_file_read(file, PASSPHRASE_MAX, &text));
    size_t len = 0;
    while (len < text.len && text.ptr[len] != '\n') {
        len++;
    }
    bst_result r = keep_line(text.ptr, len, ret);
    bst_buf_wipe(&text);
    return r;
}

static bst_result ask(FILE *tty, const char *prompt, struct bst_secret *ret)
{
    struct termios shown, hidden;
    char line[PASSPHRASE_MAX];
    if (tcgetattr(fileno(tty), &shown) != 0) {
        BST_FAIL(BST_E_IO, "the terminal cannot hide what is typed");
    }
    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(fileno(tty), TCSAFLUSH, &hidden);
    fputs(prompt, tty);
    fflush(tty);
    bool got = fgets(line, sizeof line, tty) != NULL;
    tcsetattr(fileno(tty), TCSAFLUSH, &shown);
    fputc('\n', tty);
    bst_result r = got ? keep_line(line, strlen(line), ret)
                       : bst_error_detailed(BST_E_VALUE, "nothing was typed");
    bst_wipe(line, sizeof line);
    return r;
}

static bst_result ask_twice(FILE *tty, struct bst_secret *ret)
{
    bst_auto(secret) again = {0};
    BST_TRY(ask(tty, "Once more: ", &again));
    if (again.len != ret->len || !bst_equal_ct(again.ptr, ret->ptr, ret->len)) {
        BST_FAIL(BST_E_VALUE, "these were two different passphrases");
    }
    return BST_OK;
}

bst_result cli_passphrase(const char *file, bool twice, struct bst_secret *ret)
{
    if (file) {
        return from_file(file, ret);
    }
    FILE *tty = fopen("/dev/tty", "r+");
    if (!tty) {
        BST_FAIL(BST_E_USAGE,
                 "there is no terminal to ask for a passphrase; use --passphrase-file");
    }
    setvbuf(tty, NULL, _IONBF, 0);
    bst_result r = ask(tty, "Passphrase: ", ret);
    if (!bst_failed(r) && twice) {
        r = ask_twice(tty, ret);
        if (bst_failed(r)) {
            bst_secret_clear(ret);
        }
    }
    fclose(tty);
    return r;
}

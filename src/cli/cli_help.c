/* Help, man page and completion, all from the command table. */
#include "cli/cli.h"

static const struct {
    enum cli_exit code;
    const char *text;
} exits[] = {
    {CLI_OK, "Done."},
    {CLI_FAILED, "Done, and the answer is no: a check, a verification or a test failed."},
    {CLI_USAGE, "Wrong usage."},
    {CLI_INPUT, "A file, a configuration or a value is wrong."},
    {CLI_DENIED, "Not authenticated, or not allowed."},
    {CLI_NOT_FOUND, "Not found."},
    {CLI_CONFLICT, "Something is in the way, or in use."},
    {CLI_IO, "Disk or network failed."},
    {CLI_INTERNAL, "A defect of Bastide."},
};

#define HELP_WIDTH 88

/* Words of one paragraph, broken at the width; the first line begins at column `at`. */
static void print_wrapped(FILE *out, struct bst_view text, size_t indent, size_t at)
{
    size_t column = at;
    while (text.len > 0) {
        size_t len = 0;
        while (len < text.len && text.ptr[len] != ' ') {
            len++;
        }
        if (column > indent && column + 1 + len > HELP_WIDTH) {
            fprintf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", (int)len, text.ptr);
        column += len;
        text = bst_view_from(text, len);
        while (text.len > 0 && text.ptr[0] == ' ') {
            text = bst_view_from(text, 1);
        }
    }
    fputc('\n', out);
}

static void print_paragraphs(FILE *out, const char *text)
{
    struct bst_view rest = bst_view(text), line;
    bool more;
    do {
        more = bst_view_cut(&rest, '\n', &line);
        print_wrapped(out, line, 0, 0);
    } while (more);
}

static void help_options(const struct cli_option *options, FILE *out)
{
    for (; options && options->name; options++) {
        char left[64], text[1024];
        snprintf(left, sizeof left, "%s%s%s", options->name, options->arg ? " " : "",
                 options->arg ? options->arg : "");
        snprintf(text, sizeof text, "%s%s", options->text, options->repeats ? " May repeat." : "");
        fprintf(out, "  %-24s ", left);
        print_wrapped(out, bst_view(text), 27, 27);
    }
}

void cli_help(const struct cli_command *command, const char *path, FILE *out)
{
    if (command->words && !command->run) {
        fprintf(out, "%s: %s\n\n", path, command->summary);
        for (const struct cli_command *w = command->words; w->name; w++) {
            fprintf(out, "  %s %s%s%s\n      %s\n", path, w->name, w->args[0] ? " " : "", w->args,
                    w->summary);
        }
        fprintf(out, "\nexample: %.*s\n", (int)strcspn(command->words->example, "\n"),
                command->words->example);
        return;
    }
    fprintf(out, "usage: %s [OPTION...]%s%s\n\n%s.\n", path, command->args[0] ? " " : "",
            command->args, command->summary);
    if (command->text) {
        fputc('\n', out);
        print_paragraphs(out, command->text);
    }
    fprintf(out, "\noptions:\n");
    help_options(command->options, out);
    help_options(cli_global_options, out);
    fprintf(out, "\nexample:\n");
    struct bst_view rest = bst_view(command->example), line;
    bool more;
    do {
        more = bst_view_cut(&rest, '\n', &line);
        fprintf(out, "  %.*s\n", BST_VIEW_ARGS(line));
    } while (more);
}

/* --- man page ------------------------------------------------------------------------------- */

/* Text into mdoc: a backslash is escaped, a line may not begin with a control character. */
static void man_text(struct bst_buf *out, struct bst_view text)
{
    bool line_start = true;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (line_start && (c == '.' || c == '\'')) {
            bst_buf_adds(out, "\\&");
        }
        if (c == '\\') {
            bst_buf_adds(out, "\\e");
        } else {
            bst_buf_addc(out, c);
        }
        line_start = c == '\n';
    }
}

/* mdoc wants a sentence to end its line, and lines of at most 80 characters. */
static void man_paragraph(struct bst_buf *out, struct bst_view text)
{
    size_t column = 0;
    while (text.len > 0) {
        size_t len = 0;
        while (len < text.len && text.ptr[len] != ' ' && text.ptr[len] != '\n') {
            len++;
        }
        if (column > 0 && column + 1 + len > 76) {
            bst_buf_addc(out, '\n');
            column = 0;
        } else if (column > 0) {
            bst_buf_addc(out, ' ');
            column++;
        }
        man_text(out, bst_view_of(text.ptr, len));
        column += len;
        if (len > 0 && text.ptr[len - 1] == '.') {
            bst_buf_addc(out, '\n');
            column = 0;
        }
        text = bst_view_from(text, len < text.len ? len + 1 : len);
    }
    if (column > 0) {
        bst_buf_addc(out, '\n');
    }
}

static void man_paragraphs(struct bst_buf *out, const char *text)
{
    const char *p = text;
    while (*p) {
        const char *end = strstr(p, "\n\n");
        size_t len = end ? (size_t)(end - p) : strlen(p);
        bst_buf_adds(out, ".Pp\n");
        man_paragraph(out, bst_view_of(p, len));
        p += len + (end ? 2 : 0);
    }
}

static void man_options(struct bst_buf *out, const struct cli_option *options)
{
    if (!options || !options->name) {
        return;
    }
    bst_buf_adds(out, ".Bl -tag -width Ds\n");
    for (; options->name; options++) {
        bst_buf_addf(out, ".It Fl -%s", options->name + 2);
        if (options->arg) {
            bst_buf_addf(out, " Ar %s", options->arg);
        }
        bst_buf_addc(out, '\n');
        man_paragraph(out, bst_view(options->text));
        if (options->repeats) {
            bst_buf_adds(out, "May be given more than once.\n");
        }
    }
    bst_buf_adds(out, ".El\n");
}

static void man_one(struct bst_buf *out, const char *prefix, const struct cli_command *command)
{
    size_t args_len = strlen(command->args);
    bst_buf_addf(out, ".Ss %s%s%s%s%s%s\n", prefix, prefix[0] ? " " : "", command->name,
                 args_len ? " " : "", command->args, args_len ? "\\&" : "");
    char summary[256];
    snprintf(summary, sizeof summary, "%s.", command->summary);
    man_paragraph(out, bst_view(summary));
    if (command->text) {
        man_paragraphs(out, command->text);
    }
    man_options(out, command->options);
    bst_buf_adds(out, ".Bd -literal -offset indent\n");
    man_text(out, bst_view(command->example));
    bst_buf_adds(out, "\n.Ed\n");
}

static void man_commands(struct bst_buf *out)
{
    for (size_t i = 0; cli_commands[i]; i++) {
        const struct cli_command *command = cli_commands[i];
        if (command->run) {
            man_one(out, "", command);
            continue;
        }
        for (const struct cli_command *w = command->words; w->name; w++) {
            man_one(out, command->name, w);
        }
    }
}

bst_result cli_man_page(struct bst_buf *ret)
{
    bst_buf_adds(ret,
                 ".\\\" Made by 'bastide version --man' from the command table.\n"
                 ".Dd November 23, 2026\n.Dt BASTIDE 1\n.Os\n"
                 ".Sh NAME\n.Nm bastide\n.Nd IoT security stack: enrolment, security associations, "
                 "access control\n"
                 ".Sh SYNOPSIS\n.Nm\n.Ar command\n.Op Ar option ...\n.Op Ar argument ...\n"
                 ".Sh DESCRIPTION\n"
                 ".Nm\nserves oneM2M resources to those who are proved and allowed,\n"
                 "enrols devices, and speaks for them.\n"
                 "Options follow the command.\n"
                 "These hold for every command:\n");
    man_options(ret, cli_global_options);
    bst_buf_adds(ret, ".Sh COMMANDS\n");
    man_commands(ret);
    bst_buf_adds(ret,
                 ".Sh ENVIRONMENT\n.Bl -tag -width Ds\n.It Ev BASTIDE_STATE\n"
                 "State folder, where no\n.Fl -state\nis given.\n"
                 ".It Ev CREDENTIALS_DIRECTORY\n"
                 "Where the service manager keeps the credentials that the configuration names.\n"
                 ".El\n"
                 ".Sh FILES\n.Bl -tag -width Ds\n.It Pa /etc/bastide/bastide.yaml\n"
                 "Configuration.\n.It Pa /var/lib/bastide\nState folder.\n.El\n"
                 ".Sh EXIT STATUS\n.Bl -tag -width Ds -compact\n");
    for (size_t i = 0; i < sizeof exits / sizeof exits[0]; i++) {
        bst_buf_addf(ret, ".It %d\n%s\n", (int)exits[i].code, exits[i].text);
    }
    bst_buf_adds(ret, ".El\n");
    return bst_buf_check(ret);
}

/* --- completion ----------------------------------------------------------------------------- */

static void completion_options(struct bst_buf *out, const struct cli_option *options)
{
    for (; options && options->name; options++) {
        bst_buf_addf(out, " %s", options->name);
    }
}

static void completion_case(struct bst_buf *out, const char *pattern,
                            const struct cli_command *command)
{
    bst_buf_addf(out, "    %s) words=\"", pattern);
    const char *gap = "";
    if (!command->run) {
        for (const struct cli_command *w = command->words; w->name; w++) {
            bst_buf_addf(out, "%s%s", gap, w->name);
            gap = " ";
        }
    }
    completion_options(out, command->options);
    completion_options(out, cli_global_options);
    bst_buf_adds(out, "\" ;;\n");
}

bst_result cli_completion(struct bst_buf *ret)
{
    bst_buf_adds(ret, "# bash completion for bastide; made by 'bastide version --completion'\n"
                      "_bastide() {\n"
                      "    local cur=${COMP_WORDS[COMP_CWORD]} words\n"
                      "    case \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n");
    for (size_t i = 0; cli_commands[i]; i++) {
        const struct cli_command *command = cli_commands[i];
        char pattern[96];
        for (const struct cli_command *w = command->words; !command->run && w->name; w++) {
            snprintf(pattern, sizeof pattern, "\"%s %s\"", command->name, w->name);
            completion_case(ret, pattern, w);
        }
        snprintf(pattern, sizeof pattern, "\"%s \"*", command->name);
        completion_case(ret, pattern, command);
    }
    bst_buf_adds(ret, "    *) words=\"");
    for (size_t i = 0; cli_commands[i]; i++) {
        bst_buf_addf(ret, "%s%s", i ? " " : "", cli_commands[i]->name);
    }
    bst_buf_adds(ret, "\" ;;\n    esac\n"
                      "    [ \"$COMP_CWORD\" -gt 1 ] || words=${words%% --*}\n"
                      "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                      "    [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- \"$cur\"))\n"
                      "}\ncomplete -F _bastide bastide\n");
    return bst_buf_check(ret);
}

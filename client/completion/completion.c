#include "client/completion/completion.h"

#include "completion_files.h" /* generated: completion_files[] */

#include <stdio.h>
#include <string.h>

/*
 * The files for zsh are bodies of functions, to be found in $fpath (zshcompsys(1)): "#compdef NAMES" and what
 * is done to complete. Inside of a function they may be sourced, too; a file made of that completes only
 * where zsh has called it.
 */
static void put_zsh(const char *program, const char *text, size_t len, gp_buf *out)
{
    static const char tag[] = "#compdef ";
    const char *end = memchr(text, '\n', len);
    if (!end || strncmp(text, tag, sizeof tag - 1) != 0) {
        gp_buf_add(out, text, len);
        return;
    }
    const char *names = text + sizeof tag - 1;
    gp_buf_printf(out, "%.*s\n_gp_complete_%s() {\n", (int)(end - text), text, program);
    gp_buf_add(out, end + 1, len - (size_t)(end + 1 - text));
    gp_buf_printf(out,
                  "}\ncompdef _gp_complete_%s %.*s\n[[ $funcstack[1] != _%s ]] || _gp_complete_%s \"$@\"\n",
                  program, (int)(end - names), names, program, program);
}

/* What the scripts for bash find beside them where they are files. */
static const char bash_common[] = "_goprobe";

static void put_file(const char *name, gp_buf *out)
{
    for (size_t i = 0; i < sizeof completion_files / sizeof completion_files[0]; i++)
        if (strcmp(completion_files[i].name, name) == 0)
            gp_buf_add(out, (const char *)completion_files[i].data, completion_files[i].len);
}

bool gp_completion_script(const char *program, const char *shell, gp_buf *out)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", program, shell);
    for (size_t i = 0; i < sizeof completion_files / sizeof completion_files[0]; i++) {
        const char *text = (const char *)completion_files[i].data;
        if (strcmp(completion_files[i].name, name) != 0)
            continue;
        if (strcmp(shell, "bash") == 0)
            put_file(bash_common, out);
        if (strcmp(shell, "zsh") == 0)
            put_zsh(program, text, completion_files[i].len, out);
        else
            gp_buf_add(out, text, completion_files[i].len);
        return true;
    }
    return false;
}

gp_code gp_completion_print(const char *program, const char *shell, gp_error *err)
{
    gp_buf script = GP_BUF_INIT;
    gp_code code = GP_OK;
    if (!gp_completion_script(program, shell, &script))
        code = gp_fail(err, GP_EINVAL, "completion: \"%s\" is not bash, zsh or fish", shell);
    else if (script.failed)
        code = gp_fail(err, GP_ENOMEM, "out of memory for the script");
    else if (fwrite(script.data, 1, script.len, stdout) != script.len)
        code = gp_fail(err, GP_EIO, "cannot write to standard output");
    gp_buf_free(&script);
    return code;
}

/* Where a token comes from. */
#include "client/gpclient.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKEN_MAX = 512 };

/* What may stand in a header: RFC 6750, 2.1 says even less. */
static bool is_printable(const char *text)
{
    for (; *text; text++)
        if (*text < 0x21 || *text > 0x7e)
            return false;
    return true;
}

gp_code gp_client_token_check(const char *token, gp_error *err)
{
    size_t len = strlen(token);
    if (len == 0 || len >= TOKEN_MAX)
        return gp_fail(err, GP_EINVAL, "a token has 1 to %d characters, not %zu", TOKEN_MAX - 1, len);
    if (!is_printable(token))
        return gp_fail(err, GP_EINVAL, "a token is printable ASCII without blanks");
    return GP_OK;
}

gp_code gp_client_token_from_file(const char *path, char **out, gp_error *err)
{
    char line[TOKEN_MAX + 2] = "";
    FILE *f = fopen(path, "re");
    if (!f)
        return gp_fail_errno(err, errno, "cannot read the token file '%s'", path);
    errno = 0;
    bool read = fgets(line, sizeof line, f) != NULL;
    bool failed = ferror(f) != 0;
    int sys = errno;
    (void)fclose(f);
    if (failed)
        return gp_fail_errno(err, sys, "cannot read the token file '%s'", path);
    if (!read)
        return gp_fail(err, GP_EINVAL, "the token file '%s' is empty", path);
    line[strcspn(line, "\r\n")] = '\0';
    gp_code rc = gp_client_token_check(line, err);
    if (rc != GP_OK)
        return gp_error_prefix(err, "token file '%s'", path);
    *out = strdup(line);
    return *out ? GP_OK : gp_fail(err, GP_ENOMEM, "out of memory for a token");
}

#include "proto/auth/lines.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE = 1 << 20 };

gp_code gp_lines_parse(const char *file, const char *text, size_t len, gp_line_fn fn, void *ctx,
                       gp_error *err)
{
    gp_code rc = GP_OK;
    size_t number = 0;
    for (const char *at = text, *end = text + len; at < end && rc == GP_OK;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t n = (size_t)((stop ? stop : end) - at);
        char *line = strndup(at, n);
        number++;
        rc = line ? fn(ctx, line, err) : gp_fail(err, GP_ENOMEM, "out of memory for a line");
        free(line);
        if (rc != GP_OK)
            gp_error_prefix(err, "%s:%zu", file, number);
        at += n + 1;
    }
    return rc;
}

gp_code gp_lines_load(const char *path, const char *what, gp_line_fn fn, void *ctx, gp_error *err)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return gp_fail_errno(err, errno, "cannot read the %s '%s'", what, path);
    char *text = malloc(MAX_FILE);
    size_t n = text ? fread(text, 1, MAX_FILE, f) : 0;
    bool failed = ferror(f) != 0;
    int sys = errno;
    (void)fclose(f);
    gp_code rc = GP_OK;
    if (!text)
        rc = gp_fail(err, GP_ENOMEM, "out of memory for the %s '%s'", what, path);
    else if (failed)
        rc = gp_fail_errno(err, sys, "cannot read the %s '%s'", what, path);
    else if (n == MAX_FILE)
        rc = gp_fail(err, GP_ELIMIT, "the %s '%s' is larger than 1 MiB", what, path);
    else
        rc = gp_lines_parse(path, text, n, fn, ctx, err);
    free(text);
    return rc;
}

#include "proto/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#undef gp_fail /* what the analyzer is told about callers */
#undef gp_fail_errno
#undef gp_error_prefix

static const char *const code_names[] = {
    [GP_OK] = "ok",
    [GP_EINVAL] = "invalid input",
    [GP_ENOTFOUND] = "not found",
    [GP_EEXIST] = "exists already",
    [GP_EPERM] = "not permitted",
    [GP_EIO] = "input/output error",
    [GP_ECORRUPT] = "damaged data",
    [GP_ENOMEM] = "out of memory",
    [GP_ELIMIT] = "limit exceeded",
    [GP_EBUSY] = "in use",
    [GP_ETIMEOUT] = "timed out",
    [GP_ECANCELED] = "canceled",
    [GP_ENET] = "network error",
    [GP_EUNSUPPORTED] = "not supported",
    [GP_EINTERNAL] = "internal error",
};

const char *gp_code_name(gp_code code)
{
    size_t n = sizeof code_names / sizeof code_names[0];
    return (size_t)code < n ? code_names[code] : "unknown error";
}

static gp_code code_of_errno(int sys)
{
    switch (sys) {
    case EACCES:
    case EPERM:
        return GP_EPERM;
    case ENOENT:
        return GP_ENOTFOUND;
    case EEXIST:
        return GP_EEXIST;
    case ENOMEM:
        return GP_ENOMEM;
    case EADDRINUSE:
    case EBUSY:
        return GP_EBUSY;
    case ETIMEDOUT:
        return GP_ETIMEOUT;
    default:
        return GP_EIO;
    }
}

gp_code gp_fail(gp_error *err, gp_code code, const char *fmt, ...)
{
    if (!err)
        return code;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    err->code = code;
    err->sys = 0;
    return code;
}

gp_code gp_fail_errno(gp_error *err, int sys, const char *fmt, ...)
{
    gp_code code = code_of_errno(sys);
    if (!err)
        return code;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof err->msg) {
        char reason[128];
        snprintf(err->msg + n, sizeof err->msg - (size_t)n, ": %s", strerror_r(sys, reason, sizeof reason));
    }
    err->code = code;
    err->sys = sys;
    return code;
}

gp_code gp_error_prefix(gp_error *err, const char *fmt, ...)
{
    if (!err)
        return GP_EINTERNAL;
    char prefix[GP_ERROR_MSG_SIZE];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(prefix, sizeof prefix - 2, fmt, ap);
    va_end(ap);
    size_t shift = strlen(prefix);
    prefix[shift++] = ':';
    prefix[shift++] = ' ';
    /* What does not fit is lost at the end: the context in front is what a reader needs first. */
    size_t keep = strnlen(err->msg, sizeof err->msg - 1 - shift);
    memmove(err->msg + shift, err->msg, keep);
    memcpy(err->msg, prefix, shift);
    err->msg[shift + keep] = '\0';
    return err->code;
}

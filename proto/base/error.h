/*
 * error.h - the one error type of the project.
 *
 * A function that can fail returns a gp_code and takes a `gp_error *err` as its last argument (NULL is
 * allowed: the caller then only wants the code). On failure the callee fills in the message; a message
 * names the thing, the value and what to do about it. On success *err is left untouched.
 *
 * Thread-safety: a gp_error belongs to its caller; nothing here keeps state.
 */
#ifndef GP_BASE_ERROR_H
#define GP_BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>

typedef enum gp_code {
    GP_OK = 0,
    GP_EINVAL,       /* input of the user or peer that can never work: syntax, range, unknown name */
    GP_ENOTFOUND,    /* a named thing (file, interface, host, route) does not exist */
    GP_EEXIST,       /* a named thing exists already and must not be replaced */
    GP_EPERM,        /* the operating system refuses access */
    GP_EIO,          /* reading or writing failed */
    GP_ECORRUPT,     /* data from disk or network contradicts its own description */
    GP_ENOMEM,       /* memory, or the memory a query may use, is exhausted */
    GP_ELIMIT,       /* a configured limit would be exceeded (sizes, concurrency) */
    GP_EBUSY,        /* in use by somebody else (address, lock) */
    GP_ETIMEOUT,     /* the deadline passed */
    GP_ECANCELED,    /* the caller withdrew its request */
    GP_ENET,         /* a peer could not be reached or broke off */
    GP_EUNSUPPORTED, /* this build or platform cannot do it */
    GP_EINTERNAL     /* a bug of ours */
} gp_code;

#define GP_ERROR_MSG_SIZE 2048

typedef struct gp_error {
    gp_code code;
    int sys;                     /* errno where one was involved, otherwise 0 */
    char msg[GP_ERROR_MSG_SIZE]; /* one UTF-8 sentence; several lines where a position is marked */
} gp_error;

#define GP_ERROR_INIT                                                                                        \
    {                                                                                                        \
        GP_OK, 0,                                                                                            \
        {                                                                                                    \
            0                                                                                                \
        }                                                                                                    \
    }

/* Short name of a code for logs and exit messages, for example "not found". Static string. */
const char *gp_code_name(gp_code code);

/* Fills in *err (if not NULL) and returns `code`, so that callers can write `return gp_fail(...)`. */
gp_code gp_fail(gp_error *err, gp_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* As gp_fail, with ": <strerror(sys)>" appended. The code follows from errno: EACCES and EPERM give
 * GP_EPERM, ENOENT gives GP_ENOTFOUND, ENOMEM gives GP_ENOMEM, EADDRINUSE and EBUSY give GP_EBUSY,
 * everything else GP_EIO. */
gp_code gp_fail_errno(gp_error *err, int sys, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "<text>: " before the message that *err already holds. Returns err->code (GP_EINTERNAL if NULL). */
gp_code gp_error_prefix(gp_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#ifdef __clang_analyzer__ /* it sees one file at a time: tell it that a failure is never GP_OK */
#define gp_fail(err, code, ...)      (gp_fail(err, code, __VA_ARGS__), (code))
#define gp_fail_errno(err, sys, ...) (gp_fail_errno(err, sys, __VA_ARGS__), GP_EIO)
#define gp_error_prefix(err, ...)    (gp_error_prefix(err, __VA_ARGS__), GP_EINTERNAL)
#endif

#endif

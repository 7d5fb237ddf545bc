/*
 * auth.h - who may do what: bearer tokens (RFC 6750) with scopes.
 *
 * A token is "gp_" and 256 random bits in hexadecimal. The tokens file holds a line for each, with a salted
 * SHA-256 of it; at that entropy there is nothing to guess, so a slow hash would only slow us down:
 *
 *   # name  scopes         hash
 *   alice   query,control  sha256:<salt, 32 hex digits>:<SHA-256 of salt and token, 64 hex digits>
 *
 * Every check hashes against every line and compares in constant time, so that neither the token nor which
 * line it belongs to shows in how long an answer takes.
 *
 * Thread-safety: gp_auth may be used by any number of threads at a time.
 */
#ifndef GP_AUTH_AUTH_H
#define GP_AUTH_AUTH_H

#include "proto/base/buf.h"
#include "proto/base/error.h"
#include "proto/base/log.h"

enum { GP_TOKEN_LEN = 3 + 64, GP_TOKEN_NAME_MAX = 63 };

/* Bits. */
typedef unsigned gp_scopes;
#define GP_SCOPE_QUERY   1U /* ask: queries, status, metrics */
#define GP_SCOPE_CONTROL 2U /* change: configuration, log level */
#define GP_SCOPE_ALL     (GP_SCOPE_QUERY | GP_SCOPE_CONTROL)

typedef struct gp_identity {
    char name[GP_TOKEN_NAME_MAX + 1]; /* of the token */
    gp_scopes scopes;
} gp_identity;

typedef struct gp_auth_config {
    const char *tokens_file; /* NULL: none */
    /* Keys in plain text, as goProbe v4 has them: tokens "api.keys[0]", ... of every scope. */
    const char *const *keys;
    size_t n_keys;
    gp_log *log;
} gp_auth_config;

typedef struct gp_auth gp_auth;

/* A tokens file that is wrong is an error that names file and line. Strings are copied. */
gp_code gp_auth_new(gp_auth **out, const gp_auth_config *cfg, gp_error *err);
void gp_auth_free(gp_auth *a);
/* Reads the tokens file again. That happens by itself, too, at most once a second, after it has changed. A
 * file that is wrong leaves the old tokens in force. */
gp_code gp_auth_reload(gp_auth *a, gp_error *err);
/* Whether this is one of the tokens. */
bool gp_auth_check(gp_auth *a, const char *token, size_t len, gp_identity *out);

/* "query", "query,control"; GP_EINVAL names the word that is none. */
gp_code gp_scopes_parse(const char *text, gp_scopes *out, gp_error *err);
void gp_scopes_write(gp_scopes scopes, gp_buf *out);

#endif

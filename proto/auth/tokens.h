/* tokens.h - the text of a tokens file, and making tokens. Internal to proto/auth; see auth.h for the format.
 * A gp_tokens belongs to one thread; reading it is for any. */
#ifndef GP_AUTH_TOKENS_H
#define GP_AUTH_TOKENS_H

#include "proto/auth/auth.h"

#include <sys/types.h>

enum { GP_SALT_SIZE = 16, GP_HASH_SIZE = 32, GP_TOKENS_MAX = 4096 };

typedef struct gp_token_line {
    gp_identity who;
    unsigned char salt[GP_SALT_SIZE];
    unsigned char hash[GP_HASH_SIZE];
} gp_token_line;

typedef struct gp_tokens {
    gp_token_line *items;
    size_t n;
} gp_tokens;

/* `name` is for messages. On failure *out is empty. */
gp_code gp_tokens_parse(const char *name, const char *text, size_t len, gp_tokens *out, gp_error *err);
gp_code gp_tokens_load(const char *path, gp_tokens *out, gp_error *err);
void gp_tokens_free(gp_tokens *t);
bool gp_tokens_check(const gp_tokens *t, const char *token, size_t len, gp_identity *out);

/* Appends a line for this token, with a new salt. GP_EEXIST: the name is taken; GP_EINVAL: it cannot be
 * one. */
gp_code gp_tokens_add(gp_tokens *t, const char *name, gp_scopes scopes, const char *token, gp_error *err);
/* GP_ENOTFOUND: there is none of this name. */
gp_code gp_tokens_remove(gp_tokens *t, const char *name, gp_error *err);
/* The file as text. */
void gp_tokens_write(const gp_tokens *t, gp_buf *out);
/* Replaces the file in one step. Whoever could read it before still can; a new one, only its owner and, where
 * root makes it in a folder of root's with another group, that group. `group` (or NULL) is given to the file
 * and may read it. */
gp_code gp_tokens_save(const gp_tokens *t, const char *path, const gid_t *group, gp_error *err);

gp_code gp_token_make(char out[GP_TOKEN_LEN + 1], gp_error *err);

#endif

#include "proto/auth/auth.h"

#include "proto/auth/tokens.h"
#include "proto/base/watched.h"

#include <stdio.h>
#include <stdlib.h>

struct gp_auth {
    gp_tokens keys;   /* of the configuration */
    gp_watched *file; /* gp_tokens; NULL: none */
};

static gp_code load_tokens(const char *path, gp_log *log, void **content, gp_error *err)
{
    gp_tokens *t = calloc(1, sizeof *t);
    (void)log;
    if (!t)
        return gp_fail(err, GP_ENOMEM, "out of memory for tokens");
    gp_code rc = gp_tokens_load(path, t, err);
    if (rc != GP_OK) {
        free(t);
        return rc;
    }
    *content = t;
    return GP_OK;
}

static void free_tokens(void *content)
{
    gp_tokens_free(content);
    free(content);
}

static const gp_watched_kind tokens_file = {"tokens", load_tokens, free_tokens};

static gp_code add_keys(gp_auth *a, const gp_auth_config *cfg, gp_error *err)
{
    gp_code rc = GP_OK;
    for (size_t i = 0; i < cfg->n_keys && rc == GP_OK; i++) {
        char name[GP_TOKEN_NAME_MAX + 1];
        snprintf(name, sizeof name, "api.keys-%zu", i + 1);
        rc = gp_tokens_add(&a->keys, name, GP_SCOPE_ALL, cfg->keys[i], err);
    }
    return rc;
}

gp_code gp_auth_new(gp_auth **out, const gp_auth_config *cfg, gp_error *err)
{
    gp_auth *a = calloc(1, sizeof *a);
    if (!a)
        return gp_fail(err, GP_ENOMEM, "out of memory for tokens");
    gp_code rc = add_keys(a, cfg, err);
    if (rc == GP_OK && cfg->tokens_file)
        rc = gp_watched_open(&a->file, &tokens_file, cfg->tokens_file, cfg->log, err);
    if (rc != GP_OK) {
        gp_auth_free(a);
        return rc;
    }
    *out = a;
    return GP_OK;
}

void gp_auth_free(gp_auth *a)
{
    if (!a)
        return;
    gp_tokens_free(&a->keys);
    gp_watched_close(a->file);
    free(a);
}

gp_code gp_auth_reload(gp_auth *a, gp_error *err)
{
    return a->file ? gp_watched_reload(a->file, err) : GP_OK;
}

bool gp_auth_check(gp_auth *a, const char *token, size_t len, gp_identity *out)
{
    bool key = gp_tokens_check(&a->keys, token, len, out);
    if (!a->file)
        return key;
    gp_watched_content *handle;
    const gp_tokens *tokens = gp_watched_take(a->file, &handle);
    bool known = gp_tokens_check(tokens, token, len, out);
    gp_watched_give(a->file, handle);
    return key || known;
}

#include "proto/auth/auth.h"

#include "proto/auth/tokens.h"
#include "proto/base/filestamp.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gp_auth {
    char *path; /* NULL: none */
    gp_log *log;
    gp_tokens keys; /* of the configuration */
    pthread_mutex_t lock;
    gp_tokens tokens; /* of the file; guarded by lock, as is */
    gp_filewatch watch;
};

/* a->lock is held, or nobody else knows of a. */
static gp_code load(gp_auth *a, gp_error *err)
{
    gp_tokens fresh;
    gp_filewatch_read(&a->watch, a->path);
    gp_code rc = gp_tokens_load(a->path, &fresh, err);
    if (rc != GP_OK)
        return rc;
    gp_tokens_free(&a->tokens);
    a->tokens = fresh;
    return GP_OK;
}

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
    a->log = cfg->log;
    pthread_mutex_init(&a->lock, NULL);
    gp_code rc = add_keys(a, cfg, err);
    if (rc == GP_OK && cfg->tokens_file) {
        a->path = strdup(cfg->tokens_file);
        rc = a->path ? load(a, err) : gp_fail(err, GP_ENOMEM, "out of memory for tokens");
    }
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
    gp_tokens_free(&a->tokens);
    pthread_mutex_destroy(&a->lock);
    free(a->path);
    free(a);
}

gp_code gp_auth_reload(gp_auth *a, gp_error *err)
{
    pthread_mutex_lock(&a->lock);
    gp_code rc = a->path ? load(a, err) : GP_OK;
    pthread_mutex_unlock(&a->lock);
    return rc;
}

/* a->lock is held. */
static void look_again(gp_auth *a)
{
    gp_error err = GP_ERROR_INIT;
    if (!a->path || !gp_filewatch_changed(&a->watch, a->path))
        return;
    if (load(a, &err) == GP_OK)
        gp_log_info(a->log, "tokens file read again", GP_F_STR("file", a->path),
                    GP_F_U64("tokens", a->tokens.n));
    else
        gp_log_error(a->log, "the tokens file has changed but cannot be used; the old tokens stay in force",
                     GP_F_STR("error", err.msg));
}

bool gp_auth_check(gp_auth *a, const char *token, size_t len, gp_identity *out)
{
    bool key = gp_tokens_check(&a->keys, token, len, out);
    pthread_mutex_lock(&a->lock);
    look_again(a);
    bool known = gp_tokens_check(&a->tokens, token, len, out);
    pthread_mutex_unlock(&a->lock);
    return key || known;
}

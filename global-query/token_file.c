#include "global-query/token_file.h"

#include "client/gpclient.h"

#include <stdlib.h>
#include <string.h>

static gp_code load_token(const char *path, gp_log *log, void **content, gp_error *err)
{
    char *token = NULL;
    (void)log;
    gp_code rc = gp_client_token_from_file(path, &token, err);
    *content = token;
    return rc;
}

static void free_token(void *content)
{
    char *token = content;
    explicit_bzero(token, strlen(token));
    free(token);
}

const gp_watched_kind gp_token_file = {"token for hosts", load_token, free_token};

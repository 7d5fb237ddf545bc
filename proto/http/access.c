/* Who may call what: the token of a request against the scope of its route (RFC 6750). */
#include "proto/http/internal.h"

#include <string.h>
#include <strings.h>

static const char missing[] = "Bearer realm=\"goprobe\"";
static const char invalid[] = "Bearer realm=\"goprobe\", error=\"invalid_token\"";
static const char too_little[] = "Bearer realm=\"goprobe\", error=\"insufficient_scope\", scope=\"control\"";

/* What stands behind "Bearer", or behind "digest", which is how goProbe v4's clients send their key. */
static const char *token_of(const gp_http_request *req)
{
    static const char *const schemes[] = {"Bearer", "digest"};
    const char *value = gp_http_header(req, "Authorization");
    for (size_t i = 0; value && i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t n = strlen(schemes[i]);
        if (strncasecmp(value, schemes[i], n) == 0 && value[n] == ' ')
            return value + n + strspn(value + n, " ");
    }
    return NULL;
}

static gp_scopes needed(const gp_http_request *req)
{
    if (!req->route || req->route->access == GP_HTTP_OPEN)
        return 0;
    return req->route->access == GP_HTTP_CONTROL ? GP_SCOPE_CONTROL : GP_SCOPE_QUERY;
}

/* Whoever may control may ask, too. */
static bool suffices(gp_scopes has, gp_scopes needs)
{
    return (has & needs) || (needs == GP_SCOPE_QUERY && (has & GP_SCOPE_CONTROL));
}

void gp_http_check_access(gp_http_request *req)
{
    gp_auth *auth = req->server->auth;
    gp_scopes needs = needed(req);
    const char *token = auth ? token_of(req) : NULL;
    bool known = token && gp_auth_check(auth, token, strlen(token), &req->identity);
    if (!auth || needs == 0 || (known && suffices(req->identity.scopes, needs)))
        return;
    req->refused = known ? 403 : 401;
    req->challenge = known ? too_little : token ? invalid : missing;
}

enum MHD_Result gp_http_queue_refusal(gp_http_request *req)
{
    gp_http_response res = {.extra_header = {MHD_HTTP_HEADER_WWW_AUTHENTICATE, req->challenge}};
    if (req->refused == 403)
        gp_http_error(&res, 403, "the token \"%s\" may ask, but not change anything: its scopes lack control",
                      req->identity.name);
    else if (req->challenge == invalid)
        gp_http_error(&res, 401, "this token is not known here");
    else
        gp_http_error(&res, 401, "a token is needed: send it as \"Authorization: Bearer <token>\"");
    return gp_http_queue(req, &res, NULL);
}

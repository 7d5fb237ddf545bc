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

/* What the certificate of the client allows; everything where none is asked for. */
static gp_scopes certified(const gp_http_request *req)
{
    gnutls_session_t session = req->server->tls ? gp_http_tls_session(req->connection) : NULL;
    return session ? gp_tls_peer_scopes(req->server->tls, session) : GP_SCOPE_ALL;
}

static void refuse(gp_http_request *req, int status, const char *challenge)
{
    req->refused = status;
    req->challenge = challenge;
}

/* Where both are asked for, the token and the certificate must each allow it. */
void gp_http_check_access(gp_http_request *req)
{
    gp_auth *auth = req->server->auth;
    gp_scopes needs = needed(req);
    const char *token = auth ? token_of(req) : NULL;
    bool known = token && gp_auth_check(auth, token, strlen(token), &req->identity);
    if (needs == 0)
        return;
    if (auth && !known)
        refuse(req, 401, token ? invalid : missing);
    else if (auth && !suffices(req->identity.scopes, needs))
        refuse(req, 403, too_little);
    else if (!suffices(certified(req), needs))
        refuse(req, 403, NULL);
}

/* The certificate does not allow it. */
static void explain_certificate(gp_http_request *req, gp_http_response *res)
{
    gp_http_error(res, 403,
                  certified(req) & GP_SCOPE_QUERY
                      ? "the certificate \"%s\" may ask, but not change anything: its scopes lack control"
                      : "the certificate \"%s\" may do nothing here: it was given no scopes",
                  gp_http_who(req));
}

enum MHD_Result gp_http_queue_refusal(gp_http_request *req)
{
    gp_http_response res = {.extra_header = {MHD_HTTP_HEADER_WWW_AUTHENTICATE, req->challenge}};
    if (!req->challenge)
        explain_certificate(req, &res);
    else if (req->refused == 403)
        gp_http_error(&res, 403, "the token \"%s\" may ask, but not change anything: its scopes lack control",
                      req->identity.name);
    else if (req->challenge == invalid)
        gp_http_error(&res, 401, "this token is not known here");
    else
        gp_http_error(&res, 401, "a token is needed: send it as \"Authorization: Bearer <token>\"");
    return gp_http_queue(req, &res, NULL);
}

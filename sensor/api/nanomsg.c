/* Queries by nanomsg, and what there is to count of them. */
#include "sensor/api/internal.h"

#include <string.h>

/* Whether other machines reach an endpoint. */
static bool is_open(const char *addr)
{
    static const char tcp[] = "tcp://";
    if (strncmp(addr, "ipc://", 6) == 0)
        return false;
    return gp_http_addr_is_open(addr + (strncmp(addr, tcp, strlen(tcp)) == 0 ? strlen(tcp) : 0));
}

bool gp_api_nanomsg_is_open(const gp_nanomsg_config *cfg)
{
    for (size_t i = 0; cfg && i < cfg->addrs.n; i++)
        if (is_open(cfg->addrs.items[i]))
            return true;
    return false;
}

/* As for HTTP: an open door must be somebody's decision. */
static gp_code check_open(const gp_sensor_api *a, gp_error *err)
{
    if (a->auth || a->limits.allow_without_token || !gp_api_nanomsg_is_open(a->cfg.nanomsg))
        return GP_OK;
    return gp_fail(
        err, GP_EPERM,
        "nanomsg.addr can be reached from other machines, and nobody would be asked for a token: name "
        "a tokens file in api.tokens (made with the command \"token new\"), listen on localhost or a "
        "UNIX socket (ipc://), or, if everybody may ask, set api.allow_without_token: true");
}

static bool authorize(void *api, const char *token)
{
    const gp_sensor_api *a = api;
    gp_identity who;
    return gp_auth_check(a->auth, token, strlen(token), &who) && (who.scopes & GP_SCOPE_ALL);
}

gp_code gp_api_start_nanomsg(gp_sensor_api *a, gp_error *err)
{
    const gp_nanomsg_config *n = a->cfg.nanomsg;
    if (!n || n->addrs.n == 0)
        return GP_OK;
    gp_code rc = check_open(a, err);
    if (rc != GP_OK)
        return rc;
    const gp_responder_config cfg = {
        .addrs = (const char *const *)n->addrs.items,
        .n_addrs = n->addrs.n,
        .socket = {a->limits.socket_owner, a->limits.socket_group, a->limits.socket_mode},
        .runner = &a->runner,
        .authorize = a->auth ? authorize : NULL,
        .authorize_ctx = a,
        .log = a->cfg.log};
    return gp_responder_start(&a->responder, &cfg, err);
}

static void put(gp_buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
    gp_buf_printf(out, "# HELP goprobe_nanomsg_%s %s\n# TYPE goprobe_nanomsg_%s %s\ngoprobe_nanomsg_%s ",
                  name, help, name, type, name);
    gp_buf_u64(out, value);
    gp_buf_putc(out, '\n');
}

void gp_api_nanomsg_metrics(const gp_sensor_api *a, gp_buf *out)
{
    if (!a->responder)
        return;
    gp_responder_counters n = gp_responder_count(a->responder);
    put(out, "queries_total", "counter", "Queries taken", n.queries);
    put(out, "answers_total", "counter", "Results sent", n.answers);
    put(out, "problems_total", "counter", "Problem documents sent", n.problems);
    put(out, "malformed_total", "counter", "Messages that are none of the protocol", n.malformed);
    put(out, "duplicates_total", "counter", "Requests that were running already", n.duplicates);
    put(out, "canceled_total", "counter", "Queries canceled by whoever asked", n.canceled);
    put(out, "expired_total", "counter", "Queries that nobody waited for any more", n.expired);
    put(out, "sent_bytes_total", "counter", "Bytes of answers and problem documents", n.bytes_sent);
    put(out, "running_queries", "gauge", "Queries under way", n.running);
}

/* A query by nanomsg: one request and one reply on a connection of its own (spec/wire-protocol.md). libcurl
 * connects, so that names, deadlines and words of failure are those of HTTP; then the socket is ours. */
#include "client/exchange_kind.h"
#include "client/sp.h"
#include "client/transport.h"
#include "proto/base/clock.h"
#include "proto/wire/answer.h"
#include "proto/wire/frame.h"
#include "proto/wire/varint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* A host gives a query up that nobody has asked for in this time; how often it is asked for again. */
enum { LEASE_MS = 10000, RENEW_MS = 3000 };
enum { UNLIMITED = 0x7fffffff };

typedef struct sp_exchange {
    gp_exchange x;
    gp_exchange_config cfg;
    gp_client *client; /* while connecting */
    bool transferring;
    gp_sp sp;
    uint32_t id;
    bool writing;     /* the loop watches for room to write, too */
    bool reused;      /* a connection of an earlier exchange, which its host may have closed since */
    int64_t deadline; /* 0: none */
    int64_t renew_ns;
    bool over; /* it has its outcome: */
    gp_code code;
    gp_error why;
    gp_buf reply;    /* with the request number before it */
    size_t borrowed; /* of cfg.in_flight */
} sp_exchange;

/* Numbers of requests, with the bit that marks the end of the way back. Unique in this process, so that a
 * late answer is never taken for another. */
static uint32_t next_id(void)
{
    static _Atomic uint32_t last;
    return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) | UINT32_C(0x80000000);
}

static size_t max_message(const sp_exchange *s)
{
    size_t max = s->cfg.max_response ? s->cfg.max_response : UNLIMITED;
    return max + GP_FRAME_HEADER + sizeof s->id;
}

static bool is_ipc(const sp_exchange *s)
{
    return strncmp(s->cfg.addr, "nanomsg+ipc:", 12) == 0;
}

/* ---- the end of an exchange ---------------------------------------------------------------------------- */

static void stop_connecting(sp_exchange *s)
{
    if (s->transferring)
        gp_loop_remove_transfer(s->x.loop, s->client->curl);
    s->transferring = false;
    gp_client_free(s->client);
    s->client = NULL;
}

static void drop_connection(sp_exchange *s)
{
    if (s->sp.fd >= 0)
        gp_loop_unwatch(&s->x, s->sp.fd);
    gp_sp_close(&s->sp);
}

static void has_outcome(sp_exchange *s, gp_code code)
{
    s->over = true;
    s->code = code;
    gp_loop_leave(&s->x);
    gp_loop_done(&s->x);
}

/* *err as gp_sp and gp_wire give it: of the connection, without the host's name. */
static void broke(sp_exchange *s, const gp_error *err)
{
    drop_connection(s);
    gp_fail(&s->why, err->code, "%s: %s", s->cfg.addr, err->msg);
    has_outcome(s, err->code);
}

static gp_code send_frame(sp_exchange *s, const gp_frame *f, gp_error *err)
{
    gp_buf message = GP_BUF_INIT;
    gp_code rc = gp_frame_write(&message, f, err);
    if (rc == GP_OK)
        rc = gp_sp_request(&s->sp, s->id, &message, err);
    if (rc == GP_OK)
        rc = gp_sp_flush(&s->sp, err);
    gp_buf_free(&message);
    return rc;
}

/* Closing a connection says nothing to a nanomsg host: it must be told. */
static void withdraw(sp_exchange *s)
{
    const gp_frame f = {.type = GP_FRAME_CANCEL};
    if (s->sp.fd >= 0)
        (void)send_frame(s, &f, NULL);
}

static void end(gp_exchange *x)
{
    sp_exchange *s = (sp_exchange *)x;
    if (!s->over) {
        withdraw(s);
        gp_loop_leave(x);
    }
    stop_connecting(s);
    drop_connection(s);
    gp_buf_free(&s->reply);
    gp_in_flight_give(s->cfg.in_flight, &s->borrowed);
    free(s);
}

/* ---- asking -------------------------------------------------------------------------------------------- */

static void put_string(gp_buf *out, const char *text)
{
    size_t len = text ? strlen(text) : 0;
    gp_varint_write(out, len);
    gp_buf_add(out, text, len);
}

static gp_code ask(sp_exchange *s, gp_error *err)
{
    gp_buf body = GP_BUF_INIT;
    put_string(&body, s->cfg.access.token);
    put_string(&body, s->cfg.request_id);
    gp_buf_add(&body, s->cfg.args->data, s->cfg.args->len);
    const gp_frame f = {.type = GP_FRAME_QUERY, .lease_ms = LEASE_MS, .body = body.data, .len = body.len};
    gp_code rc =
        body.failed ? gp_fail(err, GP_ENOMEM, "out of memory for a request") : send_frame(s, &f, err);
    if (body.data)
        explicit_bzero(body.data, body.len);
    gp_buf_free(&body);
    return rc;
}

static void set_time(sp_exchange *s)
{
    int64_t next = s->sp.fd >= 0 ? s->renew_ns : s->deadline;
    gp_loop_wake_at(&s->x, s->deadline && s->deadline < next ? s->deadline : next);
}

/* Asks on a connected socket, which it takes over. */
static gp_code use_connection(sp_exchange *s, int fd, bool fresh, gp_error *err)
{
    gp_code rc = gp_sp_open(&s->sp, fd, is_ipc(s), fresh, max_message(s), err);
    if (rc == GP_OK)
        rc = ask(s, err);
    if (rc == GP_OK) {
        s->writing = gp_sp_unsent(&s->sp);
        rc = gp_loop_watch(&s->x, fd, s->writing, err);
    }
    if (rc != GP_OK) {
        gp_sp_close(&s->sp);
        return rc;
    }
    s->renew_ns = gp_clock_ns() + (int64_t)RENEW_MS * 1000000;
    set_time(s);
    return GP_OK;
}

static gp_code start_connecting(sp_exchange *s, gp_error *err)
{
    const gp_client_config cfg = {.addr = s->cfg.addr, .timeout_ns = s->cfg.timeout_ns};
    gp_code rc = gp_client_new(&s->client, &cfg, err);
    if (rc != GP_OK)
        return rc;
    CURL *h = s->client->curl;
    if (curl_easy_setopt(h, CURLOPT_URL, s->client->url) != CURLE_OK ||
        curl_easy_setopt(h, CURLOPT_CONNECT_ONLY, 1L) != CURLE_OK ||
        curl_easy_setopt(h, CURLOPT_PROXY, "") != CURLE_OK)
        return gp_fail(err, GP_ENOMEM, "cannot set up a connection to %s", s->cfg.addr);
    rc = gp_loop_add_transfer(s->x.loop, h, &s->x, err);
    s->transferring = rc == GP_OK;
    return rc;
}

/* The outcome of an attempt that never came to a connection. */
static void cannot_connect(sp_exchange *s, gp_code code)
{
    stop_connecting(s);
    has_outcome(s, code);
}

/* libcurl closes its socket with the transfer; a duplicate lives on. */
static void on_transfer(gp_exchange *x, CURLcode outcome)
{
    sp_exchange *s = (sp_exchange *)x;
    curl_socket_t theirs = CURL_SOCKET_BAD;
    const gp_call call = {0};
    gp_error err = GP_ERROR_INIT;
    if (outcome == CURLE_OK)
        outcome = curl_easy_getinfo(s->client->curl, CURLINFO_ACTIVESOCKET, &theirs);
    if (outcome != CURLE_OK || theirs == CURL_SOCKET_BAD) {
        cannot_connect(s, gp_client_transfer_error(s->client, &call, outcome, &s->why));
        return;
    }
    int fd = fcntl(theirs, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        cannot_connect(s, gp_fail_errno(&s->why, errno, "cannot keep a connection to %s", s->cfg.addr));
        return;
    }
    stop_connecting(s);
    if (use_connection(s, fd, true, &err) != GP_OK)
        broke(s, &err);
}

static gp_code begin(gp_loop *l, const gp_exchange_config *cfg, gp_exchange **out, gp_error *err)
{
    sp_exchange *s = calloc(1, sizeof *s);
    if (!s)
        return gp_fail(err, GP_ENOMEM, "out of memory for asking %s", cfg->addr);
    s->x = (gp_exchange){.kind = &gp_exchange_sp, .loop = l, .owner = cfg->owner};
    s->cfg = *cfg;
    s->id = next_id();
    s->sp.fd = -1;
    s->deadline = cfg->timeout_ns > 0 ? gp_clock_ns() + cfg->timeout_ns : 0;
    gp_loop_enroll(&s->x);
    int fd = gp_connpool_take(gp_loop_pool(l), cfg->addr);
    s->reused = fd >= 0 && use_connection(s, fd, false, NULL) == GP_OK;
    gp_code rc = s->reused ? GP_OK : start_connecting(s, err);
    if (rc != GP_OK) {
        end(&s->x);
        return rc;
    }
    set_time(s);
    *out = &s->x;
    return GP_OK;
}

/* ---- hearing ------------------------------------------------------------------------------------------- */

/* A host that was restarted since the last exchange has closed the connection: that is no failure of this
 * one. */
static void lost(sp_exchange *s, gp_error *err)
{
    bool stale = s->reused && !s->sp.received && err->code == GP_ENET;
    if (!stale) {
        broke(s, err);
        return;
    }
    drop_connection(s);
    s->reused = false;
    gp_code rc = start_connecting(s, &s->why);
    if (rc != GP_OK)
        cannot_connect(s, rc);
    else
        set_time(s);
}

/* Keeps the reply, and the connection for whoever comes next. */
static void answered(sp_exchange *s)
{
    s->reply = s->sp.in;
    s->sp.in = (gp_buf)GP_BUF_INIT;
    gp_sp_next(&s->sp);
    gp_loop_unwatch(&s->x, s->sp.fd);
    int fd = gp_sp_detach(&s->sp);
    if (fd >= 0)
        gp_connpool_give(gp_loop_pool(s->x.loop), s->cfg.addr, fd);
    has_outcome(s, GP_OK);
}

/* True: more may have come already. */
static bool on_message(sp_exchange *s)
{
    uint32_t id = 0;
    const char *body;
    size_t len;
    if (gp_sp_reply(&s->sp, &id, &body, &len) && id == s->id) {
        answered(s);
        return false;
    }
    gp_sp_next(&s->sp); /* a late answer to somebody who has given up */
    return true;
}

static gp_code watch_writing(sp_exchange *s, gp_error *err)
{
    bool writing = gp_sp_unsent(&s->sp);
    if (writing == s->writing)
        return GP_OK;
    s->writing = writing;
    return gp_loop_rewatch(&s->x, s->sp.fd, writing, err);
}

/* For what has come of the answer, beside those of other hosts. */
static bool has_room(sp_exchange *s, gp_error *err)
{
    if (gp_in_flight_take(s->cfg.in_flight, &s->borrowed, s->sp.in.len))
        return true;
    gp_fail(err, GP_ELIMIT, "the answer is too large beside those of other hosts (%zu bytes so far)",
            s->sp.in.len);
    return false;
}

static void on_socket(gp_exchange *x)
{
    sp_exchange *s = (sp_exchange *)x;
    gp_error err = GP_ERROR_INIT;
    if (s->over)
        return;
    bool ok = gp_sp_flush(&s->sp, &err) == GP_OK && watch_writing(s, &err) == GP_OK;
    while (ok) {
        gp_sp_state state = gp_sp_receive(&s->sp, &err);
        ok = state != GP_SP_FAILED && has_room(s, &err);
        if (!ok)
            break;
        if (state == GP_SP_WAIT || (state == GP_SP_MESSAGE && !on_message(s)))
            return;
    }
    lost(s, &err);
}

static void time_out(sp_exchange *s)
{
    withdraw(s);
    stop_connecting(s);
    drop_connection(s);
    gp_fail(&s->why, GP_ETIMEOUT, "no answer from %s in time: %lld ms have passed", s->cfg.addr,
            (long long)(s->cfg.timeout_ns / 1000000));
    has_outcome(s, GP_ETIMEOUT);
}

static void on_time(gp_exchange *x, int64_t now_ns)
{
    sp_exchange *s = (sp_exchange *)x;
    const gp_frame renew = {.type = GP_FRAME_RENEW};
    gp_error err = GP_ERROR_INIT;
    if (s->deadline && now_ns >= s->deadline) {
        time_out(s);
        return;
    }
    if (s->sp.fd >= 0 && (send_frame(s, &renew, &err) != GP_OK || watch_writing(s, &err) != GP_OK)) {
        lost(s, &err);
        return;
    }
    s->renew_ns = now_ns + (int64_t)RENEW_MS * 1000000;
    set_time(s);
}

/* ---- the answer ---------------------------------------------------------------------------------------- */

static gp_code read_frame(const sp_exchange *s, const gp_frame *f, gp_result *out, gp_problem *problem,
                          gp_error *err)
{
    const gp_refusal refusal = {
        .addr = s->cfg.addr, .what = "status", .status = f->status, .text = f->body, .len = f->len};
    const gp_answer_limits limits = {.max_rows = s->cfg.max_rows, .max_bytes = s->cfg.max_response};
    gp_error why = GP_ERROR_INIT;
    if (f->type == GP_FRAME_PROBLEM)
        return gp_client_refused(&refusal, problem, err);
    if (f->type != GP_FRAME_ANSWER)
        return gp_fail(err, GP_ECORRUPT, "%s: a message that is no answer", s->cfg.addr);
    gp_code rc = gp_answer_read(f->body, f->len, &limits, out, &why);
    if (rc != GP_OK)
        return gp_fail(err, rc, "%s: %s", s->cfg.addr, why.msg);
    out->narrows = true; /* as version 1 of the protocol says */
    return GP_OK;
}

static gp_code result(gp_exchange *x, gp_result *out, gp_problem *problem, gp_error *err)
{
    sp_exchange *s = (sp_exchange *)x;
    gp_error why = GP_ERROR_INIT;
    gp_frame f;
    gp_result_init(out);
    if (s->code != GP_OK)
        return gp_fail(err, s->code, "%s", s->why.msg);
    gp_code rc = gp_frame_read(s->reply.data + sizeof s->id, s->reply.len - sizeof s->id, s->cfg.max_response,
                               &f, &why);
    if (rc == GP_OK) {
        rc = read_frame(s, &f, out, problem, err);
        gp_frame_free(&f);
    } else {
        rc = gp_fail(err, rc, "%s: %s", s->cfg.addr, why.msg);
    }
    gp_buf_free(&s->reply);
    return rc;
}

const gp_exchange_kind gp_exchange_sp = {.begin = begin,
                                         .on_transfer = on_transfer,
                                         .on_socket = on_socket,
                                         .on_time = on_time,
                                         .result = result,
                                         .end = end};

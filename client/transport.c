#include "client/transport.h"
#include "proto/base/version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

enum { CONNECT_TIMEOUT_MS = 5000, POLL_MS = 100, SHOWN_BYTES = 200, RECEIVE_SIZE = 128 << 10 };
#define DEFAULT_MAX_RESPONSE ((size_t)1 << 30)

/* Whether a URL leads to this machine: such requests never go through a proxy. */
static bool is_local(const char *url)
{
    static const char *const local[] = {"localhost", "127.", "[::1]", "unix"};
    const char *host = strstr(url, "://");
    for (size_t i = 0; host && i < sizeof local / sizeof local[0]; i++)
        if (strncmp(host + 3, local[i], strlen(local[i])) == 0)
            return true;
    return false;
}

static long to_ms(int64_t ns)
{
    int64_t ms = ns / 1000000;
    return ns <= 0 ? 0 : ms < 1 ? 1 : ms > INT32_MAX ? INT32_MAX : (long)ms;
}

static bool add_header(gp_client *c, const char *line)
{
    struct curl_slist *grown = curl_slist_append(c->headers, line);
    if (grown)
        c->headers = grown;
    return grown != NULL;
}

static bool add_token(gp_client *c, const char *token)
{
    char line[600];
    int n = snprintf(line, sizeof line, "Authorization: Bearer %s", token ? token : "");
    bool ok = !token || (n > 0 && (size_t)n < sizeof line && add_header(c, line));
    explicit_bzero(line, sizeof line);
    return ok;
}

static bool add_request_id(gp_client *c, const char *id)
{
    char line[200];
    int n = snprintf(line, sizeof line, "X-Request-ID: %s", id ? id : "");
    return !id || (n > 0 && (size_t)n < sizeof line && add_header(c, line));
}

static bool set_file(CURL *h, CURLoption option, const char *path)
{
    return !path || !*path || curl_easy_setopt(h, option, path) == CURLE_OK;
}

static bool set_access(CURL *h, const gp_client_access *a)
{
    bool ok = curl_easy_setopt(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
    if (a->ca_file && *a->ca_file) /* this one, and none of the system's */
        ok = ok && curl_easy_setopt(h, CURLOPT_CAPATH, NULL) == CURLE_OK;
    return ok && set_file(h, CURLOPT_CAINFO, a->ca_file) && set_file(h, CURLOPT_SSLCERT, a->cert_file) &&
           set_file(h, CURLOPT_SSLKEY, a->key_file && *a->key_file ? a->key_file : a->cert_file);
}

static bool set_options(gp_client *c, const gp_client_config *cfg)
{
    char agent[64];
    snprintf(agent, sizeof agent, "gpclient/%s", gp_version());
    CURL *h = c->curl;
    long connect_ms = cfg->connect_timeout_ns > 0 ? to_ms(cfg->connect_timeout_ns) : CONNECT_TIMEOUT_MS;
    bool ok = curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
              curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->reason) == CURLE_OK &&
              curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
              curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, to_ms(cfg->timeout_ns)) == CURLE_OK &&
              curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, connect_ms) == CURLE_OK &&
              curl_easy_setopt(h, CURLOPT_ACCEPT_ENCODING, "gzip") == CURLE_OK &&
              curl_easy_setopt(h, CURLOPT_BUFFERSIZE, (long)RECEIVE_SIZE) == CURLE_OK &&
              curl_easy_setopt(h, CURLOPT_HTTPHEADER, c->headers) == CURLE_OK &&
              curl_easy_setopt(h, CURLOPT_USERAGENT, cfg->user_agent ? cfg->user_agent : agent) == CURLE_OK;
    ok = ok && set_access(h, &cfg->access);
    if (ok && is_local(c->url))
        ok = curl_easy_setopt(h, CURLOPT_PROXY, "") == CURLE_OK;
    if (ok && c->socket)
        ok = curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, c->socket) == CURLE_OK;
    return ok;
}

gp_code gp_client_new(gp_client **out, const gp_client_config *cfg, gp_error *err)
{
    gp_client *c = calloc(1, sizeof *c);
    if (!c)
        return gp_fail(err, GP_ENOMEM, "out of memory for a client");
    gp_code rc = gp_client_parse_addr(cfg->addr, &c->url, &c->socket, err);
    if (rc != GP_OK) {
        gp_client_free(c);
        return rc;
    }
    rc = cfg->access.token ? gp_client_token_check(cfg->access.token, err) : GP_OK;
    if (rc != GP_OK) {
        gp_client_free(c);
        return rc;
    }
    c->addr = strdup(cfg->addr);
    c->has_cert = cfg->access.cert_file && *cfg->access.cert_file;
    c->nanomsg = gp_client_addr_is_nanomsg(cfg->addr);
    c->token = c->nanomsg && cfg->access.token ? strdup(cfg->access.token) : NULL;
    c->timeout_ns = cfg->timeout_ns;
    c->max_response = cfg->max_response ? cfg->max_response : DEFAULT_MAX_RESPONSE;
    c->canceled = cfg->canceled;
    c->cancel_ctx = cfg->cancel_ctx;
    c->curl = curl_easy_init();
    /* An empty "Expect:" keeps curl from waiting for "100 Continue" before it sends larger bodies. */
    if (!c->addr || (c->nanomsg && cfg->access.token && !c->token) || !c->curl ||
        !add_header(c, "Content-Type: application/json") ||
        !add_header(c, "Accept: application/json, text/event-stream") || !add_header(c, "Expect:") ||
        !add_token(c, cfg->access.token) || !add_request_id(c, cfg->request_id) || !set_options(c, cfg)) {
        gp_client_free(c);
        return gp_fail(err, GP_ENOMEM, "cannot set up a client for %s", cfg->addr);
    }
    *out = c;
    return GP_OK;
}

void gp_client_free(gp_client *c)
{
    if (!c)
        return;
    curl_easy_cleanup(c->curl);
    if (c->multi)
        curl_multi_cleanup(c->multi);
    curl_slist_free_all(c->headers);
    if (c->token)
        explicit_bzero(c->token, strlen(c->token));
    free(c->token);
    free(c->addr);
    free(c->url);
    free(c->socket);
    free(c);
}

bool gp_in_flight_take(gp_in_flight *f, size_t *borrowed, size_t size)
{
    if (!f || size <= f->own + *borrowed)
        return true;
    size_t more = size - f->own - *borrowed;
    size_t left = atomic_load(&f->left);
    do {
        if (more > left)
            return false;
    } while (!atomic_compare_exchange_weak(&f->left, &left, left - more));
    *borrowed += more;
    return true;
}

void gp_in_flight_give(gp_in_flight *f, size_t *borrowed)
{
    if (f && *borrowed)
        atomic_fetch_add(&f->left, *borrowed);
    *borrowed = 0;
}

void gp_call_end(gp_call *call)
{
    gp_buf_free(&call->answer);
    gp_result_reader_free(call->reader);
    call->reader = NULL;
    gp_in_flight_give(call->in_flight, &call->borrowed);
}

gp_code gp_client_blame_peer(gp_code code, gp_error *err)
{
    if (code != GP_EINVAL)
        return code;
    if (err)
        err->code = GP_ECORRUPT;
    return GP_ECORRUPT;
}

static gp_code too_large(gp_call *call)
{
    return gp_fail(&call->stream_err, GP_ELIMIT, "the answer is larger than %zu bytes",
                   call->client->max_response);
}

static gp_code too_large_beside_others(gp_call *call, size_t size)
{
    return gp_fail(&call->stream_err, GP_ELIMIT,
                   "the answer is too large beside those of other hosts (%zu bytes so far)", size);
}

/* Headers are complete when the first piece comes. Sensors of v4 never cut their answer. */
static void begin_reading(gp_call *call)
{
    call->narrows = gp_client_header(call->client, GP_NARROW_HEADER) != NULL;
    if (call->narrows)
        gp_result_reader_limit(call->reader, call->max_rows);
}

static gp_code read_piece(gp_call *call, const char *data, size_t len)
{
    if (call->received == 0)
        begin_reading(call);
    size_t held = gp_result_reader_bytes(call->reader);
    if (len > call->client->max_response - call->received)
        return too_large(call);
    if (!gp_in_flight_take(call->in_flight, &call->borrowed, held + len))
        return too_large_beside_others(call, held);
    call->received += len;
    gp_code rc = gp_result_reader_feed(call->reader, data, len, &call->stream_err);
    return gp_client_blame_peer(rc, &call->stream_err);
}

static gp_code keep_piece(gp_call *call, const char *data, size_t len)
{
    if (!gp_in_flight_take(call->in_flight, &call->borrowed, call->answer.len + len))
        return too_large_beside_others(call, call->answer.len);
    gp_buf_add(&call->answer, data, len);
    return call->answer.failed ? too_large(call) : GP_OK;
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
    gp_call *call = ctx;
    size_t len = size * n;
    long status = 0;
    curl_easy_getinfo(call->client->curl, CURLINFO_RESPONSE_CODE, &status);
    if (call->sse && status == 200)
        call->stream_code = gp_sse_feed(call->sse, data, len, &call->stream_err);
    else if (call->reader && status >= 200 && status <= 299)
        call->stream_code = read_piece(call, data, len);
    else
        call->stream_code = keep_piece(call, data, len);
    return call->stream_code == GP_OK ? len : CURL_WRITEFUNC_ERROR;
}

gp_code gp_client_take_result(const gp_client *c, gp_call *call, gp_result *out, gp_error *err)
{
    gp_code rc = gp_client_blame_peer(gp_result_reader_finish(call->reader, out, err), err);
    if (rc == GP_OK)
        out->narrows = call->narrows;
    else
        (void)gp_error_prefix(err, "%s", c->addr);
    return rc;
}

static gp_code code_of_status(long status)
{
    switch (status) {
    case 400:
    case 415:
    case 422:
        return GP_EINVAL;
    case 401:
    case 403:
        return GP_EPERM;
    case 404:
        return GP_ENOTFOUND;
    case 405:
    case 501:
        return GP_EUNSUPPORTED;
    case 408:
    case 504:
        return GP_ETIMEOUT;
    case 413:
    case 431:
        return GP_ELIMIT;
    case 502:
        return GP_ENET;
    case 429:
    case 503:
        return GP_EBUSY;
    default:
        return status >= 500 ? GP_EINTERNAL : GP_ENET;
    }
}

/* What the server says of the failure in one line: a problem document's detail and first error, v4's
 * "error" member, or the beginning of the body. */
static void describe(const gp_refusal *r, const gp_problem *problem, gp_buf *out)
{
    if (problem && (problem->detail || problem->n_errors)) {
        const char *detail = problem->detail ? problem->detail : "";
        gp_buf_puts(out, detail);
        for (size_t i = 0; i < problem->n_errors && problem->errors[i].message; i++)
            if (!strstr(detail, problem->errors[i].message))
                gp_buf_printf(out, "%s%s", i ? "; " : out->len ? ": " : "", problem->errors[i].message);
        return;
    }
    cJSON *root = cJSON_ParseWithLength(r->len ? r->text : "", r->len);
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(root, "error");
    if (cJSON_IsString(error))
        gp_buf_puts(out, error->valuestring);
    else
        gp_buf_add(out, r->text, r->len < SHOWN_BYTES ? r->len : (size_t)SHOWN_BYTES);
    cJSON_Delete(root);
}

/* A host without time says when to come back; v4 says nothing else. */
static void describe_load(const gp_refusal *r, gp_buf *out)
{
    if (r->status == 429 && out->len == 0)
        gp_buf_puts(out, "too many queries at a time");
    if (r->retry_s > 0 && out->len)
        gp_buf_printf(out, ", try again in %ld s", r->retry_s);
}

gp_code gp_client_refused(const gp_refusal *r, gp_problem *problem, gp_error *err)
{
    gp_problem local = GP_PROBLEM_INIT;
    gp_buf text = GP_BUF_INIT;
    problem = problem ? problem : &local;
    gp_problem_free(problem);
    bool is_problem = r->len > 0 && gp_problem_from_json(r->text, r->len, problem);
    describe(r, is_problem ? problem : NULL, &text);
    describe_load(r, &text);
    gp_code rc = gp_fail(err, code_of_status(r->status), "%s: %s %ld%s%s", r->addr, r->what, r->status,
                         text.len ? ": " : "", text.len ? text.data : "");
    gp_buf_free(&text);
    gp_problem_free(&local);
    return rc;
}

static gp_code http_error(const gp_client *c, const gp_call *call, gp_error *err)
{
    curl_off_t retry_s = 0; /* libcurl reads Retry-After, seconds and dates */
    (void)curl_easy_getinfo(c->curl, CURLINFO_RETRY_AFTER, &retry_s);
    const gp_refusal r = {.addr = c->addr,
                          .what = "HTTP status",
                          .status = call->status,
                          .text = call->answer.data,
                          .len = call->answer.len,
                          .retry_s = (long)retry_s};
    return gp_client_refused(&r, call->problem, err);
}

/* TLS 1.3 lets a client believe that all is well until the server closes: all that we see then is an end. */
static gp_code tls_error(const gp_client *c, const char *reason, gp_error *err)
{
    return gp_fail(err, GP_ENET,
                   "no TLS connection with %s: %s (does it serve https, and does it ask for %s?)", c->addr,
                   reason, c->has_cert ? "another certificate than ours" : "a client certificate");
}

/* Of a UNIX socket libcurl speaks as if it were a host with a port; the system says what is wrong with it. */
static gp_code no_socket(const gp_client *c, gp_error *err)
{
    char text[128];
    long number = 0;
    if (curl_easy_getinfo(c->curl, CURLINFO_OS_ERRNO, &number) != CURLE_OK || number <= 0)
        return gp_fail(err, GP_ENET, "cannot reach %s: nobody listens there", c->addr);
    return gp_fail(err, GP_ENET, "cannot reach %s: %s", c->addr, strerror_r((int)number, text, sizeof text));
}

gp_code gp_client_transfer_error(const gp_client *c, const gp_call *call, CURLcode code, gp_error *err)
{
    const char *reason = c->reason[0] ? c->reason : curl_easy_strerror(code);
    switch (code) {
    case CURLE_WRITE_ERROR:
        if (call->stream_code != GP_OK)
            return gp_fail(err, call->stream_code, "%s: %s", c->addr, call->stream_err.msg);
        return gp_fail(err, GP_ENET, "%s: %s", c->addr, reason);
    case CURLE_OPERATION_TIMEDOUT:
        return gp_fail(err, GP_ETIMEOUT, "no answer from %s in time: %s", c->addr, reason);
    case CURLE_OUT_OF_MEMORY:
        return gp_fail(err, GP_ENOMEM, "%s: out of memory", c->addr);
    case CURLE_URL_MALFORMAT:
        return gp_fail(err, GP_EINVAL, "address %s: %s", c->addr, reason);
    case CURLE_PEER_FAILED_VERIFICATION:
        return gp_fail(err, GP_EPERM, "%s is not trusted: %s (is its CA the one that is configured?)",
                       c->addr, reason);
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
        return gp_fail(err, GP_EINVAL, "cannot use a TLS file for %s: %s", c->addr, reason);
    case CURLE_SSL_CONNECT_ERROR:
        return tls_error(c, reason, err);
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        if (strncmp(c->url, "https:", 6) == 0)
            return tls_error(c, reason, err);
        return gp_fail(err, GP_ENET, "%s: %s", c->addr, reason);
    case CURLE_COULDNT_CONNECT:
        return c->socket ? no_socket(c, err) : gp_fail(err, GP_ENET, "cannot reach %s: %s", c->addr, reason);
    case CURLE_COULDNT_RESOLVE_HOST:
        return gp_fail(err, GP_ENET, "cannot reach %s: %s", c->addr, reason);
    default:
        return gp_fail(err, GP_ENET, "%s: %s", c->addr, reason);
    }
}

/* Runs the transfer that was added to the multi handle to its end. */
static gp_code run(gp_client *c, CURLcode *outcome, gp_error *err)
{
    int running = 1;
    while (running) {
        CURLMcode m = curl_multi_perform(c->multi, &running);
        if (m == CURLM_OK && running)
            m = curl_multi_poll(c->multi, NULL, 0, POLL_MS, NULL);
        if (m != CURLM_OK)
            return gp_fail(err, GP_EINTERNAL, "%s: %s", c->addr, curl_multi_strerror(m));
        if (running && c->canceled && c->canceled(c->cancel_ctx))
            return gp_fail(err, GP_ECANCELED, "the request to %s was canceled", c->addr);
    }
    int left = 0;
    const CURLMsg *msg = curl_multi_info_read(c->multi, &left);
    if (!msg)
        return gp_fail(err, GP_EINTERNAL, "%s: the transfer has no outcome", c->addr);
    *outcome = msg->data.result;
    return GP_OK;
}

static gp_code prepare(gp_client *c, gp_call *call, const char *url, gp_error *err)
{
    CURL *h = c->curl;
    const gp_buf *body = call->body;
    bool ok = curl_easy_setopt(h, CURLOPT_URL, url) == CURLE_OK &&
              curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
              curl_easy_setopt(h, CURLOPT_WRITEDATA, call) == CURLE_OK;
    if (strcmp(call->method, "GET") == 0) {
        ok = ok && curl_easy_setopt(h, CURLOPT_HTTPGET, 1L) == CURLE_OK &&
             curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, NULL) == CURLE_OK;
    } else {
        curl_off_t len = body ? (curl_off_t)body->len : 0;
        ok = ok && curl_easy_setopt(h, CURLOPT_POST, 1L) == CURLE_OK &&
             curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, len) == CURLE_OK &&
             curl_easy_setopt(h, CURLOPT_POSTFIELDS, body && body->data ? body->data : "") == CURLE_OK &&
             curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, call->method) == CURLE_OK;
    }
    return ok ? GP_OK : gp_fail(err, GP_ENOMEM, "cannot set up a request to %s", c->addr);
}

gp_code gp_client_begin(gp_client *c, gp_call *call, gp_error *err)
{
    gp_buf url = GP_BUF_INIT;
    gp_buf_puts(&url, c->url);
    gp_buf_puts(&url, call->path);
    call->client = c;
    call->stream_code = GP_OK;
    call->received = 0;
    call->answer.limit = c->max_response;
    c->reason[0] = '\0';
    gp_code rc = GP_OK;
    if (url.failed || (call->body && call->body->failed))
        rc = gp_fail(err, GP_ENOMEM, "out of memory for a request to %s", c->addr);
    if (rc == GP_OK)
        rc = prepare(c, call, url.data, err);
    gp_buf_free(&url);
    return rc;
}

gp_code gp_client_finish(gp_client *c, gp_call *call, CURLcode outcome, gp_error *err)
{
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &call->status);
    if (outcome != CURLE_OK)
        return gp_client_transfer_error(c, call, outcome, err);
    return call->status < 200 || call->status > 299 ? http_error(c, call, err) : GP_OK;
}

const char *gp_client_header(const gp_client *c, const char *name)
{
    struct curl_header *h = NULL;
    return curl_easy_header(c->curl, name, 0, CURLH_HEADER, -1, &h) == CURLHE_OK ? h->value : NULL;
}

gp_code gp_client_call(gp_client *c, gp_call *call, gp_error *err)
{
    CURLcode outcome = CURLE_OK;
    if (c->nanomsg)
        return gp_fail(err, GP_EUNSUPPORTED, "%s carries queries only: for the rest give the HTTP address",
                       c->addr);
    gp_code rc = gp_client_begin(c, call, err);
    if (rc == GP_OK && !c->multi && !(c->multi = curl_multi_init()))
        rc = gp_fail(err, GP_ENOMEM, "cannot set up a client for %s", c->addr);
    if (rc == GP_OK && curl_multi_add_handle(c->multi, c->curl) != CURLM_OK)
        rc = gp_fail(err, GP_EINTERNAL, "cannot start a request to %s", c->addr);
    if (rc != GP_OK)
        return rc;
    rc = run(c, &outcome, err);
    curl_multi_remove_handle(c->multi, c->curl);
    return rc == GP_OK ? gp_client_finish(c, call, outcome, err) : rc;
}

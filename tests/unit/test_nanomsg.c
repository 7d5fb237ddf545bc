/* Queries by nanomsg, end to end: our responder and our client, libnanomsg's own request socket, and peers
 * that do not keep to the protocol. */
#include "client/fanout.h"
#include "client/gpclient.h"
#include "proto/nanomsg/addr.h"
#include "proto/nanomsg/responder.h"
#include "proto/wire/answer.h"
#include "proto/wire/frame.h"
#include "proto/wire/varint.h"
#include "tests/support/tempdir.h"

#include <arpa/inet.h>
#include <grp.h>
#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a sensor ------------------------------------------------------------------------------------------ */

typedef struct fake {
    gp_query_runner runner;
    gp_responder *responder;
    char dir[GP_TEMPDIR_LEN];
    char tcp[64], ipc[128];         /* to listen on */
    char ask_tcp[80], ask_ipc[144]; /* to ask */
    atomic_uint delay_ms;
    atomic_uint rows;
    atomic_bool refuse;
    atomic_int running;
    atomic_int ended_early;
} fake;

static bool admit(void *ctx)
{
    fake *f = ctx;
    return !atomic_load(&f->refuse);
}

static gp_code run(void *ctx, const gp_args *args, const gp_stmt *stmt, const gp_query_hooks *hooks,
                   gp_result *out, gp_problem *problem, gp_error *err)
{
    fake *f = ctx;
    (void)args;
    (void)problem;
    gp_result_init(out);
    atomic_fetch_add(&f->running, 1);
    for (unsigned waited = 0; waited < atomic_load(&f->delay_ms); waited += 5) {
        if (hooks->canceled(hooks->ctx)) {
            atomic_fetch_add(&f->ended_early, 1);
            atomic_fetch_sub(&f->running, 1);
            return gp_fail(err, GP_ECANCELED, "canceled");
        }
        usleep(5000);
    }
    size_t n = atomic_load(&f->rows);
    assert_int_equal(gp_result_reserve_rows(out, n, NULL), GP_OK);
    for (size_t i = 0; i < n; i++)
        out->rows[out->n_rows++] =
            (gp_row){.sip = gp_addr_from_bytes((const uint8_t[]){10, 0, (uint8_t)(i >> 8), (uint8_t)i}, 4),
                     .iface = gp_result_intern(out, "eth0"),
                     .c = {1000 + i, i, 2, 3}};
    gp_result_set_host(out, "fake", GP_STATUS_OK, NULL, NULL);
    gp_result_add_iface(out, "eth0", NULL);
    out->hits_total = n;
    out->data_available = true;
    out->attributes[0] = gp_result_intern(out, stmt->query_text);
    out->n_attributes = 1;
    gp_result_finish(out);
    atomic_fetch_sub(&f->running, 1);
    return GP_OK;
}

/* A port that nobody has; nanomsg cannot say which one it was given. */
static unsigned free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    close(fd);
    return ntohs(a.sin_port);
}

static void start(fake *f)
{
    gp_error err = GP_ERROR_INIT;
    memset(f, 0, sizeof *f);
    atomic_store(&f->rows, 3);
    f->runner = (gp_query_runner){.ctx = f, .caller = "test", .admit = admit, .run = run};
    gp_tempdir_make(f->dir);
    unsigned port = free_port();
    snprintf(f->tcp, sizeof f->tcp, "tcp://localhost:%u", port);
    snprintf(f->ask_tcp, sizeof f->ask_tcp, "nanomsg+tcp://127.0.0.1:%u", port);
    snprintf(f->ipc, sizeof f->ipc, "ipc://%s/sock", f->dir);
    snprintf(f->ask_ipc, sizeof f->ask_ipc, "nanomsg+ipc://%s/sock", f->dir);
    const char *const addrs[] = {f->tcp, f->ipc};
    const gp_responder_config cfg = {.addrs = addrs, .n_addrs = 2, .runner = &f->runner, .max_queries = 8};
    if (gp_responder_start(&f->responder, &cfg, &err) != GP_OK)
        fail_msg("%s", err.msg);
}

static void stop(fake *f)
{
    gp_responder_stop(f->responder);
    gp_tempdir_remove(f->dir);
}

static void query_of(gp_args *args, const char *query)
{
    gp_args_init(args);
    assert_int_equal(gp_args_set(&args->query, query, NULL), GP_OK);
    assert_int_equal(gp_args_set(&args->ifaces, "eth0", NULL), GP_OK);
}

static gp_code ask(const char *addr, const char *query, int64_t timeout_ms, gp_result *out,
                   gp_problem *problem, gp_error *err)
{
    gp_args args;
    gp_client *c = NULL;
    const gp_client_config cfg = {.addr = addr, .timeout_ns = timeout_ms * 1000000};
    query_of(&args, query);
    gp_code rc = gp_client_new(&c, &cfg, err);
    if (rc == GP_OK)
        rc = gp_client_query(c, &args, out, problem, err);
    gp_client_free(c);
    gp_args_free(&args);
    return rc;
}

static void wait_until(atomic_int *what, int value)
{
    for (int i = 0; i < 2000 && atomic_load(what) != value; i++)
        usleep(1000);
    assert_int_equal(atomic_load(what), value);
}

/* ---- tests --------------------------------------------------------------------------------------------- */

static void addresses_are_checked(void **state)
{
    (void)state;
    static const char *const good[] = {"tcp://127.0.0.1:1", "tcp://[::1]:80", ":7000",
                                       "tcp://*:7000",      "localhost:1",    "ipc:///tmp/x"};
    static const char *const bad[] = {"",       "tcp://",           "tcp://host",
                                      "host",   "tcp://host:99999", "tcp://a:b:1",
                                      "ipc://", "http://host:1",    "tcp://host:1x"};
    gp_error err = GP_ERROR_INIT;
    gp_nanomsg_addr at;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_int_equal(gp_nanomsg_addr_check(good[i], &err), GP_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(gp_nanomsg_addr_check(bad[i], &err), GP_EINVAL);
    assert_int_equal(gp_nanomsg_addr_resolve("localhost:7", &at, &err), GP_OK);
    assert_string_equal(at.text, "tcp://127.0.0.1:7");
    assert_int_equal(gp_nanomsg_addr_resolve(":7", &at, &err), GP_OK);
    assert_string_equal(at.text, "tcp://*:7");
    assert_int_equal(gp_nanomsg_addr_resolve("[::1]:7", &at, &err), GP_OK);
    assert_string_equal(at.text, "tcp://[::1]:7");
}

static void queries_are_answered(void **state)
{
    (void)state;
    fake f;
    gp_result r;
    gp_error err = GP_ERROR_INIT;
    start(&f);
    const char *const addrs[] = {f.ask_tcp, f.ask_ipc};
    atomic_store(&f.rows, 20000);
    for (size_t i = 0; i < 2; i++) {
        if (ask(addrs[i], "sip", 5000, &r, NULL, &err) != GP_OK)
            fail_msg("%s", err.msg);
        assert_int_equal(r.n_rows, 20000);
        assert_true(r.rows[19999].c.bytes_rcvd == 20999);
        assert_string_equal(r.attributes[0], "sip");
        assert_string_equal(r.hosts[0].host, "fake");
        gp_result_free(&r);
    }
    gp_responder_counters n = gp_responder_count(f.responder);
    assert_int_equal(n.queries, 2);
    assert_int_equal(n.answers, 2);
    stop(&f);
}

static void bad_queries_get_the_problem_of_http(void **state)
{
    (void)state;
    fake f;
    gp_result r;
    gp_error err = GP_ERROR_INIT;
    gp_problem p = GP_PROBLEM_INIT;
    start(&f);
    assert_int_equal(ask(f.ask_tcp, "nonsense", 5000, &r, &p, &err), GP_EINVAL);
    assert_int_equal(p.status, 422);
    assert_string_equal(p.detail, "query preparation failed");
    assert_non_null(strstr(err.msg, "status 422"));
    gp_problem_free(&p);
    atomic_store(&f.refuse, true);
    assert_int_equal(ask(f.ask_tcp, "sip", 5000, &r, NULL, &err), GP_EBUSY);
    assert_non_null(strstr(err.msg, "status 429"));
    stop(&f);
}

static bool knows(void *ctx, const char *token)
{
    (void)ctx;
    return strcmp(token, "secret") == 0;
}

static void tokens_are_asked_for(void **state)
{
    (void)state;
    fake f;
    gp_result r;
    gp_args args;
    gp_client *c = NULL;
    gp_error err = GP_ERROR_INIT;
    start(&f);
    gp_responder_stop(f.responder);
    const char *const addrs[] = {f.tcp};
    const gp_responder_config cfg = {.addrs = addrs, .n_addrs = 1, .runner = &f.runner, .authorize = knows};
    assert_int_equal(gp_responder_start(&f.responder, &cfg, &err), GP_OK);
    assert_int_equal(ask(f.ask_tcp, "sip", 5000, &r, NULL, &err), GP_EPERM);
    assert_non_null(strstr(err.msg, "status 401"));
    const gp_client_config with = {.addr = f.ask_tcp, .access = {.token = "secret"}};
    query_of(&args, "sip");
    assert_int_equal(gp_client_new(&c, &with, &err), GP_OK);
    assert_int_equal(gp_client_query(c, &args, &r, NULL, &err), GP_OK);
    gp_result_free(&r);
    gp_client_free(c);
    gp_args_free(&args);
    stop(&f);
}

static void only_queries_are_carried(void **state)
{
    (void)state;
    gp_client *c = NULL;
    gp_error err = GP_ERROR_INIT;
    gp_status status;
    assert_int_equal(gp_client_new(&c, &(gp_client_config){.addr = "nanomsg+tcp://127.0.0.1:1"}, &err),
                     GP_OK);
    assert_int_equal(gp_client_status(c, NULL, 0, &status, &err), GP_EUNSUPPORTED);
    gp_client_free(c);
    assert_int_equal(gp_client_new(&c, &(gp_client_config){.addr = "nanomsg+tcp://nohost"}, &err), GP_EINVAL);
    assert_int_equal(gp_client_new(&c, &(gp_client_config){.addr = "nanomsg+ipc://"}, &err), GP_EINVAL);
}

static void dead_and_silent_hosts_are_told_apart(void **state)
{
    (void)state;
    fake f;
    gp_result r;
    gp_error err = GP_ERROR_INIT;
    char addr[64];
    snprintf(addr, sizeof addr, "nanomsg+tcp://127.0.0.1:%u", free_port());
    assert_int_equal(ask(addr, "sip", 5000, &r, NULL, &err), GP_ENET);
    assert_non_null(strstr(err.msg, "cannot reach nanomsg+tcp://"));
    start(&f);
    atomic_store(&f.delay_ms, 60000);
    assert_int_equal(ask(f.ask_tcp, "sip", 100, &r, NULL, &err), GP_ETIMEOUT);
    assert_non_null(strstr(err.msg, "in time"));
    wait_until(&f.ended_early, 1); /* the host has been told */
    assert_int_equal(gp_responder_count(f.responder).canceled, 1);
    stop(&f);
}

static bool cancel_now(void *ctx)
{
    fake *f = ctx;
    return atomic_load(&f->running) > 0;
}

static void cancellation_reaches_the_host(void **state)
{
    (void)state;
    fake f;
    gp_result r;
    gp_args args;
    gp_client *c = NULL;
    gp_error err = GP_ERROR_INIT;
    struct timespec before;
    struct timespec after;
    start(&f);
    atomic_store(&f.delay_ms, 60000);
    query_of(&args, "sip");
    const gp_client_config cfg = {.addr = f.ask_tcp, .canceled = cancel_now, .cancel_ctx = &f};
    assert_int_equal(gp_client_new(&c, &cfg, &err), GP_OK);
    clock_gettime(CLOCK_MONOTONIC, &before);
    assert_int_equal(gp_client_query(c, &args, &r, NULL, &err), GP_ECANCELED);
    wait_until(&f.ended_early, 1);
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true(after.tv_sec - before.tv_sec <= 1);
    gp_client_free(c);
    gp_args_free(&args);
    stop(&f);
}

static void a_host_that_stops_ends_its_queries(void **state)
{
    (void)state;
    fake f;
    start(&f);
    atomic_store(&f.delay_ms, 60000);
    stop(&f);
}

/* ---- fleets -------------------------------------------------------------------------------------------- */

typedef struct tally {
    unsigned answers, errors;
    uint64_t rows;
    char last_error[256];
} tally;

static void count_answer(void *ctx, const gp_fanout_host *host, gp_result *result, int64_t took_ns,
                         const gp_error *why)
{
    tally *t = ctx;
    (void)host;
    (void)took_ns;
    t->answers += result != NULL;
    t->errors += result == NULL;
    t->rows += result ? result->n_rows : 0;
    if (why)
        snprintf(t->last_error, sizeof t->last_error, "%.250s", why->msg);
}

static void fan_out(gp_fanout *fan, unsigned threads, const char *const *addrs, size_t n, tally *t)
{
    gp_args args;
    gp_error err = GP_ERROR_INIT;
    gp_fanout_host *hosts = calloc(n, sizeof *hosts);
    const gp_fanout_options opt = {.threads = threads};
    assert_non_null(hosts);
    for (size_t i = 0; i < n; i++)
        hosts[i] = (gp_fanout_host){.name = addrs[i], .addr = addrs[i], .timeout_ns = INT64_C(5000000000)};
    query_of(&args, "sip");
    *t = (tally){0};
    if (gp_fanout_query(fan, hosts, n, &args, &opt, count_answer, t, &err) != GP_OK)
        fail_msg("%s", err.msg);
    gp_args_free(&args);
    free(hosts);
}

static void note_failure(void *ctx, const gp_fanout_host *host, gp_result *result, int64_t took_ns,
                         const gp_error *why)
{
    char *to = ctx;
    (void)result;
    (void)took_ns;
    snprintf(to, 300, "%s: %.200s", host->name, why ? why->msg : "answered");
}

static void answers_under_way_share_a_bound(void **state)
{
    (void)state;
    static const struct {
        size_t max_in_flight;
        const char *want;
    } cases[] = {{256, "beside those of other hosts"}, {64 << 20, "large: answered"}};
    fake f;
    gp_fanout *fan = NULL;
    gp_args args;
    start(&f);
    atomic_store(&f.rows, 20000);
    query_of(&args, "sip");
    assert_int_equal(gp_fanout_new(&fan, NULL), GP_OK);
    const gp_fanout_host host = {.name = "large", .addr = f.ask_tcp, .timeout_ns = INT64_C(20000000000)};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char said[300] = "";
        const gp_fanout_options opt = {.max_in_flight = cases[i].max_in_flight};
        assert_int_equal(gp_fanout_query(fan, &host, 1, &args, &opt, note_failure, said, NULL), GP_OK);
        if (!strstr(said, cases[i].want))
            fail_msg("'%s' does not say '%s'", said, cases[i].want);
    }
    gp_args_free(&args);
    gp_fanout_free(fan);
    stop(&f);
}

static void many_are_asked_at_once_and_connections_are_kept(void **state)
{
    (void)state;
    enum { SENSORS = 12 };
    static fake f[SENSORS];
    const char *addrs[SENSORS * 2];
    gp_fanout *fan = NULL;
    tally t;
    for (size_t i = 0; i < SENSORS; i++) {
        start(&f[i]);
        addrs[i * 2] = f[i].ask_tcp;
        addrs[i * 2 + 1] = f[i].ask_ipc;
    }
    assert_int_equal(gp_fanout_new(&fan, NULL), GP_OK);
    for (size_t round = 0; round < 5; round++) {
        fan_out(fan, 1 + (unsigned)round, addrs, SENSORS * 2, &t);
        assert_string_equal(t.last_error, "");
        assert_int_equal(t.answers, SENSORS * 2);
        assert_int_equal(t.rows, SENSORS * 2 * 3);
    }
    /* Restarted hosts close connections that are kept: nobody may notice. */
    for (size_t i = 0; i < SENSORS; i++) {
        gp_error err = GP_ERROR_INIT;
        const char *const own[] = {f[i].tcp, f[i].ipc};
        gp_responder_stop(f[i].responder);
        const gp_responder_config cfg = {.addrs = own, .n_addrs = 2, .runner = &f[i].runner};
        if (gp_responder_start(&f[i].responder, &cfg, &err) != GP_OK)
            fail_msg("%s", err.msg);
    }
    fan_out(fan, 3, addrs, SENSORS * 2, &t);
    assert_string_equal(t.last_error, "");
    assert_int_equal(t.answers, SENSORS * 2);
    gp_fanout_free(fan);
    for (size_t i = 0; i < SENSORS; i++)
        stop(&f[i]);
}

/* ---- others who speak the protocol --------------------------------------------------------------------- */

static void request(const char *json, uint32_t lease_ms, gp_buf *out)
{
    gp_buf body = GP_BUF_INIT;
    gp_varint_write(&body, 0); /* no token */
    gp_varint_write(&body, 0); /* no name for logs */
    gp_buf_puts(&body, json);
    const gp_frame f = {.type = GP_FRAME_QUERY, .lease_ms = lease_ms, .body = body.data, .len = body.len};
    assert_int_equal(gp_frame_write(out, &f, NULL), GP_OK);
    gp_buf_free(&body);
}

static const char some_query[] = "{\"query\":\"sip\",\"ifaces\":\"eth0\",\"first\":\"-1d\",\"last\":\"\","
                                 "\"format\":\"json\",\"sort_by\":\"bytes\",\"num_results\":10}";

static int plain_socket(const fake *f, int domain)
{
    int s = nn_socket(domain, NN_REQ);
    int ms = 5000;
    char addr[128];
    assert_true(s >= 0);
    snprintf(addr, sizeof addr, "tcp://%s", f->ask_tcp + strlen("nanomsg+tcp://"));
    assert_true(nn_connect(s, addr) >= 0);
    assert_int_equal(nn_setsockopt(s, NN_SOL_SOCKET, NN_RCVTIMEO, &ms, sizeof ms), 0);
    return s;
}

static gp_frame_type exchange(int s, const void *message, size_t len, unsigned *status)
{
    void *reply = NULL;
    gp_frame in;
    assert_int_equal(nn_send(s, message, len, 0), len);
    int n = nn_recv(s, &reply, NN_MSG, 0);
    assert_true(n > 0);
    assert_int_equal(gp_frame_read(reply, (size_t)n, 0, &in, NULL), GP_OK);
    gp_frame_type type = in.type;
    *status = in.status;
    gp_frame_free(&in);
    nn_freemsg(reply);
    return type;
}

static void libnanomsg_can_ask(void **state)
{
    (void)state;
    fake f;
    unsigned status = 0;
    gp_buf message = GP_BUF_INIT;
    start(&f);
    int s = plain_socket(&f, AF_SP);
    request(some_query, 0, &message);
    assert_int_equal(exchange(s, message.data, message.len, &status), GP_FRAME_ANSWER);
    assert_int_equal(status, 200);
    assert_int_equal(exchange(s, "hello", 5, &status), GP_FRAME_PROBLEM);
    assert_int_equal(status, 400);
    message.data[3] = 9; /* another version */
    assert_int_equal(exchange(s, message.data, message.len, &status), GP_FRAME_PROBLEM);
    assert_int_equal(status, 400);
    gp_buf_clear(&message);
    request("{\"query\":", 0, &message);
    assert_int_equal(exchange(s, message.data, message.len, &status), GP_FRAME_PROBLEM);
    assert_int_equal(status, 400);
    assert_int_equal(gp_responder_count(f.responder).malformed, 2);
    gp_buf_free(&message);
    nn_close(s);
    stop(&f);
}

/* A raw socket sends what it is told: here the same request three times. */
static void send_raw(int s, uint32_t id, const gp_buf *message)
{
    unsigned char control[NN_CMSG_SPACE(sizeof(size_t) + 4)] = {0};
    size_t len = 4;
    struct nn_cmsghdr h = {
        .cmsg_len = NN_CMSG_LEN(sizeof(size_t) + 4), .cmsg_level = PROTO_SP, .cmsg_type = SP_HDR};
    uint32_t wire = htonl(id);
    struct nn_iovec body = {message->data, message->len};
    memcpy(control, &h, sizeof h);
    memcpy(control + NN_CMSG_SPACE(0), &len, sizeof len);
    memcpy(control + NN_CMSG_SPACE(0) + sizeof len, &wire, sizeof wire);
    const struct nn_msghdr msg = {
        .msg_iov = &body, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    assert_true(nn_sendmsg(s, &msg, 0) >= 0);
}

static void a_request_sent_again_is_one_request(void **state)
{
    (void)state;
    fake f;
    gp_buf message = GP_BUF_INIT;
    void *reply = NULL;
    start(&f);
    atomic_store(&f.delay_ms, 200);
    int s = plain_socket(&f, AF_SP_RAW);
    request(some_query, 0, &message);
    for (int i = 0; i < 3; i++)
        send_raw(s, 0x80000001, &message);
    assert_true(nn_recv(s, &reply, NN_MSG, 0) > 0);
    nn_freemsg(reply);
    int ms = 300;
    assert_int_equal(nn_setsockopt(s, NN_SOL_SOCKET, NN_RCVTIMEO, &ms, sizeof ms), 0);
    assert_true(nn_recv(s, &reply, NN_MSG, 0) < 0);
    gp_responder_counters n = gp_responder_count(f.responder);
    assert_int_equal(n.queries, 1);
    assert_int_equal(n.duplicates, 2);
    gp_buf_free(&message);
    nn_close(s);
    stop(&f);
}

static void a_lease_that_is_not_renewed_ends_the_query(void **state)
{
    (void)state;
    fake f;
    gp_buf message = GP_BUF_INIT;
    start(&f);
    atomic_store(&f.delay_ms, 60000);
    int s = plain_socket(&f, AF_SP_RAW);
    request(some_query, 100, &message);
    send_raw(s, 0x80000001, &message);
    wait_until(&f.ended_early, 1);
    assert_int_equal(gp_responder_count(f.responder).expired, 1);
    gp_buf_free(&message);
    nn_close(s);
    stop(&f);
}

static void too_many_queries_are_refused(void **state)
{
    (void)state;
    enum { MORE = 10 };
    fake f;
    gp_buf message = GP_BUF_INIT;
    int sockets[MORE];
    unsigned refused = 0;
    start(&f);
    atomic_store(&f.delay_ms, 500);
    request(some_query, 0, &message);
    for (size_t i = 0; i < MORE; i++) {
        sockets[i] = plain_socket(&f, AF_SP);
        assert_int_equal(nn_send(sockets[i], message.data, message.len, 0), message.len);
    }
    for (size_t i = 0; i < MORE; i++) {
        void *reply = NULL;
        gp_frame in;
        int n = nn_recv(sockets[i], &reply, NN_MSG, 0);
        assert_true(n > 0);
        assert_int_equal(gp_frame_read(reply, (size_t)n, 0, &in, NULL), GP_OK);
        refused += in.status == 503;
        gp_frame_free(&in);
        nn_freemsg(reply);
        nn_close(sockets[i]);
    }
    assert_int_equal(refused, MORE - 8);
    gp_buf_free(&message);
    stop(&f);
}

/* ---- hosts that lie ------------------------------------------------------------------------------------ */

typedef struct liar {
    int fd;
    const void *bytes;
    size_t len;
    pthread_t thread;
    char addr[64];
} liar;

/* Sends its bytes to whoever comes, and hangs up when they do. */
static void *lie(void *ctx)
{
    const liar *l = ctx;
    char sink[4096];
    int c = accept(l->fd, NULL, NULL);
    if (c < 0)
        return NULL;
    (void)!write(c, l->bytes, l->len);
    while (read(c, sink, sizeof sink) > 0)
        ;
    close(c);
    return NULL;
}

static void tell_lies(const void *bytes, size_t len, gp_code want, const char *words)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    liar l = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .bytes = bytes, .len = len};
    gp_result r;
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(bind(l.fd, (const struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(l.fd, 1), 0);
    assert_int_equal(getsockname(l.fd, (struct sockaddr *)&a, &size), 0);
    snprintf(l.addr, sizeof l.addr, "nanomsg+tcp://127.0.0.1:%u", ntohs(a.sin_port));
    assert_int_equal(pthread_create(&l.thread, NULL, lie, &l), 0);
    gp_code rc = ask(l.addr, "sip", 300, &r, NULL, &err);
    assert_int_equal(rc, want);
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, words);
    pthread_join(l.thread, NULL);
    close(l.fd);
}

#define GREETING "\0SP\0\0\x31\0\0"
#define LEN(s)   (sizeof(s) - 1)

static void lies_are_errors_of_that_host(void **state)
{
    (void)state;
    static const char http[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    static const char wrong_protocol[] = "\0SP\0\0\x10\0\0";
    static const char huge[] = GREETING "\x7f\xff\xff\xff\xff\xff\xff\xff";
    static const char headless[] = GREETING "\0\0\0\0\0\0\0\2ab";
    static const char late[] = GREETING "\0\0\0\0\0\0\0\5\xff\xff\xff\xffx";
    static const char silent[] = GREETING;
    static const char announced[] = GREETING "\0\0\0\0\x3f\0\0\0abc"; /* a gigabyte, and then nothing */
    tell_lies(http, LEN(http), GP_ECORRUPT, "no nanomsg endpoint");
    tell_lies(wrong_protocol, LEN(wrong_protocol), GP_ECORRUPT, "no nanomsg endpoint");
    tell_lies(huge, LEN(huge), GP_ELIMIT, "larger than");
    tell_lies(headless, LEN(headless), GP_ECORRUPT, "without a request number");
    tell_lies(late, LEN(late), GP_ETIMEOUT, "in time"); /* somebody else's answer is none */
    tell_lies(silent, LEN(silent), GP_ETIMEOUT, "in time");
    tell_lies(announced, LEN(announced), GP_ETIMEOUT, "in time");
}

/* ---- peers that break the transport -------------------------------------------------------------------- */

static int connect_to(const fake *f)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    a.sin_port = htons((uint16_t)strtoul(strrchr(f->tcp, ':') + 1, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static void rubbish_on_the_socket_changes_nothing(void **state)
{
    (void)state;
    static const char *const lead[] = {"", "GET / HTTP/1.1\r\n\r\n", "\0SP\0\0\x30\0\0"};
    static const size_t lens[] = {0, 18, 8};
    fake f;
    gp_result r;
    gp_error err = GP_ERROR_INIT;
    unsigned seed = 1;
    start(&f);
    for (unsigned i = 0; i < 60; i++) {
        int fd = connect_to(&f);
        char noise[300];
        for (size_t k = 0; k < sizeof noise; k++)
            noise[k] = (char)rand_r(&seed);
        if (i % 2)
            memset(noise, 0, 6); /* short messages instead of huge ones */
        (void)!send(fd, lead[i % 3], lens[i % 3], MSG_NOSIGNAL);
        (void)!send(fd, noise, sizeof noise, MSG_NOSIGNAL);
        close(fd);
    }
    if (ask(f.ask_tcp, "sip", 5000, &r, NULL, &err) != GP_OK)
        fail_msg("%s", err.msg);
    gp_result_free(&r);
    stop(&f);
}

static void sockets_of_others_are_left_alone(void **state)
{
    (void)state;
    fake f;
    gp_error err = GP_ERROR_INIT;
    gp_responder *second = NULL;
    struct stat st;
    char path[128];
    char file[128];
    start(&f);
    snprintf(path, sizeof path, "%s/sock", f.dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    snprintf(file, sizeof file, "ipc://%s/file", f.dir);
    FILE *out = fopen(file + strlen("ipc://"), "w");
    assert_non_null(out);
    fclose(out);
    const char *const taken[] = {f.ipc};
    const char *const tcp_taken[] = {f.tcp};
    const char *const no_socket[] = {file};
    gp_responder_config cfg = {.addrs = taken, .n_addrs = 1, .runner = &f.runner};
    assert_int_equal(gp_responder_start(&second, &cfg, &err), GP_EBUSY);
    cfg.addrs = tcp_taken;
    assert_int_equal(gp_responder_start(&second, &cfg, &err), GP_EBUSY);
    cfg.addrs = no_socket;
    assert_int_equal(gp_responder_start(&second, &cfg, &err), GP_EEXIST);
    assert_int_equal(stat(file + strlen("ipc://"), &st), 0);
    stop(&f);
}

static void ipc_sockets_have_owner_group_and_mode(void **state)
{
    (void)state;
    fake f;
    gp_error err = GP_ERROR_INIT;
    gp_responder *second = NULL;
    gp_result r;
    struct stat st;
    char path[128];
    char addr[140];
    char ask_addr[150];
    bool root = geteuid() == 0;
    start(&f);
    snprintf(path, sizeof path, "%s/given", f.dir);
    snprintf(addr, sizeof addr, "ipc://%s", path);
    snprintf(ask_addr, sizeof ask_addr, "nanomsg+ipc://%s", path);
    const char *const addrs[] = {addr};
    gp_responder_config cfg = {
        .addrs = addrs, .n_addrs = 1, .runner = &f.runner, .socket = {.group = "no-such-group"}};
    assert_int_equal(gp_responder_start(&second, &cfg, &err), GP_ENOTFOUND);
    assert_non_null(strstr(err.msg, "no group named 'no-such-group'"));
    assert_int_equal(access(path, F_OK), -1);
    cfg.socket = (gp_unix_socket_access){
        .owner = root ? "12345" : NULL, .group = root ? "daemon" : NULL, .mode = 0606};
    if (gp_responder_start(&second, &cfg, &err) != GP_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0606);
    if (root) {
        assert_int_equal(st.st_uid, 12345);
        assert_int_equal(st.st_gid, getgrnam("daemon")->gr_gid);
    }
    assert_int_equal(ask(ask_addr, "sip", 5000, &r, NULL, &err), GP_OK);
    gp_result_free(&r);
    gp_responder_stop(second);
    stop(&f);
}

int main(void)
{
    /* ThreadSanitizer does not see the lock that glibc takes when it reads a time zone for the first time. */
    setenv("TZ", "UTC", 1);
    tzset();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_checked),
        cmocka_unit_test(queries_are_answered),
        cmocka_unit_test(bad_queries_get_the_problem_of_http),
        cmocka_unit_test(tokens_are_asked_for),
        cmocka_unit_test(only_queries_are_carried),
        cmocka_unit_test(dead_and_silent_hosts_are_told_apart),
        cmocka_unit_test(cancellation_reaches_the_host),
        cmocka_unit_test(a_host_that_stops_ends_its_queries),
        cmocka_unit_test(many_are_asked_at_once_and_connections_are_kept),
        cmocka_unit_test(libnanomsg_can_ask),
        cmocka_unit_test(a_request_sent_again_is_one_request),
        cmocka_unit_test(a_lease_that_is_not_renewed_ends_the_query),
        cmocka_unit_test(too_many_queries_are_refused),
        cmocka_unit_test(lies_are_errors_of_that_host),
        cmocka_unit_test(answers_under_way_share_a_bound),
        cmocka_unit_test(rubbish_on_the_socket_changes_nothing),
        cmocka_unit_test(sockets_of_others_are_left_alone),
        cmocka_unit_test(ipc_sockets_have_owner_group_and_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

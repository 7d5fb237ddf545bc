#include "proto/nanomsg/responder.h"

#include "proto/base/clock.h"
#include "proto/base/unixsock.h"
#include "proto/nanomsg/addr.h"
#include "proto/wire/answer.h"
#include "proto/wire/frame.h"
#include "proto/wire/varint.h"

#include <errno.h>
#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MAX_REQUEST = 1 << 20,
    MAX_TOKEN = 1024,
    MAX_REQUEST_ID = 128,
    DEFAULT_MAX_QUERIES = 256,
    BACKOFF_MS = 100
};

typedef enum counter {
    QUERIES,
    ANSWERS,
    PROBLEMS,
    MALFORMED,
    DUPLICATES,
    CANCELED,
    EXPIRED,
    BYTES_SENT,
    N_COUNTERS
} counter;

/* A query under way. `route` is the header of its message: nanomsg's name of the connection, and the request
 * number of whoever asked. It identifies the request, and leads the answer back. */
typedef struct job {
    gp_responder *owner;
    void *route;
    char *text; /* the arguments */
    char id[MAX_REQUEST_ID + 1];
    size_t len;
    uint32_t lease_ms;
    _Atomic int64_t expires_ns; /* 0: never */
    atomic_bool canceled;
    bool expired;
    struct job *next;
} job;

struct gp_responder {
    const gp_query_runner *runner;
    bool (*authorize)(void *ctx, const char *token);
    void *authorize_ctx;
    gp_log *log;
    unsigned max_queries;
    int socket;
    int ready; /* readable while a message waits (NN_RCVFD); the socket's own */
    int wake;  /* eventfd */
    pthread_t receiver;
    bool receiving;
    atomic_bool stopping;
    _Atomic uint64_t counters[N_COUNTERS];
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t ended;
    job *jobs;
    unsigned n_jobs;
};

static void count(gp_responder *r, counter which, uint64_t n)
{
    atomic_fetch_add_explicit(&r->counters[which], n, memory_order_relaxed);
}

/* ---- sending ------------------------------------------------------------------------------------------- */

/* A peer that is gone makes nanomsg drop the message, which is all there is to do. */
static void send_frame(gp_responder *r, void *route, const gp_frame *f)
{
    gp_buf message = GP_BUF_INIT;
    if (gp_frame_write(&message, f, NULL) == GP_OK) {
        struct nn_iovec body = {message.data, message.len};
        const struct nn_cmsghdr *control = route;
        const struct nn_msghdr h = {
            .msg_iov = &body, .msg_iovlen = 1, .msg_control = route, .msg_controllen = control->cmsg_len};
        if (nn_sendmsg(r->socket, &h, NN_DONTWAIT) >= 0)
            count(r, BYTES_SENT, message.len);
    }
    gp_buf_free(&message);
}

static void send_problem(gp_responder *r, void *route, const gp_problem *p)
{
    gp_buf json = GP_BUF_INIT;
    if (p->detail)
        gp_problem_to_json(p, &json);
    const gp_frame f = {.type = GP_FRAME_PROBLEM,
                        .status = (uint16_t)p->status,
                        .body = json.failed ? NULL : json.data,
                        .len = json.failed ? 0 : json.len};
    count(r, PROBLEMS, 1);
    send_frame(r, route, &f);
    gp_buf_free(&json);
}

static void refuse(gp_responder *r, void *route, int status, const char *why)
{
    gp_problem p = GP_PROBLEM_INIT;
    if (why)
        gp_problem_set(&p, status, "%s", why);
    p.status = status;
    send_problem(r, route, &p);
    gp_problem_free(&p);
}

/* ---- running ------------------------------------------------------------------------------------------- */

static void free_job(job *j)
{
    nn_freemsg(j->route);
    free(j->text);
    free(j);
}

static bool canceled(void *ctx)
{
    job *j = ctx;
    int64_t expires = atomic_load_explicit(&j->expires_ns, memory_order_relaxed);
    if (expires && !j->expired && gp_clock_ns() > expires) {
        j->expired = true;
        count(j->owner, EXPIRED, 1);
    }
    return j->expired || atomic_load(&j->canceled) || atomic_load(&j->owner->stopping);
}

static gp_code run_query(job *j, gp_result *out, gp_problem *p)
{
    gp_args args;
    gp_error err = GP_ERROR_INIT;
    const gp_query_hooks hooks = {
        .canceled = canceled, .ctx = j, .request_id = j->id, .from = "nanomsg", .who = ""};
    gp_result_init(out);
    gp_code rc = gp_args_from_json(j->text, j->len, &args, p);
    if (rc == GP_OK) {
        rc = gp_query_run(j->owner->runner, &args, &hooks, out, p, &err);
        gp_args_free(&args);
    }
    if (rc != GP_OK && !p->status)
        gp_query_failed(p, err.msg);
    return rc;
}

static void leave(job *j)
{
    gp_responder *r = j->owner;
    pthread_mutex_lock(&r->lock);
    job **at = &r->jobs;
    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
    pthread_mutex_unlock(&r->lock);
}

static void end_job(job *j)
{
    gp_responder *r = j->owner;
    free_job(j);
    pthread_mutex_lock(&r->lock);
    r->n_jobs--;
    pthread_cond_signal(&r->ended);
    pthread_mutex_unlock(&r->lock);
}

static void answer(job *j, const gp_result *result)
{
    gp_buf body = GP_BUF_INIT;
    gp_error err = GP_ERROR_INIT;
    if (gp_answer_write(result, &body, &err) == GP_OK) {
        const gp_frame f = {.type = GP_FRAME_ANSWER, .status = 200, .body = body.data, .len = body.len};
        count(j->owner, ANSWERS, 1);
        send_frame(j->owner, j->route, &f);
    } else {
        refuse(j->owner, j->route, 500, err.msg);
    }
    gp_buf_free(&body);
}

static void *run_job(void *ctx)
{
    job *j = ctx;
    gp_responder *r = j->owner;
    gp_result result;
    gp_problem p = GP_PROBLEM_INIT;
    gp_code rc = run_query(j, &result, &p);
    leave(j); /* from here on the same request would be a new one */
    bool wanted = !canceled(j);
    if (wanted && rc == GP_OK)
        answer(j, &result);
    else if (wanted)
        send_problem(r, j->route, &p);
    gp_problem_free(&p);
    gp_result_free(&result);
    end_job(j);
    return NULL;
}

static bool start_thread(job *j)
{
    pthread_t thread;
    pthread_attr_t attr;
    if (pthread_attr_init(&attr) != 0)
        return false;
    bool ok = pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) == 0 &&
              pthread_create(&thread, &attr, run_job, j) == 0;
    pthread_attr_destroy(&attr);
    return ok;
}

/* ---- requests ------------------------------------------------------------------------------------------ */

/* The header in a control message of nn_recvmsg: its length, and its bytes. */
static size_t route_bytes(void *route, const unsigned char **bytes)
{
    const unsigned char *data = NN_CMSG_DATA((struct nn_cmsghdr *)route);
    size_t len;
    memcpy(&len, data, sizeof len);
    *bytes = data + sizeof len;
    return len;
}

static bool same_route(void *a, void *b)
{
    const unsigned char *x;
    const unsigned char *y;
    size_t n = route_bytes(a, &x);
    return n == route_bytes(b, &y) && memcmp(x, y, n) == 0;
}

/* r->lock is held. */
static job *find_job(const gp_responder *r, void *route)
{
    job *j = r->jobs;
    while (j && !same_route(j->route, route))
        j = j->next;
    return j;
}

static void renew_lease(job *j)
{
    int64_t ns = j->lease_ms ? gp_clock_ns() + (int64_t)j->lease_ms * 1000000 : 0;
    atomic_store_explicit(&j->expires_ns, ns, memory_order_relaxed);
}

/* The body of a query: who asks, by which name logs know it, and what. */
typedef struct request {
    char token[MAX_TOKEN + 1];
    char id[MAX_REQUEST_ID + 1];
    const char *text;
    size_t len;
} request;

static bool read_string(gp_wire_reader *in, char *to, size_t most)
{
    uint64_t n = gp_varint_read(in);
    const uint8_t *text = n <= most ? gp_wire_take(in, n) : NULL;
    if (!text)
        return false;
    memcpy(to, text, (size_t)n);
    to[n] = '\0';
    return true;
}

static bool read_request(const gp_frame *f, request *out)
{
    gp_wire_reader in = {.at = (const uint8_t *)f->body, .end = (const uint8_t *)f->body + f->len};
    if (!read_string(&in, out->token, MAX_TOKEN) || !read_string(&in, out->id, MAX_REQUEST_ID))
        return false;
    out->text = (const char *)in.at;
    out->len = gp_wire_left(&in);
    return true;
}

/* Takes over route, unless there is no memory. */
static job *new_job(gp_responder *r, void *route, const request *what, uint32_t lease_ms)
{
    job *j = calloc(1, sizeof *j);
    if (!j)
        return NULL;
    j->text = malloc(what->len + 1);
    if (!j->text) {
        free(j);
        return NULL;
    }
    memcpy(j->text, what->text, what->len);
    j->text[what->len] = '\0';
    j->len = what->len;
    memcpy(j->id, what->id, sizeof j->id);
    j->owner = r;
    j->route = route;
    j->lease_ms = lease_ms;
    renew_lease(j);
    return j;
}

static void enter(gp_responder *r, job *j)
{
    pthread_mutex_lock(&r->lock);
    j->next = r->jobs;
    r->jobs = j;
    r->n_jobs++;
    pthread_mutex_unlock(&r->lock);
}

/* True if this request is running already; whoever sent it again still waits. */
static bool is_duplicate(gp_responder *r, void *route)
{
    pthread_mutex_lock(&r->lock);
    job *j = find_job(r, route);
    if (j)
        renew_lease(j);
    pthread_mutex_unlock(&r->lock);
    return j != NULL;
}

static bool is_full(gp_responder *r)
{
    pthread_mutex_lock(&r->lock);
    bool full = r->n_jobs >= r->max_queries;
    pthread_mutex_unlock(&r->lock);
    return full;
}

typedef struct refusal {
    int status; /* 0: none */
    const char *why;
} refusal;

static refusal check(gp_responder *r, const gp_frame *f, request *what)
{
    if (!read_request(f, what))
        return (refusal){400, "a query without a body"};
    if (r->authorize && !r->authorize(r->authorize_ctx, what->token))
        return (refusal){401, "a token is needed, and this is none that may ask"};
    if (r->runner->admit && !r->runner->admit(r->runner->ctx))
        return (refusal){429, NULL}; /* as HTTP: without a document */
    if (is_full(r))
        return (refusal){503, "too many queries at a time"};
    return (refusal){0, NULL};
}

/* Only the receiver starts jobs. True: route is taken over. */
static bool take_query(gp_responder *r, void *route, const gp_frame *f)
{
    request what;
    if (is_duplicate(r, route)) {
        count(r, DUPLICATES, 1);
        return false;
    }
    refusal no = check(r, f, &what);
    job *j = no.status ? NULL : new_job(r, route, &what, f->lease_ms);
    if (!no.status && !j)
        no = (refusal){503, "out of memory"};
    if (no.status) {
        refuse(r, route, no.status, no.why);
        return false;
    }
    count(r, QUERIES, 1);
    enter(r, j);
    if (!start_thread(j)) {
        refuse(r, route, 503, "no thread for the query");
        leave(j);
        end_job(j);
    }
    return true;
}

static void cancel(gp_responder *r, void *route)
{
    pthread_mutex_lock(&r->lock);
    job *j = find_job(r, route);
    if (j)
        atomic_store(&j->canceled, true);
    pthread_mutex_unlock(&r->lock);
    count(r, CANCELED, j != NULL);
}

static void renew(gp_responder *r, void *route)
{
    pthread_mutex_lock(&r->lock);
    job *j = find_job(r, route);
    if (j)
        renew_lease(j);
    pthread_mutex_unlock(&r->lock);
}

/* True: route is taken over. */
static bool handle(gp_responder *r, void *route, const void *message, size_t len)
{
    gp_frame f;
    gp_error err = GP_ERROR_INIT;
    bool taken = false;
    gp_code rc = gp_frame_read(message, len, MAX_REQUEST, &f, &err);
    if (rc == GP_OK && f.type == GP_FRAME_QUERY) {
        taken = take_query(r, route, &f);
    } else if (rc == GP_OK && f.type == GP_FRAME_CANCEL) {
        cancel(r, route);
    } else if (rc == GP_OK && f.type == GP_FRAME_RENEW) {
        renew(r, route);
    } else {
        count(r, MALFORMED, 1);
        refuse(r, route, 400, rc == GP_OK ? "a message of a kind that is not asked" : err.msg);
    }
    if (rc == GP_OK)
        gp_frame_free(&f);
    return taken;
}

/* ---- the receiver -------------------------------------------------------------------------------------- */

static void receive_one(gp_responder *r)
{
    void *message = NULL;
    void *route = NULL;
    struct nn_iovec body = {&message, NN_MSG};
    struct nn_msghdr h = {.msg_iov = &body, .msg_iovlen = 1, .msg_control = &route, .msg_controllen = NN_MSG};
    int len = nn_recvmsg(r->socket, &h, NN_DONTWAIT);
    if (len < 0) {
        if (nn_errno() != EAGAIN) /* out of memory or descriptors: leave the machine time to recover */
            poll(NULL, 0, BACKOFF_MS);
        return;
    }
    if (!handle(r, route, message, (size_t)len))
        nn_freemsg(route);
    nn_freemsg(message);
}

static void *receive(void *responder)
{
    gp_responder *r = responder;
    struct pollfd fds[] = {{.fd = r->ready, .events = POLLIN}, {.fd = r->wake, .events = POLLIN}};
    while (!atomic_load(&r->stopping)) {
        if (poll(fds, 2, -1) > 0 && (fds[0].revents & POLLIN))
            receive_one(r);
    }
    return NULL;
}

/* ---- start and stop ------------------------------------------------------------------------------------ */

static gp_code bind_failed(const char *addr, int sys, gp_error *err)
{
    if (sys == EADDRINUSE)
        return gp_fail(err, GP_EBUSY,
                       "cannot listen on %s: the address is in use; stop the program that listens there or "
                       "configure another address",
                       addr);
    return gp_fail_errno(err, sys, "cannot listen on %s", addr);
}

static gp_code listen_tcp(gp_responder *r, const char *addr, const char *text, gp_error *err)
{
    int v4_only = 0;
    if (nn_setsockopt(r->socket, NN_SOL_SOCKET, NN_IPV4ONLY, &v4_only, sizeof v4_only) != 0)
        return gp_fail_errno(err, nn_errno(), "cannot listen on %s", addr);
    if (nn_bind(r->socket, text) >= 0)
        return GP_OK;
    v4_only = 1; /* a machine without IPv6 */
    if (nn_errno() != EAFNOSUPPORT ||
        nn_setsockopt(r->socket, NN_SOL_SOCKET, NN_IPV4ONLY, &v4_only, sizeof v4_only) != 0 ||
        nn_bind(r->socket, text) < 0)
        return bind_failed(addr, nn_errno(), err);
    return GP_OK;
}

/* nanomsg would remove any file that it finds, and die of one that it cannot: look first. It binds and
 * listens at once: nobody may connect before the socket has been given to those who may. */
static gp_code listen_ipc(gp_responder *r, const char *addr, const char *text,
                          const gp_unix_socket_access *access, gp_error *err)
{
    const char *path = text + strlen("ipc://");
    gp_code rc = gp_unix_socket_clear(path, err);
    if (rc != GP_OK)
        return rc;
    mode_t before = umask(0777);
    int bound = nn_bind(r->socket, text);
    int sys = nn_errno();
    umask(before);
    if (bound < 0)
        return bind_failed(addr, sys, err);
    rc = gp_unix_socket_give(path, access, err);
    if (rc != GP_OK)
        unlink(path);
    return rc;
}

static gp_code listen_on(gp_responder *r, const char *addr, const gp_unix_socket_access *access,
                         gp_error *err)
{
    gp_nanomsg_addr at;
    gp_code rc = gp_nanomsg_addr_resolve(addr, &at, err);
    if (rc != GP_OK)
        return rc;
    return at.ipc ? listen_ipc(r, addr, at.text, access, err) : listen_tcp(r, addr, at.text, err);
}

static gp_code open_socket(gp_responder *r, gp_error *err)
{
    int max = MAX_REQUEST + GP_FRAME_HEADER + 1024; /* and a header of the protocol below */
    size_t size = sizeof r->ready;
    r->socket = nn_socket(AF_SP_RAW, NN_REP);
    if (r->socket < 0)
        return gp_fail_errno(err, nn_errno(), "cannot make a nanomsg socket");
    if (nn_setsockopt(r->socket, NN_SOL_SOCKET, NN_RCVMAXSIZE, &max, sizeof max) != 0 ||
        nn_getsockopt(r->socket, NN_SOL_SOCKET, NN_RCVFD, &r->ready, &size) != 0)
        return gp_fail_errno(err, nn_errno(), "cannot set up a nanomsg socket");
    r->wake = eventfd(0, EFD_CLOEXEC);
    return r->wake >= 0 ? GP_OK : gp_fail_errno(err, errno, "cannot set up a nanomsg socket");
}

gp_code gp_responder_start(gp_responder **out, const gp_responder_config *cfg, gp_error *err)
{
    *out = NULL;
    gp_responder *r = calloc(1, sizeof *r);
    if (!r)
        return gp_fail(err, GP_ENOMEM, "out of memory for the nanomsg endpoints");
    r->runner = cfg->runner;
    r->authorize = cfg->authorize;
    r->authorize_ctx = cfg->authorize_ctx;
    r->log = cfg->log;
    r->max_queries = cfg->max_queries ? cfg->max_queries : DEFAULT_MAX_QUERIES;
    r->wake = -1;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->ended, NULL);
    gp_code rc = open_socket(r, err);
    for (size_t i = 0; i < cfg->n_addrs && rc == GP_OK; i++)
        rc = listen_on(r, cfg->addrs[i], &cfg->socket, err);
    if (rc == GP_OK) {
        int failed = pthread_create(&r->receiver, NULL, receive, r);
        r->receiving = failed == 0;
        if (failed)
            rc = gp_fail_errno(err, failed, "no thread for the nanomsg endpoints");
    }
    if (rc != GP_OK) {
        gp_responder_stop(r);
        return rc;
    }
    *out = r;
    return GP_OK;
}

void gp_responder_stop(gp_responder *r)
{
    if (!r)
        return;
    atomic_store(&r->stopping, true);
    if (r->receiving) {
        while (eventfd_write(r->wake, 1) != 0 && errno == EINTR)
            ;
        pthread_join(r->receiver, NULL);
    }
    pthread_mutex_lock(&r->lock);
    while (r->n_jobs)
        pthread_cond_wait(&r->ended, &r->lock);
    pthread_mutex_unlock(&r->lock);
    if (r->socket >= 0)
        nn_close(r->socket);
    if (r->wake >= 0)
        close(r->wake);
    pthread_cond_destroy(&r->ended);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* ---- counters ------------------------------------------------------------------------------------------ */

gp_responder_counters gp_responder_count(gp_responder *r)
{
    uint64_t n[N_COUNTERS];
    for (counter c = 0; c < N_COUNTERS; c++)
        n[c] = atomic_load_explicit(&r->counters[c], memory_order_relaxed);
    pthread_mutex_lock(&r->lock);
    uint64_t running = r->n_jobs;
    pthread_mutex_unlock(&r->lock);
    return (gp_responder_counters){n[QUERIES],  n[ANSWERS], n[PROBLEMS],   n[MALFORMED], n[DUPLICATES],
                                   n[CANCELED], n[EXPIRED], n[BYTES_SENT], running};
}

#include "sensor/capture/capture.h"

#include "sensor/capture/source.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { READ_TIMEOUT_MS = 500, IFACE_NAME_MAX = 16 };

struct gp_table_ref {
    gp_flowtable *table;
    atomic_uint refs;
};

typedef enum request_kind {
    REQUEST_NONE,
    REQUEST_ROTATE,
    REQUEST_STATUS,
    REQUEST_LIVE,
    REQUEST_TAKE,
    REQUEST_STOP
} request_kind;

struct gp_capture {
    char iface[IFACE_NAME_MAX];
    gp_source *source;
    gp_log *log;
    pthread_t thread;
    bool joined;

    /* Owned by the capture thread while it runs, by the caller afterwards. */
    gp_table_ref *current;
    gp_table_ref *previous;
    gp_capture_stats stats;

    /* The request in hand: filled in by the caller, answered by the thread. */
    atomic_int request;
    gp_flowtable_walk *asked_walk;
    gp_session *asked_sessions;
    size_t asked_max;
    int wake_fd;
    pthread_mutex_t lock;
    pthread_cond_t answered;
    bool ended; /* the thread answers no more */
    bool failed;
    gp_error failure;
    gp_code answer_code;
    gp_error answer_error;
    gp_table_ref *answer_table;
    gp_table_ref *answer_retired; /* for the caller to let go of: that may take time */
    gp_flow *answer_flows;
    size_t answer_n;
    gp_capture_stats answer_stats;
};

/* ---- shared tables --------------------------------------------------------------------------------------
 */

gp_table_ref *gp_table_ref_new(gp_flowtable *t, gp_error *err)
{
    gp_table_ref *r = calloc(1, sizeof *r);
    if (!r) {
        gp_fail(err, GP_ENOMEM, "out of memory for a flow table");
        return NULL;
    }
    atomic_init(&r->refs, 1);
    r->table = t;
    return r;
}

/* Made for what `like` held; NULL: nothing is known. */
static gp_table_ref *new_table(const gp_table_ref *like, gp_error *err)
{
    gp_flowtable *t = NULL;
    if (gp_flowtable_new(&t, like ? like->table : NULL, 0, err) != GP_OK)
        return NULL;
    gp_table_ref *r = gp_table_ref_new(t, err);
    if (!r)
        gp_flowtable_free(t);
    return r;
}

const gp_flowtable *gp_table_ref_get(const gp_table_ref *r)
{
    return r->table;
}

void gp_table_unref(gp_table_ref *r)
{
    if (!r || atomic_fetch_sub(&r->refs, 1) != 1)
        return;
    gp_flowtable_free(r->table);
    free(r);
}

/* ---- the packet path ------------------------------------------------------------------------------------
 */

static void count_frames(void *ctx, const gp_frame *frames, size_t n)
{
    gp_capture *c = ctx;
    gp_counted counted[GP_FRAME_BATCH];
    size_t good = gp_packets_parse(frames, n, counted, c->stats.parse_errors);
    c->stats.processed += n; /* fragments are taken off when it is told, see report_stats */
    gp_flowtable_add(c->current->table, 0, c->previous ? c->previous->table : NULL, counted, good);
}

/* ---- requests, answered by the thread (or, once it has ended, by the caller) ------------------------------
 */

static void add_kernel_stats(gp_capture *c)
{
    uint64_t received = 0;
    uint64_t dropped = 0;
    gp_error err = GP_ERROR_INIT;
    if (gp_source_stats(c->source, &received, &dropped, &err) != GP_OK) {
        gp_log_warn(c->log, "no packet statistics", GP_F_STR("iface", c->iface), GP_F_STR("error", err.msg));
        return;
    }
    c->stats.received += received;
    c->stats.dropped += dropped;
}

/* Totals include the running interval. */
static gp_capture_stats report_stats(gp_capture *c)
{
    add_kernel_stats(c);
    gp_capture_stats s = c->stats;
    s.processed -= s.parse_errors[GP_PARSE_FRAGMENT];
    s.received_total += s.received;
    s.processed_total += s.processed;
    s.dropped_total += s.dropped;
    return s;
}

static gp_code answer_rotate(gp_capture *c, gp_error *err)
{
    gp_table_ref *fresh = new_table(c->current, err);
    if (!fresh)
        return GP_ENOMEM; /* the interval goes on: nothing is lost */
    c->answer_stats = report_stats(c);
    c->answer_retired = c->previous;
    c->previous = c->current;
    atomic_fetch_add(&c->previous->refs, 1);
    c->answer_table = c->previous;
    c->current = fresh;
    c->stats = (gp_capture_stats){
        .started_sec = c->answer_stats.started_sec,
        .started_nsec = c->answer_stats.started_nsec,
        .received_total = c->answer_stats.received_total,
        .processed_total = c->answer_stats.processed_total,
        .dropped_total = c->answer_stats.dropped_total,
    };
    return GP_OK;
}

static void answer(gp_capture *c, request_kind kind)
{
    c->answer_code = GP_OK;
    if (kind == REQUEST_ROTATE)
        c->answer_code = answer_rotate(c, &c->answer_error);
    else if (kind == REQUEST_STATUS)
        c->answer_stats = report_stats(c);
    else if (kind == REQUEST_LIVE)
        c->answer_code =
            gp_flowtable_export(c->current->table, &c->answer_flows, &c->answer_n, &c->answer_error);
    else if (kind == REQUEST_TAKE)
        c->answer_n = gp_flowtable_take(c->current->table, c->asked_walk, c->asked_sessions, c->asked_max);
}

static void drain_wakeups(gp_capture *c)
{
    uint64_t n;
    if (read(c->wake_fd, &n, sizeof n) < 0 && errno != EAGAIN)
        gp_log_warn(c->log, "wake-up failed", GP_F_STR("iface", c->iface));
}

/* False when the thread is to end. */
static bool serve_request(gp_capture *c)
{
    request_kind kind = (request_kind)atomic_load_explicit(&c->request, memory_order_acquire);
    if (kind == REQUEST_NONE)
        return true;
    answer(c, kind);
    pthread_mutex_lock(&c->lock);
    /* Under the lock, that is after the asker's wake-up: one left behind would keep poll() from sleeping. */
    drain_wakeups(c);
    atomic_store(&c->request, REQUEST_NONE);
    c->ended = kind == REQUEST_STOP;
    pthread_cond_signal(&c->answered);
    pthread_mutex_unlock(&c->lock);
    return kind != REQUEST_STOP;
}

static void end_with_failure(gp_capture *c, const gp_error *err)
{
    pthread_mutex_lock(&c->lock);
    c->failed = c->ended = true;
    c->failure = *err;
    pthread_cond_signal(&c->answered);
    pthread_mutex_unlock(&c->lock);
    gp_log_warn(c->log, "capture ended", GP_F_STR("iface", c->iface), GP_F_STR("error", err->msg));
}

static void *capture_main(void *arg)
{
    gp_capture *c = arg;
    (void)pthread_setname_np(pthread_self(), c->iface); /* for top -H */
    gp_error err = GP_ERROR_INIT;
    gp_code code = GP_OK;
    while (code == GP_OK && serve_request(c)) {
        bool end = false;
        code = gp_source_read(c->source, c->wake_fd, READ_TIMEOUT_MS, count_frames, c, &end, &err);
    }
    if (code != GP_OK)
        end_with_failure(c, &err);
    return NULL;
}

/* Leaves a request and waits for the answer. If the thread has ended, its state is ours. */
static gp_code ask(gp_capture *c, request_kind kind, gp_error *err)
{
    const uint64_t one = 1;
    pthread_mutex_lock(&c->lock);
    bool posted = !c->ended;
    if (posted) {
        atomic_store_explicit(&c->request, (int)kind, memory_order_release);
        if (write(c->wake_fd, &one, sizeof one) != (ssize_t)sizeof one)
            gp_log_warn(c->log, "wake-up failed", GP_F_STR("iface", c->iface)); /* the read times out soon */
    }
    while (!c->ended && atomic_load(&c->request) != REQUEST_NONE)
        pthread_cond_wait(&c->answered, &c->lock);
    /* It may have ended before it saw the request. */
    bool unanswered = atomic_exchange(&c->request, REQUEST_NONE) != REQUEST_NONE;
    pthread_mutex_unlock(&c->lock);
    if (!posted || unanswered)
        answer(c, kind);
    if (c->answer_code != GP_OK)
        return gp_fail(err, c->answer_code, "%s: %s", c->iface, c->answer_error.msg);
    return GP_OK;
}

/* ---- interface --------------------------------------------------------------------------------------------
 */

/* Is the failure of a ring one that libpcap may know a way around? */
static bool ring_is_missing(gp_code code, const gp_error *err)
{
    bool missing = err->sys == ENOPROTOOPT || err->sys == EAFNOSUPPORT || err->sys == EPROTONOSUPPORT;
    return code == GP_EUNSUPPORTED || (code == GP_EIO && missing);
}

static gp_code open_source(gp_capture *c, const gp_capconfig *cfg, gp_error *err)
{
    gp_error why = GP_ERROR_INIT;
    gp_code code = gp_source_open_ring(&c->source, c->iface, cfg, &why);
    if (code == GP_OK)
        return GP_OK;
    if (!ring_is_missing(code, &why)) {
        if (err)
            *err = why;
        return code;
    }
    gp_log_warn(c->log, "no packet ring, falling back to libpcap", GP_F_STR("iface", c->iface),
                GP_F_STR("reason", why.msg));
    return gp_source_open_pcap(&c->source, c->iface, cfg, err);
}

static void stamp_start(gp_capture *c)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    c->stats.started_sec = now.tv_sec;
    c->stats.started_nsec = (int32_t)now.tv_nsec;
}

gp_code gp_capture_start(gp_capture **out, const char *iface, const gp_capconfig *cfg, gp_flowtable *resumed,
                         gp_log *log, gp_error *err)
{
    if (strlen(iface) >= IFACE_NAME_MAX)
        return gp_fail(err, GP_ENOTFOUND, "no such interface: '%s' (names have at most %d characters)", iface,
                       IFACE_NAME_MAX - 1);
    gp_capture *c = calloc(1, sizeof *c);
    if (!c)
        return gp_fail(err, GP_ENOMEM, "out of memory for a capture");
    snprintf(c->iface, sizeof c->iface, "%s", iface);
    c->log = log;
    c->joined = true;
    c->ended = true;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->answered, NULL);
    stamp_start(c);
    c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    gp_code code =
        c->wake_fd >= 0 ? GP_OK : gp_fail_errno(err, errno, "cannot create a wake-up for '%s'", iface);
    if (code == GP_OK)
        code = open_source(c, cfg, err);
    if (code == GP_OK && !(c->current = new_table(NULL, err)))
        code = GP_ENOMEM;
    if (code == GP_OK) {
        c->joined = c->ended = false;
        gp_flowtable *empty = c->current->table;
        if (resumed)
            c->current->table = resumed;
        int rc = pthread_create(&c->thread, NULL, capture_main, c);
        if (rc == 0 && resumed)
            gp_flowtable_free(empty);
        if (rc != 0) {
            c->current->table = empty;
            c->joined = c->ended = true;
            code = gp_fail_errno(err, rc, "cannot start a capture thread for '%s'", iface);
        }
    }
    if (code != GP_OK) {
        gp_capture_free(c);
        return code;
    }
    *out = c;
    return GP_OK;
}

void gp_capture_stop(gp_capture *c)
{
    if (c->joined)
        return;
    (void)ask(c, REQUEST_STOP, NULL);
    pthread_join(c->thread, NULL);
    c->joined = true;
}

void gp_capture_free(gp_capture *c)
{
    if (!c)
        return;
    gp_capture_stop(c);
    gp_source_close(c->source);
    gp_table_unref(c->current);
    gp_table_unref(c->previous);
    if (c->wake_fd >= 0)
        close(c->wake_fd);
    pthread_cond_destroy(&c->answered);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

bool gp_capture_failed(gp_capture *c, gp_error *why)
{
    pthread_mutex_lock(&c->lock);
    bool failed = c->failed;
    if (failed && why)
        *why = c->failure;
    pthread_mutex_unlock(&c->lock);
    return failed;
}

gp_code gp_capture_rotate(gp_capture *c, gp_table_ref **finished, gp_capture_stats *stats, gp_error *err)
{
    gp_code code = ask(c, REQUEST_ROTATE, err);
    if (code != GP_OK)
        return code;
    gp_table_unref(c->answer_retired);
    *finished = c->answer_table;
    *stats = c->answer_stats;
    return GP_OK;
}

gp_code gp_capture_status(gp_capture *c, gp_capture_stats *stats, gp_error *err)
{
    gp_code code = ask(c, REQUEST_STATUS, err);
    if (code == GP_OK)
        *stats = c->answer_stats;
    return code;
}

gp_code gp_capture_live(gp_capture *c, gp_flow **out, size_t *n, gp_error *err)
{
    gp_code code = ask(c, REQUEST_LIVE, err);
    if (code == GP_OK) {
        *out = c->answer_flows;
        *n = c->answer_n;
    }
    return code;
}

gp_code gp_capture_take(gp_capture *c, gp_flowtable_walk *w, gp_session *out, size_t max, size_t *n,
                        gp_error *err)
{
    c->asked_walk = w;
    c->asked_sessions = out;
    c->asked_max = max;
    gp_code code = ask(c, REQUEST_TAKE, err);
    *n = code == GP_OK ? c->answer_n : 0;
    return code;
}

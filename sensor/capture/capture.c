#include "sensor/capture/capture.h"

#include "proto/base/clock.h"
#include "sensor/capture/fanout.h"
#include "sensor/capture/source.h"

#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { READ_TIMEOUT_MS = 500, IFACE_NAME_MAX = IF_NAMESIZE };

/* Of the machine's memory one part in MEMORY_SHARE may go into the flows of an interface. FLOW_COST: bytes of
 * a flow in the table of this interval, in that of the last, and on its way to the disk. */
enum { MEMORY_SHARE = 16, FLOW_COST = 192, LEAST_FLOWS = 65536 };

_Static_assert((int)GP_FANOUT_MAX_RINGS >= (int)GP_RING_MAX_RINGS, "what may be configured can be had");

/* Flows that one step of a live view copies: the packet path waits for no more. */
enum { LIVE_STEP = 4096 };

/* Between two collections from a source that counts itself: what it counts has to fit its maps. */
enum { COLLECT_EVERY_NS = 500000000 };

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

/* A request in hand: what the caller gives, and what the thread answers. */
typedef struct exchange {
    gp_flowtable *fresh;     /* REQUEST_ROTATE: what follows the running table */
    gp_flowtable_walk *walk; /* REQUEST_TAKE, REQUEST_LIVE */
    gp_session *sessions;
    gp_flow *flows;
    size_t max, n;
    gp_capture_stats stats;
} exchange;

/* One ring with its thread. */
typedef struct worker {
    gp_capture *capture;
    unsigned lane;
    gp_source *source;
    pthread_t thread;
    bool joined;

    /* Owned by the thread while it runs, by the caller afterwards. Only its lane of a table. */
    gp_flowtable *current;
    const gp_flowtable *previous;
    gp_capture_stats stats; /* of the running interval */
    int64_t collected;      /* when a source that counts itself was asked for its counts, ns */

    atomic_int request;
    exchange exchange;
    int wake_fd;
    pthread_mutex_t lock;
    pthread_cond_t answered;
    bool ended; /* the thread answers no more */
    bool failed;
    gp_error failure;
} worker;

struct gp_capture {
    char iface[IFACE_NAME_MAX];
    unsigned index; /* of the interface */
    gp_log *log;
    size_t max_flows;
    gp_table_ref *current, *previous;
    gp_capture_stats past; /* finished intervals, and what does not change */
    unsigned n;
    worker workers[];
};

/* ---- shared tables ------------------------------------------------------------------------------------- */

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

const gp_flowtable *gp_table_ref_get(const gp_table_ref *r)
{
    return r->table;
}

gp_table_ref *gp_table_share(gp_table_ref *r)
{
    atomic_fetch_add(&r->refs, 1);
    return r;
}

void gp_table_unref(gp_table_ref *r)
{
    if (!r || atomic_fetch_sub(&r->refs, 1) != 1)
        return;
    gp_flowtable_free(r->table);
    free(r);
}

/* One that directions can be asked of `like`, or NULL. */
static gp_table_ref *new_table(const gp_capture *c, const gp_flowtable *like, gp_error *err)
{
    gp_flowtable *t = NULL;
    if (gp_flowtable_new_lanes(&t, like, c->n, c->max_flows, err) != GP_OK)
        return NULL;
    gp_table_ref *r = gp_table_ref_new(t, err);
    if (!r)
        gp_flowtable_free(t);
    return r;
}

/* ---- the packet path ----------------------------------------------------------------------------------- */

static void count_frames(void *ctx, const gp_frame *frames, size_t n)
{
    worker *w = ctx;
    gp_counted counted[GP_FRAME_BATCH];
    size_t good = gp_packets_parse(frames, n, counted, w->stats.parse_errors);
    w->stats.processed += n; /* less the fragments, see report_stats */
    gp_flowtable_add(w->current, w->lane, w->previous, counted, good);
}

/* What a source counted itself that has no flow of its own. */
static void add_overflow(worker *w, const gp_counters *c, bool v6)
{
    static const uint8_t any[16];
    const gp_addr addr = gp_addr_from_bytes(any, v6 ? 16 : 4);
    const gp_session s = {.sip = addr, .dip = addr, .proto = GP_OVERFLOW_PROTO, .c = *c};
    if (c->pkts_rcvd + c->pkts_sent)
        (void)gp_flowtable_put_lane(w->current, w->lane, &s, true); /* there is always room for this one */
}

/* All packets of a flow but the first, which is counted. */
static void add_others(worker *w, const gp_counted *first, const gp_counters *all)
{
    const gp_packet *p = &first->packet;
    const gp_counters one = {first->outgoing ? 0 : first->len, first->outgoing ? first->len : 0,
                             !first->outgoing, first->outgoing};
    gp_session s = {.sip = gp_addr_from_bytes(p->sip, p->v6 ? 16 : 4),
                    .dip = gp_addr_from_bytes(p->dip, p->v6 ? 16 : 4),
                    .sport = p->sport,
                    .dport = p->dport,
                    .proto = p->proto,
                    .c = *all};
    gp_counters_sub(&s.c, &one);
    if (s.c.pkts_rcvd + s.c.pkts_sent && !gp_flowtable_put_lane(w->current, w->lane, &s, true))
        add_overflow(w, &s.c, p->v6);
}

static void count_sums(void *ctx, const gp_counted *first, const gp_counters *all, size_t n)
{
    worker *w = ctx;
    gp_flowtable_add(w->current, w->lane, w->previous, first, n);
    for (size_t i = 0; i < n; i++)
        add_others(w, &first[i], &all[i]);
}

static void collect(worker *w)
{
    gp_source_sums sums = {0};
    gp_error err = GP_ERROR_INIT;
    if (!gp_source_counts_itself(w->source))
        return;
    w->collected = gp_clock_ns();
    if (gp_source_collect(w->source, count_sums, w, &sums, &err) != GP_OK)
        gp_log_error(w->capture->log, "flows not collected", GP_F_STR("iface", w->capture->iface),
                     GP_F_STR("error", err.msg));
    w->stats.processed += sums.packets;
    for (unsigned i = 0; i < GP_PARSE_ERRORS; i++)
        w->stats.parse_errors[i] += sums.errors[i];
    add_overflow(w, &sums.overflow, false);
}

/* ---- requests, answered by the thread (or, once it has ended, by the caller) --------------------------- */

static void add_kernel_stats(worker *w)
{
    gp_source_counts counts = {0};
    gp_error err = GP_ERROR_INIT;
    if (gp_source_stats(w->source, &counts, &err) != GP_OK) {
        gp_log_warn(w->capture->log, "no packet statistics", GP_F_STR("iface", w->capture->iface),
                    GP_F_STR("error", err.msg));
        return;
    }
    w->stats.received += counts.received;
    w->stats.dropped += counts.dropped;
    if (counts.fill_percent > w->stats.ring_fill_percent)
        w->stats.ring_fill_percent = counts.fill_percent;
}

static gp_capture_stats report_stats(worker *w)
{
    add_kernel_stats(w);
    gp_capture_stats s = w->stats;
    gp_counters overflow = gp_flowtable_lane_overflow(w->current, w->lane);
    s.processed -= s.parse_errors[GP_PARSE_FRAGMENT];
    s.flows = gp_flowtable_lane_flows(w->current, w->lane);
    s.table_bytes = gp_flowtable_lane_bytes(w->current, w->lane);
    s.overflow_packets = overflow.pkts_rcvd + overflow.pkts_sent;
    s.overflow_bytes = overflow.bytes_rcvd + overflow.bytes_sent;
    return s;
}

static void answer_rotate(worker *w)
{
    const int64_t start = gp_clock_ns();
    w->exchange.stats = report_stats(w);
    gp_flowtable_reserve(w->exchange.fresh, w->lane, w->current);
    w->previous = w->current;
    w->current = w->exchange.fresh;
    w->stats = (gp_capture_stats){0};
    w->exchange.stats.rotation_pause_ns = (uint64_t)(gp_clock_ns() - start);
}

/* A walk shows what was there when it began. */
static bool goes_on(const exchange *x)
{
    return x->walk && (x->walk->at || x->walk->stage || x->walk->lane);
}

static void answer(worker *w, request_kind kind)
{
    exchange *x = &w->exchange;
    if (!goes_on(x))
        collect(w);
    if (kind == REQUEST_ROTATE)
        answer_rotate(w);
    else if (kind == REQUEST_STATUS)
        x->stats = report_stats(w);
    else if (kind == REQUEST_LIVE)
        x->n = gp_flowtable_export_some(w->current, x->walk, x->flows, x->max);
    else if (kind == REQUEST_TAKE)
        x->n = gp_flowtable_take(w->current, x->walk, x->sessions, x->max);
}

static void drain_wakeups(worker *w)
{
    uint64_t n;
    if (read(w->wake_fd, &n, sizeof n) < 0 && errno != EAGAIN)
        gp_log_warn(w->capture->log, "wake-up failed", GP_F_STR("iface", w->capture->iface));
}

/* False when the thread is to end. */
static bool serve_request(worker *w)
{
    request_kind kind = (request_kind)atomic_load_explicit(&w->request, memory_order_acquire);
    if (kind == REQUEST_NONE)
        return true;
    answer(w, kind);
    pthread_mutex_lock(&w->lock);
    /* Under the lock, that is after the asker's wake-up: one left behind would keep poll() from sleeping. */
    drain_wakeups(w);
    atomic_store(&w->request, REQUEST_NONE);
    w->ended = kind == REQUEST_STOP;
    pthread_cond_signal(&w->answered);
    pthread_mutex_unlock(&w->lock);
    return kind != REQUEST_STOP;
}

static void end_with_failure(worker *w, const gp_error *err)
{
    pthread_mutex_lock(&w->lock);
    w->failed = w->ended = true;
    w->failure = *err;
    pthread_cond_signal(&w->answered);
    pthread_mutex_unlock(&w->lock);
    gp_log_warn(w->capture->log, "capture ended", GP_F_STR("iface", w->capture->iface),
                GP_F_STR("error", err->msg));
}

static void *worker_main(void *arg)
{
    worker *w = arg;
    (void)pthread_setname_np(pthread_self(), w->capture->iface); /* for top -H */
    gp_error err = GP_ERROR_INIT;
    gp_code code = GP_OK;
    while (code == GP_OK && serve_request(w)) {
        bool end = false;
        code = gp_source_read(w->source, w->wake_fd, READ_TIMEOUT_MS, count_frames, w, &end, &err);
        if (gp_clock_ns() - w->collected >= COLLECT_EVERY_NS)
            collect(w);
    }
    if (code != GP_OK)
        end_with_failure(w, &err);
    return NULL;
}

/* Leaves a request and waits for the answer. If the thread has ended, its state is ours. */
static const exchange *ask(worker *w, request_kind kind, const exchange *question)
{
    const uint64_t one = 1;
    pthread_mutex_lock(&w->lock);
    w->exchange = *question;
    bool posted = !w->ended;
    if (posted) {
        atomic_store_explicit(&w->request, (int)kind, memory_order_release);
        if (write(w->wake_fd, &one, sizeof one) != (ssize_t)sizeof one)
            gp_log_warn(w->capture->log, "wake-up failed",
                        GP_F_STR("iface", w->capture->iface)); /* the read times out soon */
    }
    while (!w->ended && atomic_load(&w->request) != REQUEST_NONE)
        pthread_cond_wait(&w->answered, &w->lock);
    /* It may have ended before it saw the request. */
    bool unanswered = atomic_exchange(&w->request, REQUEST_NONE) != REQUEST_NONE;
    pthread_mutex_unlock(&w->lock);
    if (!posted || unanswered)
        answer(w, kind);
    return &w->exchange;
}

/* ---- starting and stopping ----------------------------------------------------------------------------- */

/* Is the failure of a ring one that libpcap may know a way around? */
static bool ring_is_missing(gp_code code, const gp_error *err)
{
    bool missing = err->sys == ENOPROTOOPT || err->sys == EAFNOSUPPORT || err->sys == EPROTONOSUPPORT;
    return code == GP_EUNSUPPORTED || (code == GP_EIO && missing);
}

/* False, after saying why, where the ring has to do. */
static bool open_in_kernel(gp_capture *c, const gp_capconfig *cfg)
{
    gp_error why = GP_ERROR_INIT;
    if (gp_source_open_ebpf(&c->workers[0].source, c->iface, cfg, &why) == GP_OK) {
        c->n = 1;
        return true;
    }
    gp_log_warn(c->log, "no counting in the kernel, using the ring", GP_F_STR("iface", c->iface),
                GP_F_STR("reason", why.msg));
    return false;
}

static gp_code open_sources(gp_capture *c, const gp_capconfig *cfg, uint32_t odd, gp_error *err)
{
    if (cfg->in_kernel && open_in_kernel(c, cfg))
        return GP_OK;
    gp_source *sources[GP_FANOUT_MAX_RINGS] = {0};
    gp_error why = GP_ERROR_INIT;
    gp_code code = gp_source_open_rings(sources, c->n, odd, c->iface, cfg, &why);
    if (code != GP_OK && !ring_is_missing(code, &why)) {
        if (err)
            *err = why;
        return code;
    }
    if (code != GP_OK) {
        gp_log_warn(c->log, "no packet ring, falling back to libpcap", GP_F_STR("iface", c->iface),
                    GP_F_STR("reason", why.msg));
        c->n = 1;
        code = gp_source_open_pcap(sources, c->iface, cfg, err);
    }
    for (unsigned i = 0; i < c->n; i++)
        c->workers[i].source = sources[i];
    return code;
}

static void stamp_start(gp_capture *c)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    c->past.started_sec = now.tv_sec;
    c->past.started_nsec = (int32_t)now.tv_nsec;
}

static size_t flow_limit(const gp_capconfig *cfg)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    size_t memory = (size_t)(pages > 0 ? pages : 0) * (size_t)sysconf(_SC_PAGESIZE);
    size_t flows = memory / MEMORY_SHARE / FLOW_COST;
    if (cfg->max_flows > 0)
        return (size_t)cfg->max_flows;
    return flows > LEAST_FLOWS ? flows : LEAST_FLOWS;
}

/* What was counted before a restart stays apart, in the first lane, since the journal has it there.
 * Directions are asked where the packets go: as if the interval before had been in several rings. */
static gp_code resume(gp_capture *c, const gp_flowtable *resumed, uint32_t odd, gp_error *err)
{
    gp_session s;
    c->previous = c->n > 1 ? new_table(c, c->current->table, err) : NULL;
    bool ok = c->n == 1 || c->previous;
    for (gp_flowtable_walk w = {0}; ok && w.stage < GP_WALK_END;) {
        if (gp_flowtable_list(resumed, &w, &s, 1) == 0)
            continue;
        unsigned ring = gp_fanout_ring(odd, &s.sip, &s.dip, c->n);
        ok = gp_flowtable_put(c->current->table, &s, true) &&
             (!c->previous || gp_flowtable_put_lane(c->previous->table, ring, &s, true));
    }
    return ok ? GP_OK
              : gp_fail(err, GP_ENOMEM, "out of memory for the flows of '%s' before the restart", c->iface);
}

static gp_code start_worker(worker *w, gp_error *err)
{
    w->current = w->capture->current->table;
    w->previous = w->capture->previous ? w->capture->previous->table : NULL;
    w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->wake_fd < 0)
        return gp_fail_errno(err, errno, "cannot create a wake-up for '%s'", w->capture->iface);
    w->joined = w->ended = false;
    int rc = pthread_create(&w->thread, NULL, worker_main, w);
    if (rc == 0)
        return GP_OK;
    w->joined = w->ended = true;
    return gp_fail_errno(err, rc, "cannot start a capture thread for '%s'", w->capture->iface);
}

static gp_capture *new_capture(const char *iface, const gp_capconfig *cfg, gp_log *log)
{
    unsigned rings = cfg->num_rings > 1 ? (unsigned)cfg->num_rings : 1;
    rings = rings < GP_FANOUT_MAX_RINGS ? rings : GP_FANOUT_MAX_RINGS;
    gp_capture *c = calloc(1, sizeof *c + rings * sizeof *c->workers);
    if (!c)
        return NULL;
    snprintf(c->iface, sizeof c->iface, "%s", iface);
    c->index = if_nametoindex(iface);
    c->log = log;
    c->max_flows = flow_limit(cfg);
    c->n = rings;
    for (unsigned i = 0; i < rings; i++) {
        worker *w = &c->workers[i];
        *w = (worker){.capture = c, .lane = i, .joined = true, .ended = true, .wake_fd = -1};
        pthread_mutex_init(&w->lock, NULL);
        pthread_cond_init(&w->answered, NULL);
    }
    stamp_start(c);
    return c;
}

static gp_code start(gp_capture *c, const gp_capconfig *cfg, gp_flowtable *resumed, gp_error *err)
{
    uint32_t odd = 0;
    if (getrandom(&odd, sizeof odd, 0) != (ssize_t)sizeof odd)
        return gp_fail_errno(err, errno, "cannot get random numbers for a capture");
    odd |= 1;
    gp_code code = open_sources(c, cfg, odd, err);
    if (code == GP_OK && !(c->current = new_table(c, NULL, err)))
        code = GP_ENOMEM;
    if (code == GP_OK && resumed)
        code = resume(c, resumed, odd, err);
    for (unsigned i = 0; i < c->n && code == GP_OK; i++)
        code = start_worker(&c->workers[i], err);
    if (code == GP_OK)
        gp_flowtable_free(resumed);
    return code;
}

gp_code gp_capture_start(gp_capture **out, const char *iface, const gp_capconfig *cfg, gp_flowtable *resumed,
                         gp_log *log, gp_error *err)
{
    if (strlen(iface) >= IFACE_NAME_MAX)
        return gp_fail(err, GP_ENOTFOUND, "no such interface: '%s' (names have at most %d characters)", iface,
                       IFACE_NAME_MAX - 1);
    gp_capture *c = new_capture(iface, cfg, log);
    if (!c)
        return gp_fail(err, GP_ENOMEM, "out of memory for a capture");
    gp_code code = start(c, cfg, resumed, err);
    if (code == GP_OK)
        *out = c;
    else
        gp_capture_free(c);
    return code;
}

void gp_capture_stop(gp_capture *c)
{
    for (unsigned i = 0; i < c->n; i++) {
        worker *w = &c->workers[i];
        if (w->joined)
            continue;
        (void)ask(w, REQUEST_STOP, &(exchange){0});
        pthread_join(w->thread, NULL);
        w->joined = true;
    }
}

static void free_worker(worker *w)
{
    gp_source_close(w->source);
    if (w->wake_fd >= 0)
        close(w->wake_fd);
    pthread_cond_destroy(&w->answered);
    pthread_mutex_destroy(&w->lock);
}

void gp_capture_free(gp_capture *c)
{
    if (!c)
        return;
    gp_capture_stop(c);
    for (unsigned i = 0; i < c->n; i++)
        free_worker(&c->workers[i]);
    gp_table_unref(c->current);
    gp_table_unref(c->previous);
    free(c);
}

static bool worker_failed(worker *w, gp_error *why)
{
    pthread_mutex_lock(&w->lock);
    bool failed = w->failed;
    if (failed && why)
        *why = w->failure;
    pthread_mutex_unlock(&w->lock);
    return failed;
}

bool gp_capture_failed(gp_capture *c, gp_error *why)
{
    for (unsigned i = 0; i < c->n; i++)
        if (worker_failed(&c->workers[i], why))
            return true;
    /* A ring stays with its interface under whatever name; but flows are filed under the old one. */
    if (if_nametoindex(c->iface) == c->index)
        return false;
    gp_fail(why, GP_ENOTFOUND, "interface '%s' was renamed or replaced", c->iface);
    return true;
}

/* ---- questions ----------------------------------------------------------------------------------------- */

static void add_stats(gp_capture_stats *to, const gp_capture_stats *s)
{
    to->received += s->received;
    to->processed += s->processed;
    to->dropped += s->dropped;
    for (unsigned i = 0; i < GP_PARSE_ERRORS; i++)
        to->parse_errors[i] += s->parse_errors[i];
    to->flows += s->flows;
    to->table_bytes += s->table_bytes;
    to->overflow_packets += s->overflow_packets;
    to->overflow_bytes += s->overflow_bytes;
    if (s->ring_fill_percent > to->ring_fill_percent)
        to->ring_fill_percent = s->ring_fill_percent;
    if (s->rotation_pause_ns > to->rotation_pause_ns)
        to->rotation_pause_ns = s->rotation_pause_ns;
}

/* What all rings say of their interval; the totals include it. */
static gp_capture_stats ask_all(gp_capture *c, request_kind kind, const exchange *question)
{
    gp_capture_stats sum = c->past;
    if (kind == REQUEST_ROTATE)
        sum.rotation_pause_ns = 0; /* of this rotation */
    for (unsigned i = 0; i < c->n; i++)
        add_stats(&sum, &ask(&c->workers[i], kind, question)->stats);
    sum.received_total += sum.received;
    sum.processed_total += sum.processed;
    sum.dropped_total += sum.dropped;
    return sum;
}

static void log_losses(const gp_capture *c, const gp_capture_stats *s)
{
    if (s->dropped)
        gp_log_warn(c->log, "packets dropped by the kernel: the ring was full", GP_F_STR("iface", c->iface),
                    GP_F_U64("packets", s->dropped), GP_F_U64("received", s->received));
    if (s->overflow_packets)
        gp_log_warn(c->log, "more flows than max_flows allows: the others count as one, protocol 255",
                    GP_F_STR("iface", c->iface), GP_F_U64("max_flows", c->max_flows),
                    GP_F_U64("packets", s->overflow_packets), GP_F_U64("bytes", s->overflow_bytes));
}

gp_code gp_capture_rotate(gp_capture *c, gp_table_ref **finished, gp_capture_stats *stats, gp_error *err)
{
    gp_table_ref *fresh = new_table(c, c->current->table, err);
    if (!fresh)
        return GP_ENOMEM; /* the interval goes on: nothing is lost */
    *stats = ask_all(c, REQUEST_ROTATE, &(exchange){.fresh = fresh->table});
    gp_table_unref(c->previous); /* nobody asks it any more */
    c->previous = c->current;
    atomic_fetch_add(&c->previous->refs, 1);
    *finished = c->previous;
    c->current = fresh;
    c->past = (gp_capture_stats){
        .started_sec = stats->started_sec,
        .started_nsec = stats->started_nsec,
        .received_total = stats->received_total,
        .processed_total = stats->processed_total,
        .dropped_total = stats->dropped_total,
        .rotation_pause_ns = stats->rotation_pause_ns,
    };
    log_losses(c, stats);
    return GP_OK;
}

gp_code gp_capture_status(gp_capture *c, gp_capture_stats *stats, gp_error *err)
{
    (void)err;
    *stats = ask_all(c, REQUEST_STATUS, &(exchange){0});
    return GP_OK;
}

typedef struct live_view {
    gp_flow *flows;
    size_t n, room;
} live_view;

static bool live_room(live_view *v)
{
    if (v->room - v->n >= LIVE_STEP)
        return true;
    size_t wanted = v->room + v->room / 2 + LIVE_STEP;
    gp_flow *grown = reallocarray(v->flows, wanted, sizeof *grown);
    if (!grown)
        return false;
    v->flows = grown;
    v->room = wanted;
    return true;
}

gp_code gp_capture_live(gp_capture *c, gp_flow **out, size_t *n, gp_error *err)
{
    live_view v = {0};
    for (gp_flowtable_walk w = {0}; w.stage < GP_WALK_END;) {
        if (!live_room(&v)) {
            free(v.flows);
            return gp_fail(err, GP_ENOMEM, "out of memory for the running flows of '%s'", c->iface);
        }
        const exchange step = {.walk = &w, .flows = v.flows + v.n, .max = LIVE_STEP};
        v.n += ask(&c->workers[w.lane], REQUEST_LIVE, &step)->n;
    }
    *out = v.flows;
    *n = v.n;
    return GP_OK;
}

gp_code gp_capture_take(gp_capture *c, gp_flowtable_walk *w, gp_session *out, size_t max, size_t *n,
                        gp_error *err)
{
    (void)err;
    *n = w->stage < GP_WALK_END
             ? ask(&c->workers[w->lane], REQUEST_TAKE, &(exchange){.walk = w, .sessions = out, .max = max})->n
             : 0;
    return GP_OK;
}

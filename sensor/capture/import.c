#include "sensor/capture/import.h"

#include "proto/query/args.h"
#include "sensor/capture/flowtable.h"
#include "sensor/capture/source.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { A_DAY = 86400 };

/* A packet that waits for the next one to confirm its time. */
typedef struct held_packet {
    bool set;
    gp_frame frame;
    uint8_t ip[GP_IP_SNAPLEN];
} held_packet;

typedef struct importer {
    const gp_import_job *job;
    gp_flowtable *current, *previous;
    int64_t block_end; /* of the running interval; 0: none yet */
    gp_capture_stats interval;
    held_packet held;
    bool guess_direction;   /* the file that is being read does not state it, and local networks are named */
    gp_import_stats *stats; /* of the file that is being read */
    gp_import_totals *totals;
    gp_code code;
    gp_error *err;
} importer;

/* ---- blocks -------------------------------------------------------------------------------------------- */

static void fail(importer *im, gp_code code)
{
    if (im->code == GP_OK)
        im->code = code;
}

/* The day has blocks of this time or later ones. */
static gp_code refuse_block(importer *im)
{
    const gp_block_store *store = &im->job->store;
    bool held = false;
    gp_code code = GP_OK;
    if (store->holds)
        code = store->holds(store->ctx, im->job->iface, im->block_end, &held, im->err);
    gp_import_refused *r = held ? &im->totals->held : &im->totals->early;
    if (r->blocks++ == 0)
        r->first = im->block_end;
    r->last = im->block_end;
    r->packets += im->interval.received;
    return code;
}

static gp_code store_block(importer *im, gp_flow *flows, size_t n)
{
    const gp_block_store *store = &im->job->store;
    gp_error why = GP_ERROR_INIT;
    gp_code code = store->write(store->ctx, im->job->iface, im->block_end, flows, n, &im->interval, &why);
    if (code == GP_EEXIST)
        return refuse_block(im);
    if (code != GP_OK) {
        if (im->err)
            *im->err = why;
        return code;
    }
    im->totals->blocks++;
    im->totals->flows += n;
    im->totals->last = im->block_end;
    return GP_OK;
}

static void write_interval(importer *im)
{
    gp_flow *flows = NULL;
    size_t n = 0;
    gp_code code = gp_flowtable_export(im->current, &flows, &n, im->err);
    if (code == GP_OK)
        n = gp_flows_merge(flows, n);
    if (code == GP_OK && n)
        code = store_block(im, flows, n);
    free(flows);
    fail(im, code);
}

static void rotate(importer *im)
{
    gp_flowtable *fresh = NULL;
    write_interval(im);
    gp_code code = gp_flowtable_new(&fresh, im->current, 0, im->err);
    if (code != GP_OK) {
        fail(im, code);
        return;
    }
    gp_flowtable_free(im->previous);
    im->previous = im->current;
    im->current = fresh;
    im->interval = (gp_capture_stats){0};
}

/* An interval ends on the grid, and belongs to the packets before that instant. */
static int64_t end_of_interval(int64_t ts)
{
    return (ts / GP_DB_WRITE_INTERVAL + 1) * GP_DB_WRITE_INTERVAL;
}

static void move_to(importer *im, int64_t ts)
{
    int64_t end = end_of_interval(ts);
    if (im->block_end)
        rotate(im);
    /* After a silent interval nobody remembers the directions of the flows before it. */
    if (end > im->block_end + GP_DB_WRITE_INTERVAL) {
        gp_flowtable_free(im->previous);
        im->previous = NULL;
    }
    im->block_end = end;
}

/* ---- packets ------------------------------------------------------------------------------------------- */

static bool in_net(const gp_import_net *net, const uint8_t *addr)
{
    unsigned whole = net->bits / 8;
    unsigned rest = net->bits % 8;
    return memcmp(net->addr.bytes, addr, whole) == 0 &&
           (rest == 0 || (net->addr.bytes[whole] ^ addr[whole]) >> (8 - rest) == 0);
}

static bool is_local(const gp_import_job *job, const gp_packet *p)
{
    size_t len = p->v6 ? 16 : 4;
    for (size_t i = 0; i < job->n_local; i++)
        if (job->local[i].addr.len == len && in_net(&job->local[i], p->sip))
            return true;
    return false;
}

/* All of one interval. */
static void count_batch(importer *im, const gp_frame *frames, size_t n)
{
    gp_counted counted[GP_FRAME_BATCH];
    uint64_t errors[GP_PARSE_ERRORS] = {0};
    size_t good = gp_packets_parse(frames, n, counted, errors);
    for (size_t i = 0; i < good && im->guess_direction; i++)
        counted[i].outgoing = is_local(im->job, &counted[i].packet);
    gp_flowtable_add(im->current, 0, im->previous, counted, good);
    for (size_t i = 0; i < n; i++)
        im->stats->bytes += frames[i].len;
    for (size_t i = 0; i < GP_PARSE_ERRORS; i++) {
        im->interval.parse_errors[i] += errors[i];
        im->stats->parse_errors[i] += errors[i];
    }
    im->stats->packets += n;
    im->interval.received += n;
    im->interval.processed += n - errors[GP_PARSE_FRAGMENT];
}

/* ---- clocks -------------------------------------------------------------------------------------------- */

/* The block, too, must have a time that 32 bits hold: what is beyond no clock has shown. */
static bool is_possible(int64_t ts)
{
    return ts >= 0 && ts <= UINT32_MAX - GP_DB_WRITE_INTERVAL;
}

static void leave_out(gp_import_left *left, int64_t ts)
{
    if (left->packets++ == 0)
        left->first = left->last = ts;
    if (ts < left->first)
        left->first = ts;
    if (ts > left->last)
        left->last = ts;
}

static void hold(importer *im, const gp_frame *f)
{
    held_packet *h = &im->held;
    h->set = true;
    h->frame = *f;
    if (f->cap > sizeof h->ip)
        h->frame.cap = sizeof h->ip;
    if (f->ip) {
        memcpy(h->ip, f->ip, h->frame.cap);
        h->frame.ip = h->ip;
    }
}

/* The time of the next packet tells whether the one that is held was right; -1: there is none. */
static bool is_confirmed(const importer *im, int64_t next)
{
    int64_t ts = im->held.frame.ts;
    if (next < 0)
        return ts < im->block_end + A_DAY;
    return is_possible(next) && next >= ts - GP_DB_WRITE_INTERVAL;
}

static void settle_held(importer *im, int64_t next)
{
    held_packet *h = &im->held;
    if (!h->set)
        return;
    h->set = false;
    if (!is_confirmed(im, next)) {
        leave_out(&im->stats->wrong, h->frame.ts);
        return;
    }
    move_to(im, h->frame.ts);
    count_batch(im, &h->frame, 1);
}

static bool is_open(const importer *im, int64_t ts)
{
    return ts < im->block_end && ts >= im->block_end - GP_DB_WRITE_INTERVAL;
}

/* Makes the interval of a packet the running one; false if it is not to be counted, or not yet. */
static bool enter_interval(importer *im, const gp_frame *f)
{
    settle_held(im, f->ts);
    if (!is_possible(f->ts)) {
        leave_out(&im->stats->wrong, f->ts);
        return false;
    }
    if (im->block_end == 0 || is_open(im, f->ts)) {
        if (im->block_end == 0)
            move_to(im, f->ts);
        return true;
    }
    if (f->ts < im->block_end - INT64_C(2) * GP_DB_WRITE_INTERVAL) {
        leave_out(&im->stats->old, f->ts);
        return false;
    }
    if (f->ts < im->block_end) {
        im->stats->out_of_order++;
        return true;
    }
    if (f->ts >= im->block_end + GP_DB_WRITE_INTERVAL) {
        hold(im, f);
        return false;
    }
    move_to(im, f->ts);
    return true;
}

/* A batch may reach over the end of an interval. */
static void count_frames(void *ctx, const gp_frame *frames, size_t n)
{
    importer *im = ctx;
    for (size_t at = 0; at < n && im->code == GP_OK;) {
        size_t same = 1;
        if (enter_interval(im, &frames[at])) {
            while (at + same < n && is_open(im, frames[at + same].ts))
                same++;
            count_batch(im, frames + at, same);
        }
        at += same;
    }
}

/* ---- files --------------------------------------------------------------------------------------------- */

/* One that was looked into. */
typedef struct capture_file {
    const char *path;
    gp_source *source; /* open, where it cannot be opened again */
    bool again;        /* it can */
    dev_t dev;
    ino_t ino;
    int64_t start; /* of its packets; -1: none has a possible time */
    size_t given;  /* its place in the order that they were given in */
} capture_file;

static int compare_times(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Where the packets of a file begin: with the first, unless its clock was ahead of that of the others. */
static int64_t start_of(const gp_frame *frames, size_t n)
{
    int64_t times[GP_FRAME_BATCH];
    int64_t sorted[GP_FRAME_BATCH];
    size_t possible = 0;
    for (size_t i = 0; i < n; i++)
        if (is_possible(frames[i].ts))
            times[possible++] = frames[i].ts;
    if (possible == 0)
        return -1;
    memcpy(sorted, times, possible * sizeof *times);
    qsort(sorted, possible, sizeof *sorted, compare_times);
    int64_t median = sorted[(possible - 1) / 2];
    size_t first = 0;
    while (first + 1 < possible && times[first] > median + GP_DB_WRITE_INTERVAL)
        first++;
    return times[first];
}

static gp_code look_into(capture_file *f, gp_error *err)
{
    gp_source_preview preview;
    struct stat st;
    f->again = strcmp(f->path, "-") != 0 && stat(f->path, &st) == 0 && S_ISREG(st.st_mode);
    if (f->again) {
        f->dev = st.st_dev;
        f->ino = st.st_ino;
    }
    gp_code code = gp_source_open_file(&f->source, f->path, err);
    if (code == GP_OK)
        code = gp_source_peek(f->source, &preview, err);
    if (code == GP_OK)
        f->start = start_of(preview.frames, preview.n);
    if (code != GP_OK || f->again) { /* buffers are large, and files may be many */
        gp_source_close(f->source);
        f->source = NULL;
    }
    return code;
}

static const capture_file *find_same(const capture_file *files, size_t n, const capture_file *f)
{
    for (size_t i = 0; f->again && i < n; i++)
        if (files[i].again && files[i].dev == f->dev && files[i].ino == f->ino)
            return &files[i];
    return NULL;
}

static void file_done(importer *im, const char *path, const gp_import_stats *stats, const gp_error *problem)
{
    im->totals->problems += problem != NULL;
    if (im->job->file_done)
        im->job->file_done(im->job->ctx, path, stats, problem);
}

/* Those that can be read; returns how many. */
static size_t look_into_all(importer *im, capture_file *files)
{
    static const gp_import_stats nothing;
    size_t n = 0;
    for (size_t i = 0; i < im->job->n_files; i++) {
        capture_file *f = &files[n];
        gp_error problem = GP_ERROR_INIT;
        *f = (capture_file){.path = im->job->files[i], .given = i};
        gp_code code = look_into(f, &problem);
        const capture_file *same = code == GP_OK ? find_same(files, n, f) : NULL;
        if (same)
            code = gp_fail(&problem, GP_EEXIST, "'%s' is the same file as '%s': it is read once", f->path,
                           same->path);
        if (code == GP_OK)
            n++;
        else
            file_done(im, f->path, &nothing, &problem);
    }
    return n;
}

static int compare_files(const void *a, const void *b)
{
    const capture_file *x = a;
    const capture_file *y = b;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return (x->given > y->given) - (x->given < y->given);
}

static bool stopped(const importer *im)
{
    return im->job->stop && im->job->stop(im->job->ctx);
}

static gp_code read_packets(importer *im, capture_file *f, gp_error *problem)
{
    gp_source_preview preview;
    bool end = false;
    gp_code code = f->source ? GP_OK : gp_source_open_file(&f->source, f->path, problem);
    if (code == GP_OK)
        code = gp_source_peek(f->source, &preview, problem);
    if (code == GP_OK)
        im->guess_direction = im->job->n_local && !preview.directed;
    while (!end && code == GP_OK && im->code == GP_OK) {
        code = gp_source_read(f->source, -1, -1, count_frames, im, &end, problem);
        if (!end && stopped(im))
            fail(im, GP_ECANCELED);
    }
    return code;
}

/* next: where the packets go on behind this file; -1: nowhere. */
static void read_file(importer *im, capture_file *f, int64_t next)
{
    gp_import_stats stats = {0};
    gp_error problem = GP_ERROR_INIT;
    im->stats = &stats;
    if (im->block_end == 0 && f->start >= 0)
        move_to(im, f->start);
    gp_code code = read_packets(im, f, &problem);
    if (im->code == GP_OK)
        settle_held(im, next);
    gp_source_close(f->source);
    f->source = NULL;
    im->stats = NULL;
    file_done(im, f->path, &stats, code == GP_OK ? NULL : &problem);
}

static void read_all(importer *im, capture_file *files, size_t n)
{
    bool again = true;
    for (size_t i = 0; i < n && im->code == GP_OK; i++) {
        read_file(im, &files[i], i + 1 < n ? files[i + 1].start : -1);
        again = files[i].again;
    }
    bool canceled = im->code == GP_ECANCELED;
    if (canceled)
        im->code = GP_OK;
    if (im->code == GP_OK && im->block_end && !(canceled && again))
        write_interval(im);
    if (canceled && im->code == GP_OK)
        im->code = gp_fail(im->err, GP_ECANCELED, "interrupted%s",
                           again ? ": the same command goes on from there" : "");
}

gp_code gp_capture_import(const gp_import_job *job, gp_import_totals *totals, gp_error *err)
{
    importer im = {.job = job, .totals = totals, .err = err};
    *totals = (gp_import_totals){0};
    capture_file *files = calloc(job->n_files + 1, sizeof *files);
    if (!files)
        return gp_fail(err, GP_ENOMEM, "out of memory for %zu capture files", job->n_files);
    fail(&im, gp_flowtable_new(&im.current, NULL, 0, err));
    if (im.code == GP_OK) {
        size_t n = look_into_all(&im, files);
        qsort(files, n, sizeof *files, compare_files);
        read_all(&im, files, n);
        for (size_t i = 0; i < n; i++)
            gp_source_close(files[i].source);
    }
    free(files);
    gp_flowtable_free(im.current);
    gp_flowtable_free(im.previous);
    return im.code;
}

/* ---- networks ------------------------------------------------------------------------------------------ */

static bool parse_net(const char *text, size_t len, gp_import_net *out)
{
    const char *slash = memchr(text, '/', len);
    size_t addr_len = slash ? (size_t)(slash - text) : len;
    if (!gp_addr_parse(text, addr_len, &out->addr))
        return false;
    unsigned most = out->addr.len * 8U;
    out->bits = most;
    if (!slash)
        return true;
    size_t digits = len - addr_len - 1;
    if (digits == 0 || digits > 3 || strspn(slash + 1, "0123456789") < digits)
        return false;
    out->bits = (unsigned)strtoul(slash + 1, NULL, 10);
    return out->bits <= most;
}

gp_code gp_import_nets_parse(const char *text, gp_import_net **out, size_t *n, gp_error *err)
{
    size_t room = 1;
    for (const char *c = text; *c; c++)
        room += *c == ',';
    *n = 0;
    *out = calloc(room, sizeof **out);
    if (!*out)
        return gp_fail(err, GP_ENOMEM, "out of memory for local addresses");
    for (const char *at = text; *n < room; at += strcspn(at, ",") + 1) {
        size_t len = strcspn(at, ",");
        if (!parse_net(at, len, &(*out)[(*n)++])) {
            gp_code code = gp_fail(err, GP_EINVAL,
                                   "--local: '%.*s' is neither an address nor a network (10.0.0.1,fd00::/8)",
                                   (int)(len < 64 ? len : 64), at);
            free(*out);
            *out = NULL;
            *n = 0;
            return code;
        }
    }
    return GP_OK;
}

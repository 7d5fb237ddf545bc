#include "sensor/capture/import.h"

#include "proto/query/args.h"
#include "sensor/capture/flowtable.h"
#include "sensor/capture/source.h"

#include <stdlib.h>
#include <string.h>

typedef struct importer {
    const gp_import_options *opt;
    gp_writeout_fn writeout;
    void *ctx;
    gp_flowtable *current, *previous;
    int64_t block_end; /* of the open interval; 0: none yet */
    gp_capture_stats interval;
    gp_import_stats *stats;
    gp_code code;
    gp_error *err;
} importer;

static void fail(importer *im, gp_code code)
{
    if (im->code == GP_OK)
        im->code = code;
}

static void write_interval(importer *im)
{
    gp_flow *flows = NULL;
    size_t n = 0;
    gp_code code = gp_flowtable_export(im->current, &flows, &n, im->err);
    if (code == GP_OK)
        n = gp_flows_merge(flows, n);
    if (code == GP_OK && n)
        code = im->writeout(im->ctx, im->opt->iface, im->block_end, flows, n, &im->interval, im->err);
    if (code == GP_OK && n) {
        im->stats->blocks++;
        im->stats->flows += n;
    }
    free(flows);
    if (code != GP_OK)
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

static bool is_open(const importer *im, int64_t ts)
{
    return ts < im->block_end && ts >= im->block_end - GP_DB_WRITE_INTERVAL;
}

static void enter_interval(importer *im, int64_t ts)
{
    /* What no clock can have shown counts where we are. */
    bool absurd = ts < 0 || ts > UINT32_MAX;
    if (absurd && im->block_end) {
        im->stats->out_of_order++;
        return;
    }
    int64_t end = end_of_interval(absurd ? 0 : ts);
    if (end == im->block_end)
        return;
    if (end < im->block_end) {
        im->stats->out_of_order++;
        return;
    }
    if (im->block_end) {
        rotate(im);
        /* After a silent interval nobody remembers the directions of the flows before it. */
        if (end > im->block_end + GP_DB_WRITE_INTERVAL) {
            gp_flowtable_free(im->previous);
            im->previous = NULL;
        }
    }
    im->block_end = end;
}

static bool is_local(const importer *im, const gp_packet *p)
{
    size_t len = p->v6 ? 16 : 4;
    for (size_t i = 0; i < im->opt->n_local; i++)
        if (im->opt->local[i].len == len && memcmp(im->opt->local[i].bytes, p->sip, len) == 0)
            return true;
    return false;
}

/* All of one interval. */
static void count_batch(importer *im, const gp_frame *frames, size_t n)
{
    gp_counted counted[GP_FRAME_BATCH];
    uint64_t errors[GP_PARSE_ERRORS] = {0};
    size_t good = gp_packets_parse(frames, n, counted, errors);
    for (size_t i = 0; i < good && im->opt->n_local; i++)
        counted[i].outgoing = is_local(im, &counted[i].packet);
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
    if (!im->stats->first)
        im->stats->first = frames[0].ts;
    im->stats->last = frames[n - 1].ts;
}

/* A batch may reach over the end of an interval. */
static void count_frames(void *ctx, const gp_frame *frames, size_t n)
{
    importer *im = ctx;
    for (size_t at = 0; at < n && im->code == GP_OK;) {
        size_t same = 1;
        enter_interval(im, frames[at].ts);
        while (at + same < n && is_open(im, frames[at + same].ts))
            same++;
        count_batch(im, frames + at, same);
        at += same;
    }
}

static gp_code read_source(importer *im, gp_source *source, gp_error *err)
{
    bool end = false;
    gp_code code = GP_OK;
    while (!end && code == GP_OK && im->code == GP_OK)
        code = gp_source_read(source, -1, -1, count_frames, im, &end, err);
    return im->code != GP_OK ? im->code : code;
}

gp_code gp_capture_import(const char *path, const gp_import_options *opt, gp_writeout_fn writeout, void *ctx,
                          gp_import_stats *stats, gp_error *err)
{
    importer im = {.opt = opt, .writeout = writeout, .ctx = ctx, .stats = stats, .err = err};
    gp_source *source = NULL;
    *stats = (gp_import_stats){0};
    gp_code code = gp_source_open_file(&source, path, err);
    if (code == GP_OK)
        code = gp_flowtable_new(&im.current, NULL, 0, err);
    if (code == GP_OK) {
        code = read_source(&im, source, err);
        /* What came before a damaged end is whole. */
        if (im.code == GP_OK && im.block_end) {
            gp_error lost = GP_ERROR_INIT;
            im.err = code == GP_OK ? err : &lost;
            write_interval(&im);
            code = code == GP_OK ? im.code : code;
        }
    }
    gp_flowtable_free(im.current);
    gp_flowtable_free(im.previous);
    gp_source_close(source);
    return code;
}

#include "sensor/importer.h"
#include "proto/query/ifsel.h"
#include "sensor/capture/import.h"
#include "sensor/dbsink/dbsink.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TIME_LEN = 32 };

static const char *format_time(int64_t ts, char dst[static TIME_LEN])
{
    const time_t t = (time_t)ts;
    struct tm utc;
    if (!gmtime_r(&t, &utc) || strftime(dst, TIME_LEN, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
        snprintf(dst, TIME_LEN, "%" PRId64, ts);
    return dst;
}

/* "A", or "A to B" */
static const char *format_span(int64_t first, int64_t last, char dst[static 2 * TIME_LEN + 4])
{
    char a[TIME_LEN];
    char b[TIME_LEN];
    snprintf(dst, 2 * TIME_LEN + 4, first == last ? "%s" : "%s to %s", format_time(first, a),
             format_time(last, b));
    return dst;
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

static void tell_left_out(const char *path, const gp_import_left *left, const char *why)
{
    char span[2 * TIME_LEN + 4];
    if (left->packets)
        (void)fprintf(stderr, "goprobe: %s: %" PRIu64 " packet%s left out (%s): %s\n", path, left->packets,
                      plural(left->packets), format_span(left->first, left->last, span), why);
}

static void file_done(void *ctx, const char *path, const gp_import_stats *st, const gp_error *problem)
{
    *(bool *)ctx &= !problem && !st->old.packets && !st->wrong.packets;
    if (problem)
        (void)fprintf(stderr, "goprobe: %s%s\n", problem->msg,
                      st->packets ? "; what is before that was read" : "");
    if (problem && !st->packets)
        return;
    printf("%s: %" PRIu64 " packets, %" PRIu64 " bytes", path, st->packets, st->bytes);
    uint64_t lost = st->parse_errors[GP_PARSE_FRAGMENT] + st->parse_errors[GP_PARSE_INVALID_IP] +
                    st->parse_errors[GP_PARSE_TRUNCATED];
    if (lost)
        printf(", %" PRIu64 " packets without flow", lost);
    if (st->out_of_order)
        printf(", %" PRIu64 " packets out of order", st->out_of_order);
    putchar('\n');
    tell_left_out(path, &st->old,
                  "more than five minutes older than those before; sort the file with reordercap, or files "
                  "that overlap with mergecap");
    tell_left_out(path, &st->wrong,
                  "the clock was ahead of that of the packets behind, or shows no possible time");
}

static void tell_refused(const char *iface, const gp_import_refused *r, const char *why)
{
    char span[2 * TIME_LEN + 4];
    if (r->blocks)
        (void)fprintf(stderr, "goprobe: %s: %" PRIu64 " block%s not stored (%s; %" PRIu64 " packet%s): %s\n",
                      iface, r->blocks, plural(r->blocks), format_span(r->first, r->last, span), r->packets,
                      plural(r->packets), why);
}

static void tell_totals(const char *iface, const gp_import_totals *t)
{
    char last[TIME_LEN];
    printf("%s: %" PRIu64 " flows in %" PRIu64 " block%s", iface, t->flows, t->blocks, plural(t->blocks));
    if (t->blocks)
        printf(", the last of %s", format_time(t->last, last));
    putchar('\n');
    (void)fflush(stdout);
    tell_refused(iface, &t->held, "the database holds these intervals already, and nothing is stored twice");
    tell_refused(iface, &t->early,
                 "the database holds later blocks of the same day, and days only grow at their end; import "
                 "into a database of its own, and add that with gpdb merge");
}

static void block_interrupts(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
}

static bool interrupted(void *ctx)
{
    sigset_t set;
    (void)ctx;
    return sigpending(&set) == 0 && (sigismember(&set, SIGINT) || sigismember(&set, SIGTERM));
}

static gp_code import_into(gp_dbsink *sink, const gp_cmdline *c, bool *complete, gp_error *err)
{
    gp_import_totals totals = {0};
    gp_import_net *local = NULL;
    gp_import_job job = {.iface = c->iface,
                         .files = (const char *const *)c->files,
                         .n_files = c->n_files,
                         .store = {.write = gp_dbsink_write, .holds = gp_dbsink_holds, .ctx = sink},
                         .file_done = file_done,
                         .stop = interrupted,
                         .ctx = complete};
    gp_code rc = c->local ? gp_import_nets_parse(c->local, &local, &job.n_local, err) : GP_OK;
    if (rc != GP_OK)
        return rc;
    job.local = local;
    block_interrupts();
    rc = gp_capture_import(&job, &totals, err);
    tell_totals(c->iface, &totals);
    *complete &= !totals.held.blocks && !totals.early.blocks;
    free(local);
    return rc;
}

gp_code gp_import_files(const gp_cmdline *c, bool *complete, gp_error *err)
{
    gp_codec_type codec = GP_CODEC_LZ4;
    gp_dbsink *sink = NULL;
    *complete = true;
    if (!gp_iface_name_valid(c->iface) || *c->iface == '!')
        return gp_fail(err, GP_EINVAL, "'%s' cannot be the name of an interface", c->iface);
    gp_code rc = c->codec ? gp_codec_parse(c->codec, &codec, err) : GP_OK;
    if (rc == GP_OK)
        rc = gp_dbsink_check_db(c->db, err);
    if (rc == GP_OK) {
        const gp_dbsink_config cfg = {.db = c->db, .codec = codec};
        rc = gp_dbsink_new(&sink, &cfg, err);
    }
    if (rc == GP_OK)
        rc = import_into(sink, c, complete, err);
    gp_dbsink_free(sink);
    return rc;
}

/*
 * gp-bench-journal [FLOWS]: what the journal costs, for a table of that many IPv4 flows (10^6).
 *
 * The steps of a walk are what the packet path waits for, one at a time; everything else is the journal
 * thread's.
 */
#include "sensor/capture/journalfile.h"
#include "tests/support/tempdir.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "gp-bench-journal: %s failed\n", what);
    exit(EXIT_FAILURE);
}

/* One packet of every nth flow. */
static void touch(gp_flowtable *t, uint32_t flows, uint32_t nth)
{
    enum { BATCH = 64 };
    uint8_t addresses[BATCH][8];
    gp_counted batch[BATCH];
    size_t n = 0;
    for (uint32_t i = 0; i < flows; i += nth) {
        memcpy(addresses[n], "\x0a\x00\x00\x01", 4);
        memcpy(addresses[n] + 4, &i, sizeof i);
        batch[n] = (gp_counted){
            .packet =
                {.sip = addresses[n], .dip = addresses[n] + 4, .sport = 50000, .dport = 443, .proto = 6},
            .len = 64 + i % 1400,
            .outgoing = i & 1,
        };
        if (++n < BATCH && i + nth < flows)
            continue;
        gp_flowtable_add(t, 0, NULL, batch, n);
        n = 0;
    }
}

typedef struct cost {
    double total, worst; /* ns; of all steps, of one */
    double append;
    uint64_t sessions, bytes;
} cost;

static cost write_changes(gp_flowtable *t, gp_journalfile *f, bool all)
{
    static gp_session sessions[GP_JOURNAL_BATCH_MAX];
    const gp_journal_batch batch = {.block_ts = 1700000100};
    gp_flowtable_walk w = {.all = all};
    cost c = {.bytes = gp_journalfile_size(f)};
    while (w.stage < GP_WALK_END) {
        double start = now();
        size_t n = gp_flowtable_take(t, &w, sessions, GP_JOURNAL_BATCH_MAX);
        double taken = now();
        c.total += taken - start;
        c.worst = taken - start > c.worst ? taken - start : c.worst;
        c.sessions += n;
        if (n)
            must(gp_journalfile_append(f, &batch, sessions, n, NULL) == GP_OK, "append");
        c.append += now() - taken;
    }
    c.bytes = gp_journalfile_size(f) - c.bytes;
    return c;
}

static void report(const char *what, uint32_t flows, cost c, double sync)
{
    double n = c.sessions ? (double)c.sessions : 1;
    printf("%-22s %9llu  %8.2f %8.2f %8.1f  %8.1f %8.1f %8.1f\n", what, (unsigned long long)c.sessions,
           c.total / 1e6, c.worst / 1e3, c.sessions ? c.total / n : c.total / flows,
           c.sessions ? c.append / n : 0, c.sessions ? (double)c.bytes / n : 0, sync / 1e6);
}

static double sync_file(gp_journalfile *f)
{
    double start = now();
    must(gp_journalfile_sync(f, NULL) == GP_OK, "sync");
    return now() - start;
}

static void restore(void *ctx, uint16_t lane, const gp_session *s)
{
    (void)lane;
    must(gp_flowtable_put(ctx, s, false), "restoring");
}

static void find_file(const char *dir, char *path, size_t size)
{
    DIR *d = opendir(dir);
    must(d != NULL, "opening the folder");
    for (struct dirent *e; (e = readdir(d));)
        if (strncmp(e->d_name, GP_JOURNAL_PREFIX, strlen(GP_JOURNAL_PREFIX)) == 0)
            snprintf(path, size, "%s/%s", dir, e->d_name);
    closedir(d);
}

static void replay(const char *dir)
{
    char path[GP_TEMPDIR_LEN + 260] = "";
    gp_flowtable *t = NULL;
    gp_journal_content c;
    find_file(dir, path, sizeof path);
    must(gp_flowtable_new(&t, NULL, 0, NULL) == GP_OK, "making a table");
    double start = now();
    must(gp_journal_read(path, restore, t, &c, NULL) == GP_OK, "replay");
    double elapsed = now() - start;
    printf("replay: %llu sessions of %llu bytes in %.1f ms, %.1f ns each, %zu flows\n",
           (unsigned long long)c.sessions, (unsigned long long)c.good, elapsed / 1e6,
           elapsed / (double)c.sessions, gp_flowtable_flows(t));
    gp_flowtable_free(t);
}

int main(int argc, char **argv)
{
    uint32_t flows = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000000;
    char dir[GP_TEMPDIR_LEN];
    gp_flowtable *t = NULL;
    gp_journalfile *f = NULL;
    must(flows > 0, "a number of flows is needed: this");
    gp_tempdir_make(dir);
    must(gp_flowtable_new(&t, NULL, 0, NULL) == GP_OK, "making a table");
    must(gp_journalfile_create(&f, dir, "eth0", NULL) == GP_OK, "making a journal");
    printf(
        "%u IPv4 flows               walk: all steps, one step, a flow | journal: a session, its size, sync\n"
        "%-22s %9s  %8s %8s %8s  %8s %8s %8s\n",
        flows, "changed", "sessions", "ms", "max us", "ns", "ns", "bytes", "ms");
    static const struct {
        const char *what;
        uint32_t nth;
    } rounds[] = {
        {"all, for the first time", 1}, {"none", UINT32_MAX}, {"1 of 100", 100}, {"1 of 10", 10}, {"all", 1}};
    for (size_t i = 0; i < sizeof rounds / sizeof rounds[0]; i++) {
        if (rounds[i].nth != UINT32_MAX)
            touch(t, flows, rounds[i].nth);
        cost c = write_changes(t, f, i == 0);
        report(rounds[i].what, flows, c, sync_file(f));
    }
    must(gp_journalfile_publish(f, NULL, false, NULL) == GP_OK, "publishing");
    replay(dir);
    gp_journalfile_close(f);
    gp_flowtable_free(t);
    gp_tempdir_remove(dir);
    return EXIT_SUCCESS;
}

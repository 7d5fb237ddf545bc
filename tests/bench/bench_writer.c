/*
 * gp-bench-writer [BLOCKS [FLOWS [DIR]]]: sorts, encodes, compresses and writes BLOCKS blocks of FLOWS flows
 * with each encoder and prints flows per second, of wall and of processor time, and bytes. The flows are made
 * and shuffled before the clock starts, and nothing is synced: it measures the writer, not the disk. The
 * databases, DIR/0, DIR/1 and so on, one a row, stay, so that another program can write the same flows;
 * without DIR they are temporary.
 */
#include "tests/support/gendb.h"
#include "tests/support/tempdir.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

typedef struct run {
    gp_codec_type codec;
    int level;
    bool batch;
} run;

typedef struct clocks {
    double wall, cpu;
} clocks;

typedef struct input {
    gp_flow **blocks;
    size_t *n;
    unsigned n_blocks;
    uint64_t flows;
} input;

static double read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static clocks now(void)
{
    return (clocks){read_clock(CLOCK_MONOTONIC), read_clock(CLOCK_PROCESS_CPUTIME_ID)};
}

/* A flow table has no order. */
static void shuffle(gp_flow *flows, size_t n)
{
    uint64_t s = 1;
    for (size_t i = n; i > 1; i--) {
        s = s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        size_t j = (size_t)((s >> 33) % i);
        gp_flow t = flows[i - 1];
        flows[i - 1] = flows[j];
        flows[j] = t;
    }
}

static bool make_input(input *in, unsigned n_blocks, size_t flows)
{
    in->blocks = calloc(n_blocks, sizeof(gp_flow *));
    in->n = calloc(n_blocks, sizeof *in->n);
    for (unsigned b = 0; in->blocks && in->n && b < n_blocks; b++) {
        in->blocks[b] = calloc(flows + 1, sizeof(gp_flow));
        if (!in->blocks[b])
            return false;
        in->n[b] = gp_gendb_block(1, (int64_t)b * 300, in->blocks[b], flows);
        in->flows += in->n[b];
    }
    in->n_blocks = n_blocks;
    return in->blocks && in->n;
}

static gp_code write_all(const input *in, const run *r, const char *db, gp_block_stats *sum, gp_error *err)
{
    enum { FIRST_DAY = 1704067200, STEP = 300 };
    const gp_writer_config cfg = {
        .db = db, .iface = "eth0", .codec = r->codec, .level = r->level, .no_sync = true, .batch = r->batch};
    gp_writer *w = NULL;
    gp_code code = gp_writer_new(&w, &cfg, err);
    for (unsigned b = 0; b < in->n_blocks && code == GP_OK; b++) {
        gp_block_stats s = {0};
        code = gp_writer_write(w, FIRST_DAY + (int64_t)b * STEP, in->blocks[b], in->n[b], 0, &s, err);
        sum->raw_bytes += s.raw_bytes;
        sum->stored_bytes += s.stored_bytes;
    }
    if (code == GP_OK)
        code = gp_writer_flush(w, err);
    gp_writer_free(w);
    return code;
}

static void print_row(const input *in, const run *r, const clocks *took, const gp_block_stats *sum)
{
    double n = (double)in->flows;
    printf("%-8s %5d %-6s %12.0f %12.0f %14llu %14llu %6.2f\n", gp_codec_name(r->codec), r->level,
           r->batch ? "batch" : "", n / took->wall, n / took->cpu, (unsigned long long)sum->raw_bytes,
           (unsigned long long)sum->stored_bytes, (double)sum->raw_bytes / (double)sum->stored_bytes);
    fflush(stdout);
}

static bool measure(const input *in, const run *r, const char *db, bool warm_up)
{
    gp_block_stats sum = {0};
    gp_error err = GP_ERROR_INIT;
    for (unsigned b = 0; b < in->n_blocks; b++)
        shuffle(in->blocks[b], in->n[b]);
    clocks start = now();
    gp_code code = write_all(in, r, db, &sum, &err);
    clocks end = now();
    if (code != GP_OK) {
        fprintf(stderr, "gp-bench-writer: %s\n", err.msg);
        return false;
    }
    const clocks took = {end.wall - start.wall, end.cpu - start.cpu};
    if (!warm_up)
        print_row(in, r, &took, &sum);
    return true;
}

int main(int argc, char **argv)
{
    static const run runs[] = {{GP_CODEC_LZ4, 0, false}, {GP_CODEC_LZ4, 0, true},   {GP_CODEC_LZ4, 3, true},
                               {GP_CODEC_LZ4, 9, true},  {GP_CODEC_ZSTD, 0, false}, {GP_CODEC_ZSTD, 0, true},
                               {GP_CODEC_ZSTD, 1, true}, {GP_CODEC_NULL, 0, true}};
    input in = {0};
    unsigned blocks = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 288;
    size_t flows = argc > 2 ? strtoul(argv[2], NULL, 10) : 2000;
    if (!make_input(&in, blocks, flows))
        return 1;
    printf("%u blocks, %llu flows\n%-8s %5s %-6s %12s %12s %14s %14s %6s\n", blocks,
           (unsigned long long)in.flows, "encoder", "level", "commit", "flows/s", "flows/cpu-s", "raw bytes",
           "stored bytes", "ratio");
    char temp[GP_TEMPDIR_LEN];
    char db[GP_TEMPDIR_LEN + 4096];
    gp_tempdir_make(temp);
    bool ok = measure(&in, &runs[0], temp, true);
    for (size_t i = 0; ok && i < sizeof runs / sizeof runs[0]; i++) {
        snprintf(db, sizeof db, "%.4000s/%zu", argc > 3 ? argv[3] : temp, i);
        ok = measure(&in, &runs[i], db, false);
    }
    gp_tempdir_remove(temp);
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    printf("level 0: the default; batch: one commit a day. Peak memory %ld kB, of which %llu kB are the "
           "flows themselves\n",
           use.ru_maxrss, (unsigned long long)(in.flows * sizeof(gp_flow) / 1024));
    for (unsigned b = 0; b < in.n_blocks; b++)
        free(in.blocks[b]);
    free((void *)in.blocks);
    free(in.n);
    return ok ? 0 : 1;
}

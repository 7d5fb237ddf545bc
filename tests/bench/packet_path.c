/*
 * gp-bench-packets STAGE FLOWS PACKETS: nanoseconds of one stage of the packet path for each packet, measured
 * alone. STAGE is parse, classify or table (every flow is known), new (every packet begins a flow), or all:
 * what a capture does with a batch of frames.
 *
 * The packets lie in 4 MiB of memory as in a ring of the default size. run_stage is all that is timed; the
 * instructions of each stage are those of
 *     valgrind --tool=callgrind --toggle-collect=run_stage gp-bench-packets ...
 */
#include "sensor/capture/flowtable.h"
#include "tests/bench/traffic.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RING = 65536, BATCH = 64, MAX_FLOWS = 1 << 24 };

typedef enum stage { PARSE, CLASSIFY, TABLE, NEW, ALL, STAGES } stage;
static const char *const stage_names[STAGES] = {"parse", "classify", "table", "new", "all"};

typedef struct bench {
    stage stage;
    uint8_t (*frames)[TRAFFIC_FRAME]; /* RING of them */
    gp_counted *counted;              /* RING, parsed from the frames */
    gp_frame batch[BATCH];
    gp_flowtable *table, *previous;
    traffic traffic;
    uint64_t checksum; /* lest the compiler leave out what nobody reads */
} bench;

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void parse_batch(bench *b, size_t at, gp_counted *out)
{
    uint64_t errors[GP_PARSE_ERRORS] = {0};
    for (size_t i = 0; i < BATCH; i++)
        b->batch[i] = (gp_frame){
            .ip = b->frames[at + i] + TRAFFIC_ETH, .cap = TRAFFIC_FRAME - TRAFFIC_ETH, .len = TRAFFIC_FRAME};
    b->checksum += gp_packets_parse(b->batch, BATCH, out, errors);
}

__attribute__((noinline)) void run_stage(bench *b);

void run_stage(bench *b)
{
    gp_counted batch[BATCH];
    for (size_t at = 0; at < RING; at += BATCH) {
        if (b->stage == PARSE || b->stage == ALL)
            parse_batch(b, at, batch);
        if (b->stage == CLASSIFY)
            for (size_t i = at; i < at + BATCH; i++)
                b->checksum += gp_packet_is_reply(&b->counted[i].packet);
        if (b->stage >= TABLE)
            gp_flowtable_add(b->table, 0, b->previous, b->stage == ALL ? batch : &b->counted[at], BATCH);
    }
}

/* The next packets into the ring. */
static void refill(bench *b)
{
    for (size_t i = 0; i < RING; i++)
        traffic_set_flow(b->frames[i], traffic_next(&b->traffic));
    for (size_t at = 0; at < RING; at += BATCH)
        parse_batch(b, at, &b->counted[at]);
}

static bool prepare(bench *b, uint32_t flows)
{
    b->frames = malloc((size_t)RING * TRAFFIC_FRAME);
    b->counted = calloc(RING, sizeof *b->counted);
    if (!b->frames || !b->counted || gp_flowtable_new(&b->table, NULL, 0, NULL) != GP_OK)
        return false;
    for (size_t i = 0; i < RING; i++)
        traffic_template(b->frames[i]);
    b->traffic = traffic_begin(flows);
    if (b->stage != TABLE && b->stage != ALL)
        return true;
    for (uint64_t done = 0; done < flows; done += RING) {
        refill(b);
        for (size_t at = 0; at < RING; at += BATCH)
            gp_flowtable_add(b->table, 0, NULL, &b->counted[at], BATCH);
    }
    return true;
}

static bool measure(bench *b, uint64_t packets)
{
    double elapsed = 0;
    uint64_t done = 0;
    for (; done < packets; done += RING) {
        refill(b);
        double start = seconds();
        run_stage(b);
        elapsed += seconds() - start;
    }
    printf("%s: %.2f ns for each of %llu packets (%zu flows, %zu bytes of table, checksum %llu)\n",
           stage_names[b->stage], elapsed * 1e9 / (double)done, (unsigned long long)done,
           gp_flowtable_flows(b->table), gp_flowtable_bytes(b->table), (unsigned long long)b->checksum);
    return true;
}

int main(int argc, char **argv)
{
    bench b = {.stage = STAGES};
    uint64_t flows = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    uint64_t packets = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    for (unsigned i = 0; i < STAGES && argc > 1; i++)
        if (strcmp(argv[1], stage_names[i]) == 0)
            b.stage = (stage)i;
    if (argc != 4 || b.stage == STAGES || flows < 1 || flows > MAX_FLOWS || packets < 1) {
        fprintf(stderr, "usage: gp-bench-packets parse|classify|table|new|all FLOWS PACKETS\n");
        return 2;
    }
    bool ok = prepare(&b, (uint32_t)flows) && measure(&b, packets);
    gp_flowtable_free(b.table);
    free(b.counted);
    free(b.frames);
    if (!ok)
        fprintf(stderr, "gp-bench-packets: out of memory\n");
    return ok ? 0 : 1;
}

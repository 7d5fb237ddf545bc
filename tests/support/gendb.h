/*
 * gendb.h - realistic databases for tests and benchmarks, reproducible from a seed.
 *
 * Traffic of one site: a few thousand local hosts, a heavy-tailed set of remote servers (Zipf), the usual
 * services, an IPv6 share, scanning noise from random addresses, and byte counts over five orders of
 * magnitude. Flows of neighbouring blocks overlap, as they do in life.
 */
#ifndef GP_TESTS_GENDB_H
#define GP_TESTS_GENDB_H

#include "sensor/godb/writer.h"

typedef struct gp_gendb_options {
    const char *db;
    const char *const *ifaces;
    size_t n_ifaces;
    int64_t first_day; /* start of a UTC day */
    unsigned days;
    unsigned blocks; /* per day, at most 288 */
    size_t flows;    /* per block */
    uint64_t seed;
    gp_codec_type codec;
    void (*progress)(void *ctx, unsigned day, unsigned days); /* NULL: none */
    void *ctx;
} gp_gendb_options;

gp_code gp_gendb_write(const gp_gendb_options *opt, gp_error *err);

/* The flows of one block: n at most (fewer where keys repeat), keys unique. */
size_t gp_gendb_block(uint64_t seed, int64_t ts, gp_flow *flows, size_t n);

#endif

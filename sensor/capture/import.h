/*
 * import.h - capture files into flows: cut into 5-minute intervals by the packets' own timestamps, with the
 * same flows that a live capture of the same packets would have given.
 *
 * All files of a job are one capture: an interval, and what is known of the directions of conversations, goes
 * on from one file to the next. They are read in the order of their first packets, whatever the order they
 * are given in.
 *
 * Linux cooked captures state which packets were sent. In other files all packets count as received, as
 * goProbe v4 has it, except those from a local address, where such are named.
 *
 * Clocks: a packet that is older than the running interval counts there, if by no more than one interval;
 * what is older is left out, since a database only grows at its end. A packet that skips an interval or more
 * is left out, too, unless the next one confirms it, being no older than that by more than an interval; the
 * last of all may be a day ahead. So is one with a time that no block can have.
 */
#ifndef GP_CAPTURE_IMPORT_H
#define GP_CAPTURE_IMPORT_H

#include "proto/flow/flow.h"
#include "sensor/capture/manager.h"

/* A network in CIDR notation, or a single address. */
typedef struct gp_import_net {
    gp_addr addr;
    unsigned bits;
} gp_import_net;

/* "10.0.0.1,192.168.0.0/16,fd00::/8". *out is malloc'ed; GP_EINVAL names the part that is wrong. */
gp_code gp_import_nets_parse(const char *text, gp_import_net **out, size_t *n, gp_error *err);

/* Packets that are in no block, with the times that they bear. */
typedef struct gp_import_left {
    uint64_t packets;
    int64_t first, last; /* UNIX seconds, earliest and latest */
} gp_import_left;

/* What was read of one file. */
typedef struct gp_import_stats {
    uint64_t packets, bytes; /* counted: without those that were left out */
    uint64_t parse_errors[GP_PARSE_ERRORS];
    uint64_t out_of_order; /* packets older than the interval that was open: counted there */
    gp_import_left old;    /* older by more than an interval */
    gp_import_left wrong;  /* ahead of those behind it, or impossible */
} gp_import_stats;

/* Intervals that were not written, with the ends of the first and the last of them. */
typedef struct gp_import_refused {
    uint64_t blocks, packets;
    int64_t first, last;
} gp_import_refused;

typedef struct gp_import_totals {
    uint64_t blocks, flows;  /* written */
    gp_import_refused held;  /* the database has a block of the same time */
    gp_import_refused early; /* the database has later blocks of the day */
    uint64_t problems;       /* files that something is wrong with, as file_done was told */
    int64_t last;            /* the end of the last block that was written; 0: none */
} gp_import_totals;

typedef struct gp_import_job {
    const char *iface; /* the interface to file the flows under */
    const char *const *files;
    size_t n_files;             /* "-" is standard input */
    const gp_import_net *local; /* packets from these count as sent, where a file does not state it */
    size_t n_local;
    gp_block_store store; /* write is called once per interval, in time order; holds may be NULL */
    /* Called for each file once it is through; what is wrong with it, or NULL. */
    void (*file_done)(void *ctx, const char *path, const gp_import_stats *stats, const gp_error *problem);
    /* Whether to end early; asked every few thousand packets. */
    bool (*stop)(void *ctx);
    void *ctx;
} gp_import_job;

/*
 * Files that cannot be read, or not to their end, are no failure: what there is of them is imported, and
 * file_done and totals->problems tell. GP_ECANCELED when asked to stop: of files that can be read again the
 * running interval is not written then, so that a repeated import has all of it.
 */
gp_code gp_capture_import(const gp_import_job *job, gp_import_totals *totals, gp_error *err);

#endif

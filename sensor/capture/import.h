/*
 * import.h - capture files into flows: cut into 5-minute intervals by the packets' own timestamps, with the
 * same flows that a live capture of the same packets would have given.
 *
 * A capture file does not say which packets were sent and which received, so all count as received, as
 * goProbe v4 has it, unless a local address is named.
 */
#ifndef GP_CAPTURE_IMPORT_H
#define GP_CAPTURE_IMPORT_H

#include "proto/flow/flow.h"
#include "sensor/capture/manager.h"

typedef struct gp_import_options {
    const char *iface;    /* the interface to file the flows under */
    const gp_addr *local; /* packets from these addresses count as sent */
    size_t n_local;
} gp_import_options;

typedef struct gp_import_stats {
    uint64_t packets, bytes, blocks, flows;
    uint64_t parse_errors[GP_PARSE_ERRORS];
    uint64_t out_of_order; /* packets older than the interval that was open: counted there */
    int64_t first, last;   /* packet timestamps */
} gp_import_stats;

/* Reads one file ("-" is standard input); `writeout` is called once per interval, in time order. A damaged
 * end of the file gives GP_ECORRUPT after everything before it has been written. */
gp_code gp_capture_import(const char *path, const gp_import_options *opt, gp_writeout_fn writeout, void *ctx,
                          gp_import_stats *stats, gp_error *err);

#endif

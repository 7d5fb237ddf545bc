/*
 * status.h - what a sensor says of its captures (/status) and of changes to its configuration (/config).
 *
 * Ownership: the arrays and strings in these structs are owned by them (malloc'ed).
 */
#ifndef GP_CONTROL_STATUS_H
#define GP_CONTROL_STATUS_H

#include "proto/base/buf.h"
#include "proto/base/error.h"

#include <stdint.h>

/* Packets that were received but did not become part of a flow; the order is that of v4's array. */
typedef enum gp_parse_errno {
    GP_PARSE_FRAGMENT,
    GP_PARSE_INVALID_IP,
    GP_PARSE_TRUNCATED,
    GP_PARSE_ERRORS
} gp_parse_errno;
const char *gp_parse_errno_name(gp_parse_errno e); /* "packet fragmented", "invalid IP header", ... */

typedef struct gp_capture_stats {
    int64_t started_sec; /* UNIX time at which the capture started */
    int32_t started_nsec;
    uint64_t received; /* since the last rotation */
    uint64_t received_total;
    uint64_t processed;
    uint64_t processed_total;
    uint64_t dropped;
    uint64_t dropped_total;
    uint64_t parse_errors[GP_PARSE_ERRORS];
    /* Beyond v4, of the running interval. */
    uint64_t flows, table_bytes;               /* in the flow table */
    uint64_t overflow_packets, overflow_bytes; /* of flows beyond the limit, counted as one */
    uint64_t ring_fill_percent;                /* at its fullest */
    uint64_t journal_bytes, journal_age_ms;    /* of the interval's journal: what a crash would cost */
    uint64_t rotation_pause_ns;                /* of the packet path, at the last rotation */
} gp_capture_stats;

typedef struct gp_iface_status {
    char *iface;
    gp_capture_stats stats;
} gp_iface_status;

typedef struct gp_status {
    int status_code;           /* HTTP */
    char *error;               /* NULL for none */
    int64_t last_writeout_sec; /* 0: none yet */
    int32_t last_writeout_nsec;
    int64_t started_sec;
    int32_t started_nsec;
    gp_iface_status *ifaces; /* sorted by name */
    size_t n_ifaces;
} gp_status;

void gp_status_free(gp_status *s);
void gp_status_to_json(const gp_status *s, gp_buf *out);
gp_code gp_status_from_json(const char *text, size_t len, gp_status *out, gp_error *err);

typedef struct gp_iface_change {
    char *iface;
    bool success;
} gp_iface_change;

typedef struct gp_iface_changes {
    gp_iface_change *items; /* sorted by name */
    size_t n;
} gp_iface_changes;

/* The outcome of PUT /config and POST /config/_reload. */
typedef struct gp_config_update {
    int status_code;
    char *error;
    gp_iface_changes enabled, updated, disabled;
} gp_config_update;

gp_code gp_iface_changes_add(gp_iface_changes *c, const char *iface, bool success, gp_error *err);
void gp_config_update_free(gp_config_update *u);
/* How many interfaces could not be changed as they should have been. */
size_t gp_iface_changes_failures(const gp_iface_changes *c);
size_t gp_config_update_failures(const gp_config_update *u);
void gp_config_update_to_json(const gp_config_update *u, gp_buf *out);
/* For logs: "enabled eth0, disabled eth1 (failed)". */
void gp_config_update_to_text(const gp_config_update *u, gp_buf *out);
gp_code gp_config_update_from_json(const char *text, size_t len, gp_config_update *out, gp_error *err);

#endif

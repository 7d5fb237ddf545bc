/*
 * result.h - the answer to a query: rows, summary, statuses of the hosts that answered; sorting, merging
 * and time binning; and its JSON, field by field as goProbe v4 writes it.
 *
 * Ownership: a gp_result owns its rows and every string in them. Row labels (iface, host, hostid) and
 * host names point into the result's string pool (gp_result_intern); two equal strings in one result
 * are the same pointer. gp_result_free releases everything.
 * Not thread-safe; a finished result may be read by any number of threads.
 */
#ifndef GP_RESULT_RESULT_H
#define GP_RESULT_RESULT_H

#include "proto/base/buf.h"
#include "proto/base/error.h"
#include "proto/flow/flow.h"
#include "proto/query/args.h"

typedef struct gp_row {
    int64_t ts;        /* label time: UNIX seconds, 0 for none */
    const char *iface; /* labels: NULL for none */
    const char *host;
    const char *hostid;
    gp_addr sip; /* len 0: not part of the query */
    gp_addr dip;
    uint16_t dport;
    uint8_t proto;
    gp_counters c;
} gp_row;

typedef enum gp_status_code {
    GP_STATUS_OK,
    GP_STATUS_EMPTY,
    GP_STATUS_MISSING_DATA,
    GP_STATUS_TOO_MANY_REQUESTS,
    GP_STATUS_ERROR
} gp_status_code;

typedef struct gp_host_status {
    const char *host;
    gp_status_code code;
    const char *message; /* NULL for none */
    /* Beyond v4: by what name global-query is to be asked for this host only, where that is not `host`, which
     * is the name that the host has for itself; else NULL. */
    const char *endpoint;
} gp_host_status;

typedef struct gp_query_stats {
    uint64_t bytes_loaded;
    uint64_t bytes_decompressed;
    uint64_t blocks_processed;
    uint64_t blocks_corrupted;
    uint64_t directories_processed;
    uint64_t workloads;
} gp_query_stats;

typedef struct gp_time {
    int64_t sec;
    int32_t nsec;
    bool set; /* unset prints as Go's zero time */
} gp_time;

/* How far a query to a fleet is. */
typedef struct gp_progress {
    uint64_t hosts_total, hosts_done;
    uint64_t rows; /* distinct ones so far */
    int64_t elapsed_ns;
} gp_progress;

typedef struct gp_strpool gp_strpool;

typedef struct gp_result {
    const char *hostname; /* NULL where several hosts were asked */
    gp_status_code status;
    const char *status_message;
    gp_host_status *hosts; /* in no particular order; JSON and tables sort by name */
    size_t n_hosts;
    uint32_t *host_slots; /* internal: where a host's status is */
    size_t host_mask;
    /* summary */
    const char **ifaces; /* sorted */
    size_t n_ifaces;
    gp_time first, last; /* the range that was covered */
    gp_counters totals;
    gp_time query_start;
    int64_t query_duration_ns;
    int64_t resolution_ns;
    uint64_t hits_displayed;
    uint64_t hits_total;
    bool data_available;
    gp_query_stats stats;
    bool has_stats;
    /* query */
    const char *attributes[GP_COL_ATTR_COUNT];
    size_t n_attributes;
    const char *condition;
    /* rows */
    gp_row *rows;
    size_t n_rows;
    size_t cap_rows;
    gp_strpool *pool;
    /* Beyond v4 */
    bool narrows;      /* the peer that sent it understands narrow.h; not part of its JSON */
    bool has_progress; /* of partial results */
    gp_progress progress;
    bool has_digest;  /* asked for with gp_stmt.narrow.digest */
    uint64_t *digest; /* fingerprints of all rows, also of those that were cut off; sorted, each once */
    size_t n_digest;
} gp_result;

void gp_result_init(gp_result *r); /* status ok, nothing else */
void gp_result_free(gp_result *r);

const char *gp_status_name(gp_status_code code); /* "ok", "missing data", ... */
bool gp_status_parse(const char *name, gp_status_code *out);

/* A copy of s that lives as long as the result; NULL for NULL or when out of memory. */
const char *gp_result_intern(gp_result *r, const char *s);
/* Remembers the last label of each kind: neighbouring rows repeat them, and interning costs a hash. */
typedef struct gp_label_pair {
    const char *from, *to;
} gp_label_pair;
typedef struct gp_label_cache {
    gp_label_pair iface, host, hostid;
} gp_label_cache;
/* Replaces the labels of a row of another result by copies that live as long as r. One cache for each pair of
 * results, zeroed at first. */
gp_code gp_result_adopt_labels(gp_result *r, gp_label_cache *cache, gp_row *row, gp_error *err);
gp_code gp_result_reserve_rows(gp_result *r, size_t n, gp_error *err); /* room for n rows in total */
gp_code gp_result_set_status(gp_result *r, const gp_host_status *s, gp_error *err); /* adds or replaces */
gp_code gp_result_set_host(gp_result *r, const char *host, gp_status_code code, const char *message,
                           gp_error *err);                                  /* the same, without endpoint */
const gp_host_status *gp_result_host(const gp_result *r, const char *host); /* NULL: none */
gp_code gp_result_add_iface(gp_result *r, const char *iface,
                            gp_error *err); /* keeps the list sorted, unique */
/* Status from the rows and data_available, as v4: ok, "empty", "missing data"; hits_displayed. */
void gp_result_finish(gp_result *r);

/* Sorts by the statement's order with v4's tie-breaking (attributes, then labels; descending reverses
 * both). limit 0 sorts all; otherwise the first `limit` rows of that order are moved to the front in
 * order and n_rows is cut to it (selection, not a full sort). */
void gp_result_sort(gp_result *r, gp_sort by, gp_direction dir, bool ascending, uint64_t limit);
/* Bytes or packets of the direction: what rows are sorted by. By time, it is bytes. */
uint64_t gp_row_value(const gp_row *r, gp_sort by, gp_direction dir);
/* 64 bits by which a row is known among the rows of one query: the same for equal labels and attributes on
 * every host (XXH3 of their bytes). Two of n rows share one with a probability of n * n / 2^65. */
uint64_t gp_row_fingerprint(const gp_row *r);
int gp_row_cmp_key(const gp_row *a, const gp_row *b); /* attributes, then labels; total order on keys */

/*
 * Merging: a table of rows keyed by labels and attributes whose counters add up. Rows of `from` may use
 * foreign string pools: the table's result interns what it keeps.
 */
typedef struct gp_merge gp_merge;
gp_code gp_merge_new(gp_merge **out, gp_error *err);
void gp_merge_free(gp_merge *m);
/* Adds one result: rows, totals, statuses, interfaces, time range, stats. */
gp_code gp_merge_add(gp_merge *m, const gp_result *from, gp_error *err);
/* The two halves of it. on_row (may be NULL) is told where each row went: `row` is what was added, with
 * labels of the table; an error of its own ends the call. */
typedef gp_code (*gp_merge_row_fn)(void *ctx, uint32_t at, const gp_row *row, gp_error *err);
gp_code gp_merge_add_summary(gp_merge *m, const gp_result *from, gp_error *err);
gp_code gp_merge_add_rows(gp_merge *m, const gp_result *from, gp_merge_row_fn on_row, void *ctx,
                          gp_error *err);
size_t gp_merge_rows(const gp_merge *m);      /* distinct rows so far */
gp_row *gp_merge_row(gp_merge *m, size_t at); /* valid until rows are added; only counters may change */
size_t gp_merge_bytes(const gp_merge *m);     /* memory of the table */
/* Moves everything into *out, rows in no order; the table is then empty and only fit to be freed. */
void gp_merge_take(gp_merge *m, gp_result *out);
/* Adds the first `limit` rows (at least 1) in an order (see gp_result_sort) to *out, and nothing else; the
 * table stays usable. Takes memory for twice the rows that it gives, at most. */
typedef struct gp_merge_order {
    gp_sort by;
    gp_direction dir;
    bool ascending;
    uint64_t limit;
    bool (*skip)(const void *ctx, size_t at); /* true leaves a row out; NULL: none is */
    const void *ctx;
} gp_merge_order;
gp_code gp_merge_first(const gp_merge *m, const gp_merge_order *order, gp_result *out, gp_error *err);
/* A result over all that was added so far, rows in no order; the table stays usable. */
gp_code gp_merge_result(const gp_merge *m, gp_result *out, gp_error *err);

/* Re-aggregates rows whose time label is rounded up to a multiple of bin seconds, and sorts by time.
 * Also sets hits_total, as v4 does. */
gp_code gp_result_bin_time(gp_result *r, int64_t bin, gp_error *err);

/* {"hosts_total":...,"hosts_done":...,"rows":...,"elapsed_ns":...} */
void gp_progress_to_json(const gp_progress *p, gp_buf *out);
/* JSON, byte-compatible in structure with v4 (times in RFC 3339 local time). */
void gp_result_to_json(const gp_result *r, gp_buf *out);
/* `max_rows` limits what is accepted from a peer (0: no limit); more gives GP_ELIMIT. */
gp_code gp_result_from_json(const char *text, size_t len, uint64_t max_rows, gp_result *out, gp_error *err);

#endif

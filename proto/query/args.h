/*
 * args.h - a query as a user or client states it (gp_args), and the checked form that the engine and
 * the printers use (gp_stmt).
 *
 * Ownership: strings in gp_args and gp_stmt are malloc'ed and owned by the struct; NULL means unset.
 * Not thread-safe; a finished gp_stmt may be read by any number of threads.
 */
#ifndef GP_QUERY_ARGS_H
#define GP_QUERY_ARGS_H

#include "proto/base/buf.h"
#include "proto/query/column.h"
#include "proto/query/cond.h"
#include "proto/query/narrow.h"
#include "proto/query/problem.h"

typedef struct gp_dns_args {
    bool enabled;
    int64_t timeout_ns; /* 0: unset */
    int64_t max_rows;   /* 0: unset */
} gp_dns_args;

/* JSON and URL names as in goProbe v4; the comments name the JSON field where it differs. */
typedef struct gp_args {
    char *query;
    char *ifaces;
    char *query_hosts;
    char *query_hosts_resolver_type; /* URL parameter: hosts_resolver */
    char *hostname;
    uint64_t host_id;
    char *condition;
    bool in, out, sum;
    char *first;
    char *last;
    char *time_resolution;
    char *format;
    char *sort_by;
    uint64_t num_results;
    bool sort_ascending;
    bool list;
    bool version;
    gp_dns_args dns; /* dns_resolution {enabled, timeout, max_rows}; URL: dns_enabled, ... */
    int64_t max_mem_pct;
    bool low_mem;
    int64_t keepalive_ns; /* keepalive */
    char *caller;
    bool live;
    /* Beyond v4, whose services refuse unknown members of a body and ignore unknown parameters of a URL. */
    bool sum_hosts; /* rows of all hosts are summed: none has the labels host and hostid */
    char *via;      /* ids of the aggregators that the query came through, separated by commas */
    /* Only to peers that understand them (narrow.h); not in URLs. */
    uint64_t skip_results;
    uint64_t min_value;
    char *only_rows; /* fingerprints as text */
    bool digest;
} gp_args;

enum { GP_DEFAULT_NUM_RESULTS = 1000, GP_DEFAULT_MAX_MEM_PCT = 60, GP_DEFAULT_RESOLVE_ROWS = 25 };
#define GP_DEFAULT_RESOLVE_TIMEOUT_NS INT64_C(1000000000)
#define GP_MAX_RESULTS                UINT64_C(9999999999999999) /* "no limit" of time queries */
#define GP_DB_WRITE_INTERVAL          300                        /* seconds between two blocks */

typedef enum gp_direction { GP_DIR_SUM, GP_DIR_IN, GP_DIR_OUT, GP_DIR_BOTH } gp_direction;
typedef enum gp_sort { GP_SORT_BYTES, GP_SORT_PACKETS, GP_SORT_TIME } gp_sort;
typedef enum gp_format { GP_FORMAT_TXT, GP_FORMAT_JSON, GP_FORMAT_CSV } gp_format;

typedef struct gp_stmt {
    char *query_text;   /* as the user gave it */
    gp_query_type type; /* label_mask includes iface where several interfaces were asked for */
    char *ifaces;       /* selection text; resolved against the database by the engine */
    gp_cond *cond;      /* NULL: none */
    gp_direction direction;
    gp_sort sort_by;
    bool sort_ascending;
    int64_t first, last; /* UNIX seconds, inclusive */
    int64_t bin_size;    /* seconds; GP_DB_WRITE_INTERVAL: no binning */
    gp_format format;
    uint64_t num_results;
    gp_dns_args dns;
    int max_mem_pct;
    bool low_mem;
    int64_t keepalive_ns;
    bool live;
    char *caller;
    bool sum_hosts;
    gp_narrow narrow;
} gp_stmt;

void gp_args_init(gp_args *a); /* all unset */
void gp_args_free(gp_args *a);
gp_code gp_args_copy(const gp_args *from, gp_args *to, gp_error *err);
/* Sets what is unset: first = one month ago, last = the end of time, sort_by = bytes, num_results, ... */
gp_code gp_args_set_defaults(gp_args *a, int64_t now, gp_error *err);
/* Replaces a string field: gp_args_set(&a.query, "sip"). */
gp_code gp_args_set(char **field, const char *value, gp_error *err);

/* Dates without a zone in `first` and `last` are replaced by what they mean here, in our zone (TZ): before
 * others, who may have another, are asked. */
gp_code gp_args_resolve_local_times(gp_args *a, gp_error *err);

void gp_args_to_json(const gp_args *a, gp_buf *out); /* unset fields are left out */
/* A query that somebody keeps in a file: as gp_args_from_json below, but unknown members do not count. Their
 * names, as JSON strings with ", " between them, are appended to *unknown. */
gp_code gp_args_from_file(const char *text, size_t len, gp_args *out, gp_buf *unknown, gp_problem *problem);
/*
 * Parses a request body. Unknown fields, wrong types and violated bounds are collected in *problem
 * (status 422, locations "body.<field>") exactly where v4's schema validation reports them; no JSON gives
 * status 400. GP_EINVAL then, GP_ENOMEM with status 500; *out is empty after an error. Fields that the
 * client left out get the presets of v4's schema: sort_by, num_results, max_mem_pct and the DNS timeout.
 */
gp_code gp_args_from_json(const char *text, size_t len, gp_args *out, gp_problem *problem);
/* The same from URL parameters: calls next(ctx, &key, &value) until false. Locations "query.<name>". Of
 * several values the first counts, empty ones and unknown names are ignored, as by v4. */
typedef bool (*gp_param_next)(void *ctx, const char **key, const char **value);
gp_code gp_args_from_params(gp_param_next next, void *ctx, gp_args *out, gp_problem *problem);

/* Validates and prepares. All errors are collected in *problem (status 422, detail "query preparation
 * failed"); then GP_EINVAL and *out is empty. `now` is UNIX seconds, for relative times. Host names in the
 * condition are looked up. Unlike v4, sort_ascending has an effect. */
gp_code gp_args_prepare(const gp_args *a, int64_t now, gp_stmt *out, gp_problem *problem);
void gp_stmt_free(gp_stmt *s);

/* Bin size in seconds that "auto" means for a range of `duration` seconds: a multiple of the write interval
 * that gives at most 288 bins. */
int64_t gp_time_bin_auto(int64_t duration);

const char *gp_direction_name(gp_direction d); /* "sum", "in", "out", "bi-directional" */
const char *gp_sort_name(gp_sort s);           /* "bytes", "packets", "time" */

#endif

/*
 * retention.h - which days of an interface have had their time, and removing them.
 *
 * A day goes as a whole: moved to <db>/<iface>/0/.removed-*, then deleted. Nobody reads there: goProbe v4
 * passes over a year that no query asks for, our readers over names that begin with a dot. Whoever has the
 * day open goes on reading. What an interrupted removal has left there goes with gp_retention_clean.
 *
 * Never touched: today, a day that ended less than GP_RETENTION_SETTLE_S ago (its last blocks may still be
 * under way), what is not called like a day, and whatever can only be reached by a symbolic link.
 *
 * Thread-safety: no state; several processes may remove from one database at a time.
 */
#ifndef GP_GODB_RETENTION_H
#define GP_GODB_RETENTION_H

#include "proto/base/error.h"

#include <stdint.h>

enum { GP_RETENTION_SETTLE_S = 3600 };

typedef struct gp_retention_limits {
    int64_t max_age_s; /* since the end of the (UTC) day; 0: any */
    int64_t max_size;  /* bytes of all files of the interface's days; 0: any */
} gp_retention_limits;

typedef enum gp_retention_reason { GP_RETENTION_AGE, GP_RETENTION_SIZE } gp_retention_reason;
const char *gp_retention_reason_name(gp_retention_reason reason); /* "age", "size" */

typedef struct gp_retention_day {
    char *path;     /* of the folder */
    int64_t day;    /* its start, UNIX seconds */
    uint64_t bytes; /* of its files */
    gp_retention_reason reason;
} gp_retention_day;

typedef struct gp_retention_plan {
    gp_retention_day *days; /* to be removed, oldest first */
    size_t n;
    uint64_t kept_bytes; /* of the days that stay */
    size_t kept_days;
} gp_retention_plan;

/* Days beyond the age, then the oldest of the others until the rest keeps to the size. GP_ENOTFOUND: no such
 * interface. */
gp_code gp_retention_plan_make(gp_retention_plan *out, const char *db, const char *iface,
                               const gp_retention_limits *limits, int64_t now, gp_error *err);
void gp_retention_plan_free(gp_retention_plan *plan);

/* Removes one day of a plan, and the folders of its month and year if they are empty now. A day that is gone
 * already is no error. */
gp_code gp_retention_remove(const char *db, const char *iface, const gp_retention_day *day, gp_error *err);
/* Deletes what removals that were interrupted have left. */
gp_code gp_retention_clean(const char *db, const char *iface, gp_error *err);

/* "90d", or as gp_duration_parse ("2160h"); 0 or at least a day. */
gp_code gp_retention_parse_age(const char *text, int64_t *out_s, gp_error *err);
/* Bytes: "1073741824", "500M", "20G" (k, M, G, T: powers of 1024). */
gp_code gp_retention_parse_size(const char *text, int64_t *out, gp_error *err);

#endif

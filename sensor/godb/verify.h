/*
 * verify.h - checks a goDB against its own description: every file, every block of every column, every total.
 *
 * The format has no checksums. What can be noticed is what contradicts something else: sizes, what does not
 * decode, counts, the order of rows, and totals, which state every counter of a day twice. A flipped bit in
 * an uncompressed address that keeps the order goes unnoticed.
 *
 * Thread-safety: none needed; distinct calls share nothing.
 */
#ifndef GP_GODB_VERIFY_H
#define GP_GODB_VERIFY_H

#include "sensor/godb/reader.h"

typedef struct gp_finding {
    bool damage;      /* false: harmless, such as what an interrupted write leaves */
    const char *path; /* of the folder */
    int64_t block;    /* its timestamp; -1: the whole day */
    const char *text;
} gp_finding;

typedef struct gp_finding_sink {
    void (*take)(void *ctx, const gp_finding *f); /* the finding is gone after the call */
    void *ctx;
} gp_finding_sink;

/* A folder that is called like a day. */
typedef struct gp_day_folder {
    char *path;
    int64_t day;
    gp_day_summary sum; /* from the name */
    bool has_sum;
} gp_day_folder;

/* All day folders of an interface in time order, also several of one day. What else lies there goes to the
 * sink, as do days that have two folders. gp_day_folders_free. */
gp_code gp_day_folders_list(const char *db, const char *iface, const gp_finding_sink *sink,
                            gp_day_folder **out, size_t *n, gp_error *err);
void gp_day_folders_free(gp_day_folder *folders, size_t n);

typedef struct gp_day_verdict {
    bool readable;   /* .blockmeta is there and makes sense */
    bool unfinished; /* no block was ever completed, which is no damage */
    size_t n_blocks, n_intact;
    bool *intact;       /* for each block */
    gp_day_summary sum; /* of the intact blocks, from their columns */
    size_t n_damages, n_notes;
} gp_day_verdict;

/* Fails only where checking itself fails (memory); damage is no failure. gp_day_verdict_free. */
gp_code gp_day_verify(const gp_day_folder *folder, gp_codec *codec, const gp_finding_sink *sink,
                      gp_day_verdict *out, gp_error *err);
void gp_day_verdict_free(gp_day_verdict *v);

#endif

/*
 * dayindex.h - gives a day the additional files that it lacks: sums of blocks (blocksums.h), filters of their
 * addresses (blockfilter.h), and the list of its heaviest ports (topports.h).
 *
 * Days of v4 have none; days to which v4 and we wrote in turns have holes. Records that are missing, or do
 * not count, are made from the columns, those that count are kept. Each file is written aside, synced, and
 * renamed, so that readers see the old one or the new one; column files and .blockmeta are never touched. A
 * block that is appended meanwhile stays without records, and makes the list stale, which costs speed only:
 * so it is for days that are complete.
 *
 * Thread-safety: one thread a day; of several processes one at a time indexes a day.
 */
#ifndef GP_GODB_DAYINDEX_H
#define GP_GODB_DAYINDEX_H

#include "sensor/godb/reader.h"

typedef struct gp_day_index_report {
    size_t added;    /* records, the list being one; in a dry run those that are missing */
    uint64_t bytes;  /* of the files that were written */
    size_t damaged;  /* blocks that have to stay without a record */
    gp_error damage; /* of the first of them */
} gp_day_index_report;

/* A damaged block is no failure. After one (GP_EBUSY: another process is at it; GP_ECORRUPT: the counters of
 * the day contradict its totals; what the disk says) the day is as before, or has one file more. */
gp_code gp_day_index(gp_day *d, gp_codec *codec, bool dry_run, gp_day_index_report *out, gp_error *err);

/* The same by name; GP_OK where there is no such day, or no block of it ever became complete. */
gp_code gp_db_index_day(const char *db, const char *iface, int64_t day, gp_day_index_report *out,
                        gp_error *err);

#endif

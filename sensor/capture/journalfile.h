/*
 * journalfile.h - the file that keeps the sessions of one interval of one interface until they are in the
 * database. Format: spec/journal-format.md.
 *
 * A file grows by frames. A frame of sessions holds those that changed, with their counters as they were at
 * that moment: reading a frame twice, or an older copy of the file before a newer one, changes nothing. Each
 * frame has a checksum; reading ends before the first frame that is torn or damaged.
 *
 * A file begins under a temporary name and counts only once it is published (by rename). What is in it is
 * safe from a killed process after each append, from a power loss after each gp_journalfile_sync.
 *
 * An open file is locked, flock(2), until it is closed: what a running goprobe keeps here is not taken for
 * what a dead one left. (Where the file system has no locks, nothing keeps two of them apart.)
 *
 * Not thread-safe: one thread per file at a time.
 */
#ifndef GP_CAPTURE_JOURNALFILE_H
#define GP_CAPTURE_JOURNALFILE_H

#include "sensor/capture/flowtable.h"

enum { GP_JOURNAL_IFACE_MAX = 16, GP_JOURNAL_LANES = 64, GP_JOURNAL_BATCH_MAX = 8192 };

/* Plain files in the database folder, which readers of a database pass over: these prefixes, 16 hexadecimal
 * digits,
 * '.', name of the interface. */
#define GP_JOURNAL_PREFIX     ".journal."
#define GP_JOURNAL_NEW_PREFIX ".journal-new."
#define GP_JOURNAL_BAD_PREFIX ".journal-damaged."

/* What belongs to every session of a batch. */
typedef struct gp_journal_batch {
    int64_t block_ts; /* end of the interval as planned now */
    uint64_t dropped; /* packets that the kernel dropped in the interval so far */
    uint16_t lane;    /* sessions of the same key in different lanes add up; below GP_JOURNAL_LANES */
} gp_journal_batch;

typedef struct gp_journalfile gp_journalfile;

/* Makes a new file, under its temporary name. */
gp_code gp_journalfile_create(gp_journalfile **out, const char *dir, const char *iface, gp_error *err);
/* An existing file, that of an earlier process. GP_EBUSY: that one is still running; GP_ENOTFOUND: it has
 * just removed it. */
gp_code gp_journalfile_claim(gp_journalfile **out, const char *dir, const char *name, gp_error *err);
/* A claimed file is to be appended to, behind its first `good` bytes: see gp_journal_content. */
gp_code gp_journalfile_resume(gp_journalfile *f, uint64_t good, uint64_t frames, gp_error *err);
/* At most GP_JOURNAL_BATCH_MAX sessions. After a failure (a full disk) the file is as before, but see
 * gp_journalfile_broken. */
gp_code gp_journalfile_append(gp_journalfile *f, const gp_journal_batch *batch, const gp_session *sessions,
                              size_t n, gp_error *err);
/* Notes that the sessions are about to be written to the database as the block of this time. */
gp_code gp_journalfile_commit(gp_journalfile *f, int64_t ts, bool sync, gp_error *err);
gp_code gp_journalfile_sync(gp_journalfile *f, gp_error *err);
/* Gives the file its final name; with `over`, that of the file which it replaces (at once, and then still to
 * be closed). */
gp_code gp_journalfile_publish(gp_journalfile *f, const gp_journalfile *over, bool sync, gp_error *err);
bool gp_journalfile_broken(const gp_journalfile *f); /* a failed append could not be taken back */
uint64_t gp_journalfile_size(const gp_journalfile *f);
void gp_journalfile_close(gp_journalfile *f);                    /* NULL is allowed */
gp_code gp_journalfile_remove(gp_journalfile *f, gp_error *err); /* and closes, in any case */

/* What a file says besides its sessions. */
typedef struct gp_journal_content {
    char iface[GP_JOURNAL_IFACE_MAX];
    int64_t block_ts, committed; /* 0: none */
    uint64_t dropped;
    uint64_t sessions;     /* read, the same one several times */
    uint64_t good, frames; /* bytes and frames up to the end, or to the first damage */
    bool damaged;
} gp_journal_content;

typedef void (*gp_journal_sink)(void *ctx, uint16_t lane, const gp_session *s);

/* GP_ECORRUPT if it is no journal of ours; a torn end is no failure. */
gp_code gp_journal_parse(const uint8_t *data, size_t len, gp_journal_sink sink, void *ctx,
                         gp_journal_content *out, gp_error *err);
gp_code gp_journal_read(const char *path, gp_journal_sink sink, void *ctx, gp_journal_content *out,
                        gp_error *err);

#endif

/*
 * rebuild.h - putting a day together anew from blocks of other days, and exchanging folders so that at no
 * instant the day is missing.
 *
 * A stage is a hidden folder inside the destination database, so that renames work. A day is built or copied
 * into it, synced, and then exchanged with the folder that is to be replaced (renameat2(2), RENAME_EXCHANGE);
 * what was replaced goes when the stage is freed.
 */
#ifndef GP_GPDB_REBUILD_H
#define GP_GPDB_REBUILD_H

#include "sensor/godb/ownership.h"
#include "sensor/godb/reader.h"

#define GP_STAGE_PREFIX ".gpdb-stage-"

typedef struct gp_stage gp_stage;
gp_code gp_stage_new(gp_stage **out, const char *db, gp_error *err);
void gp_stage_free(gp_stage *s); /* removes the folder with all that it holds */

/* A block to be taken over as it is stored. */
typedef struct gp_block_ref {
    gp_day *day;
    size_t block;
} gp_block_ref;

/* Builds a day of these blocks, which come in time order. Each is decoded and counted before it is taken
 * over: GP_ECORRUPT names one that cannot be. Without sync the caller does not care for a power failure. */
gp_code gp_stage_build(gp_stage *s, const char *iface, int64_t day, const gp_block_ref *blocks, size_t n,
                       gp_error *err);
/* Copies a day's folder with everything in it. */
gp_code gp_stage_copy(gp_stage *s, const char *iface, int64_t day, const char *path, gp_error *err);
/* Puts the staged day in the place of `replaced`; NULL: there is none, and the day goes where its time
 * says. It gets the ownership of what it replaces, or else of what lies above (ownership.h). */
gp_code gp_stage_commit(gp_stage *s, const char *iface, int64_t day, const char *replaced, gp_error *err);
/* Takes a day's folder out of the database; it is removed with the stage. */
gp_code gp_stage_remove(gp_stage *s, const char *path, gp_error *err);

/* Copies a folder of files, with owners and permissions, and syncs it. `to` must not exist; what lies above
 * is made, and gets the ownership `above`. */
gp_code gp_copy_folder(const char *from, const char *to, const gp_ownership *above, gp_error *err);

#endif

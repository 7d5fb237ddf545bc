/*
 * daypath.h - where the day folders of an interface lie: <db>/<iface>/<year>/<month>/<day>[_<summary>].
 *
 * goProbe v4 takes year and month from the host's local time, although days are UTC days, so around
 * the start of a month a day may lie in either of two month folders. Writing follows v4; reading looks in
 * both.
 */
#ifndef GP_GODB_DAYPATH_H
#define GP_GODB_DAYPATH_H

#include "proto/base/error.h"
#include "proto/query/column.h"
#include "sensor/godb/ownership.h"

#include <stdint.h>
#include <sys/types.h>

enum { GP_DB_PATH_MAX = 4096, GP_DAY_SECONDS = 86400 };
#define GP_BLOCKMETA_FILE   ".blockmeta"
#define GP_BLOCKSUMS_FILE   ".blocksums" /* these three are not known to v4 */
#define GP_BLOCKFILTER_FILE ".blockfilter"
#define GP_TOPPORTS_FILE    ".topports"
#define GP_COLUMN_SUFFIX    ".gpf"
#define GP_TEMP_META_PREFIX ".tmp-metadata-" /* while metadata is replaced */

static inline int64_t gp_day_start(int64_t ts)
{
    return ts - ts % GP_DAY_SECONDS;
}

/* Makes the folder `path` and those above it that are missing, and gives them `own` (NULL: as they are). */
gp_code gp_folders_make(const char *path, mode_t mode, const gp_ownership *own, gp_error *err);
/* "sip.gpf" */
enum { GP_COLUMN_FILE_MAX = 32 };
void gp_column_file(gp_column col, char dst[static GP_COLUMN_FILE_MAX]);

/* <db>/<iface>; refuses names that would leave the database folder. dst holds GP_DB_PATH_MAX. */
gp_code gp_iface_path(const char *db, const char *iface, char *dst, gp_error *err);
/* <db>/<iface>/<year>/<month> where v4 would write this day. */
gp_code gp_month_path(const char *db, const char *iface, int64_t day, char *dst, gp_error *err);
/* Finds the folder of a day in a month folder, whatever its summary: its name into name[256];
 * GP_ENOTFOUND. */
gp_code gp_day_find(const char *month_path, int64_t day, char *name, gp_error *err);
/* Opens the folder of a day (*fd, O_DIRECTORY) and states its path. Survives a rename in between. */
gp_code gp_day_folder_open(const char *db, const char *iface, int64_t day, int *fd, char *path,
                           gp_error *err);

#endif

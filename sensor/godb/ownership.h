/*
 * ownership.h - owner, group and permissions of what tools make in a database.
 *
 * A tool is often run by root, while the sensor that goes on writing is not. So what a tool makes gets owner,
 * group and permissions of the day that it belongs to, or else of the interface's folder, or else of the
 * database's. Where the process may not give files away (it is not root, or the file system knows no owners)
 * they stay its own, which is no error. Thread-safe.
 */
#ifndef GP_GODB_OWNERSHIP_H
#define GP_GODB_OWNERSHIP_H

#include "proto/base/error.h"

#include <sys/stat.h>

typedef struct gp_ownership {
    bool known; /* false: nothing to go by, everything stays as it was made */
    uid_t uid;
    gid_t gid;
    mode_t folders, files; /* permissions */
} gp_ownership;

/* Of a folder; its files are as .blockmeta in it, or else as the folder itself. */
void gp_ownership_of_fd(int folder, gp_ownership *out);
void gp_ownership_of(const char *folder, gp_ownership *out);
/* Of the interface's folder, or else of the database's. */
void gp_ownership_find(const char *db, const char *iface, gp_ownership *out);

/* Gives it to an open file or folder. False with errno. */
bool gp_own(int fd, const gp_ownership *own);
/* As another file is. */
bool gp_own_like(int fd, const struct stat *like);
/* A folder and the files in it. */
gp_code gp_own_folder(const char *path, const gp_ownership *own, gp_error *err);

#endif

#include "sensor/godb/daypath.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static gp_code checked_path(int n, const char *what, gp_error *err)
{
    if (n > 0 && n < GP_DB_PATH_MAX)
        return GP_OK;
    return gp_fail(err, GP_EINVAL, "the path of %s is too long", what);
}

static gp_code make_folder(const char *path, mode_t mode, const gp_ownership *own, gp_error *err)
{
    if (mkdir(path, mode) != 0)
        return errno == EEXIST ? GP_OK : gp_fail_errno(err, errno, "cannot create folder '%s'", path);
    if (!own || !own->known)
        return GP_OK;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return gp_fail_errno(err, errno, "cannot open folder '%s'", path);
    gp_code code = gp_own(fd, own) ? GP_OK : gp_fail_errno(err, errno, "cannot set the owner of '%s'", path);
    close(fd);
    return code;
}

gp_code gp_folders_make(const char *path, mode_t mode, const gp_ownership *own, gp_error *err)
{
    char copy[GP_DB_PATH_MAX];
    gp_code code = checked_path(snprintf(copy, sizeof copy, "%s", path), path, err);
    if (code != GP_OK)
        return code;
    for (char *slash = copy; slash && code == GP_OK;) {
        slash = strchr(slash + 1, '/');
        if (slash)
            *slash = '\0';
        code = make_folder(copy, mode, own, err);
        if (slash)
            *slash = '/';
    }
    return code;
}

void gp_column_file(gp_column col, char dst[static GP_COLUMN_FILE_MAX])
{
    snprintf(dst, GP_COLUMN_FILE_MAX, "%s" GP_COLUMN_SUFFIX, gp_column_name(col));
}

gp_code gp_iface_path(const char *db, const char *iface, char *dst, gp_error *err)
{
    if (!*iface || strchr(iface, '/') || iface[0] == '.')
        return gp_fail(err, GP_EINVAL, "'%s' cannot be the name of an interface", iface);
    return checked_path(snprintf(dst, GP_DB_PATH_MAX, "%s/%s", db, iface), iface, err);
}

static gp_code month_path_of(const char *db, const char *iface, const struct tm *t, char *dst, gp_error *err)
{
    char base[GP_DB_PATH_MAX];
    gp_code code = gp_iface_path(db, iface, base, err);
    if (code != GP_OK)
        return code;
    return checked_path(snprintf(dst, GP_DB_PATH_MAX, "%s/%d/%02d", base, t->tm_year + 1900, t->tm_mon + 1),
                        iface, err);
}

gp_code gp_month_path(const char *db, const char *iface, int64_t day, char *dst, gp_error *err)
{
    time_t t = (time_t)day;
    struct tm local;
    if (!localtime_r(&t, &local))
        return gp_fail(err, GP_EINVAL, "%lld is not a time that has a calendar date", (long long)day);
    return month_path_of(db, iface, &local, dst, err);
}

gp_code gp_day_find(const char *month_path, int64_t day, char *name, gp_error *err)
{
    char prefix[24];
    int len = snprintf(prefix, sizeof prefix, "%lld", (long long)day);
    DIR *dir = opendir(month_path);
    if (!dir)
        return gp_fail_errno(err, errno, "cannot open folder '%s'", month_path);
    bool found = false;
    for (struct dirent *e; !found && (e = readdir(dir));) {
        char next = strncmp(e->d_name, prefix, (size_t)len) == 0 ? e->d_name[len] : 'x';
        found = next == '\0' || next == '_';
        if (found)
            snprintf(name, 256, "%s", e->d_name);
    }
    closedir(dir);
    if (found)
        return GP_OK;
    return gp_fail(err, GP_ENOTFOUND, "no folder for day %lld in '%s'", (long long)day, month_path);
}

static gp_code open_in_month(const char *month_path, int64_t day, int *fd, char *path, gp_error *err)
{
    enum { ATTEMPTS = 5 };
    for (unsigned i = 0;; i++) {
        char name[256];
        gp_code code = gp_day_find(month_path, day, name, err);
        if (code == GP_ENOTFOUND && i == 0)
            continue; /* a folder that is being renamed may not be listed at all */
        if (code == GP_OK)
            code =
                checked_path(snprintf(path, GP_DB_PATH_MAX, "%s/%s", month_path, name), "a day folder", err);
        if (code != GP_OK)
            return code;
        *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (*fd >= 0)
            return GP_OK;
        /* A writer renamed it after we looked: look again. */
        if (errno != ENOENT || i + 1 == ATTEMPTS)
            return gp_fail_errno(err, errno, "cannot open folder '%s'", path);
    }
}

gp_code gp_day_folder_open(const char *db, const char *iface, int64_t day, int *fd, char *path, gp_error *err)
{
    /* UTC month of the day itself, then of the second before: no time zone puts it anywhere else. */
    const int64_t instants[] = {day, day - 1};
    gp_code code = GP_ENOTFOUND;
    for (size_t i = 0; i < sizeof instants / sizeof instants[0] && code == GP_ENOTFOUND; i++) {
        time_t t = (time_t)instants[i];
        struct tm utc;
        char month[GP_DB_PATH_MAX];
        if (!gmtime_r(&t, &utc))
            return gp_fail(err, GP_EINVAL, "%lld is not a time that has a calendar date", (long long)day);
        code = month_path_of(db, iface, &utc, month, err);
        if (code == GP_OK)
            code = open_in_month(month, day, fd, path, err);
    }
    return code;
}

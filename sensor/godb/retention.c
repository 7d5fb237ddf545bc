#include "sensor/godb/retention.h"

#include "proto/query/timeparse.h"
#include "sensor/godb/daypath.h"
#include "sensor/godb/verify.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REMOVED_YEAR   "0"
#define REMOVED_PREFIX ".removed-"

enum { FOLDER = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, MAX_DEPTH = 8 };

const char *gp_retention_reason_name(gp_retention_reason reason)
{
    return reason == GP_RETENTION_AGE ? "age" : "size";
}

/* ---- folders ------------------------------------------------------------------------------------------- */

/* The open folders above a day, and their names below one another. */
typedef struct place {
    int iface, year, month; /* -1: not open */
    char year_name[32], month_name[32], day_name[256];
} place;

static void leave(place *p)
{
    const int fds[] = {p->month, p->year, p->iface};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* The database folder itself may be reached by a link; nothing below it. */
static int open_iface(const char *db, const char *iface)
{
    int fd = open(db, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int below = openat(fd, iface, FOLDER);
    int saved = errno;
    close(fd);
    errno = saved;
    return below;
}

/* Splits ".../<year>/<month>/<day>" at its end. */
static bool split(const char *path, place *p)
{
    const char *part[3];
    const char *end = path + strlen(path);
    for (size_t i = 3; i-- > 0;) {
        const char *slash = end;
        while (slash > path && slash[-1] != '/')
            slash--;
        if (slash == path || slash == end)
            return false;
        part[i] = slash;
        end = slash - 1;
    }
    int year = snprintf(p->year_name, sizeof p->year_name, "%.*s", (int)(part[1] - part[0] - 1), part[0]);
    int month = snprintf(p->month_name, sizeof p->month_name, "%.*s", (int)(part[2] - part[1] - 1), part[1]);
    int day = snprintf(p->day_name, sizeof p->day_name, "%s", part[2]);
    return year < (int)sizeof p->year_name && month < (int)sizeof p->month_name &&
           day < (int)sizeof p->day_name;
}

/* -1 with errno if the folder is gone, or lies behind a link (ELOOP, ENOTDIR). */
static int enter(place *p, const char *db, const char *iface, const char *path)
{
    *p = (place){.iface = -1, .year = -1, .month = -1};
    errno = ENAMETOOLONG;
    if (!split(path, p))
        return -1;
    p->iface = open_iface(db, iface);
    if (p->iface >= 0)
        p->year = openat(p->iface, p->year_name, FOLDER);
    if (p->year >= 0)
        p->month = openat(p->year, p->month_name, FOLDER);
    return p->month >= 0 ? 0 : -1;
}

/* NULL with errno. */
static DIR *open_dir(int at, const char *name)
{
    int fd = openat(at, name, FOLDER);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir && fd >= 0) {
        int saved = errno;
        close(fd);
        errno = saved;
    }
    return dir;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* -1: nothing that could be removed. */
static int64_t bytes_of(int month, const char *name)
{
    DIR *dir = open_dir(month, name);
    if (!dir)
        return -1;
    int64_t sum = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        struct stat st;
        if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
            sum += st.st_size;
    }
    closedir(dir);
    return sum;
}

/* ---- the plan ------------------------------------------------------------------------------------------ */

/* -1: left alone. Folders of days have a day's start as their name. */
static int64_t size_of_folder(const char *db, const char *iface, const gp_day_folder *folder)
{
    place p;
    if (folder->day % GP_DAY_SECONDS != 0)
        return -1;
    int64_t bytes = enter(&p, db, iface, folder->path) == 0 ? bytes_of(p.month, p.day_name) : -1;
    leave(&p);
    return bytes;
}

static bool is_settled(int64_t day, int64_t now)
{
    return day < gp_day_start(now) && day + GP_DAY_SECONDS + GP_RETENTION_SETTLE_S <= now;
}

static bool is_too_old(const gp_retention_limits *limits, int64_t day, int64_t now)
{
    return limits->max_age_s > 0 && day + GP_DAY_SECONDS <= now - limits->max_age_s;
}

static gp_code choose(gp_retention_plan *plan, const gp_day_folder *folder, uint64_t bytes,
                      gp_retention_reason reason, gp_error *err)
{
    char *path = strdup(folder->path);
    if (!path)
        return gp_fail(err, GP_ENOMEM, "out of memory for a list of days");
    plan->days[plan->n++] = (gp_retention_day){path, folder->day, bytes, reason};
    plan->kept_bytes -= bytes;
    plan->kept_days--;
    return GP_OK;
}

/* Folders come in time order, so the oldest go first, whatever the reason. */
static gp_code choose_days(gp_retention_plan *plan, const gp_day_folder *folders, const int64_t *bytes,
                           size_t n, const gp_retention_limits *limits, int64_t now, gp_error *err)
{
    gp_code code = GP_OK;
    for (size_t i = 0; i < n && code == GP_OK; i++) {
        if (bytes[i] < 0 || !is_settled(folders[i].day, now))
            continue;
        if (is_too_old(limits, folders[i].day, now))
            code = choose(plan, &folders[i], (uint64_t)bytes[i], GP_RETENTION_AGE, err);
        else if (limits->max_size > 0 && plan->kept_bytes > (uint64_t)limits->max_size)
            code = choose(plan, &folders[i], (uint64_t)bytes[i], GP_RETENTION_SIZE, err);
    }
    return code;
}

static gp_code plan_folders(gp_retention_plan *plan, const char *db, const char *iface,
                            const gp_day_folder *folders, size_t n, const gp_retention_limits *limits,
                            int64_t now, gp_error *err)
{
    int64_t *bytes = calloc(n + 1, sizeof *bytes);
    plan->days = calloc(n + 1, sizeof *plan->days);
    if (!bytes || !plan->days) {
        free(bytes);
        return gp_fail(err, GP_ENOMEM, "out of memory for a list of days");
    }
    for (size_t i = 0; i < n; i++) {
        bytes[i] = size_of_folder(db, iface, &folders[i]);
        plan->kept_bytes += bytes[i] > 0 ? (uint64_t)bytes[i] : 0;
        plan->kept_days += bytes[i] >= 0;
    }
    gp_code code = choose_days(plan, folders, bytes, n, limits, now, err);
    free(bytes);
    return code;
}

gp_code gp_retention_plan_make(gp_retention_plan *out, const char *db, const char *iface,
                               const gp_retention_limits *limits, int64_t now, gp_error *err)
{
    const gp_finding_sink nobody = {0};
    gp_day_folder *folders = NULL;
    size_t n = 0;
    *out = (gp_retention_plan){0};
    gp_code code = gp_day_folders_list(db, iface, &nobody, &folders, &n, err);
    if (code == GP_OK)
        code = plan_folders(out, db, iface, folders, n, limits, now, err);
    if (code != GP_OK)
        gp_retention_plan_free(out);
    gp_day_folders_free(folders, n);
    return code;
}

void gp_retention_plan_free(gp_retention_plan *plan)
{
    for (size_t i = 0; i < plan->n; i++)
        free(plan->days[i].path);
    free(plan->days);
    *plan = (gp_retention_plan){0};
}

/* ---- removing ------------------------------------------------------------------------------------------ */

/* Somebody else who removes the same is welcome: what is gone is no error. */
static gp_code unlink_at(int at, const char *name, int flags, gp_error *err)
{
    if (unlinkat(at, name, flags) == 0 || errno == ENOENT)
        return GP_OK;
    return gp_fail_errno(err, errno, "cannot delete '%s'", name);
}

/* A folder with everything in it. A link is deleted, never followed. */
static gp_code delete_tree(int at, const char *name, unsigned depth, gp_error *err)
{
    DIR *dir = open_dir(at, name);
    if (!dir)
        return errno == ENOENT ? GP_OK : gp_fail_errno(err, errno, "cannot open '%s' to delete it", name);
    gp_code code = depth < MAX_DEPTH ? GP_OK : gp_fail(err, GP_ELIMIT, "'%s' lies too deep", name);
    for (struct dirent *e; code == GP_OK && (e = readdir(dir));) {
        struct stat st;
        if (is_dots(e->d_name) || fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        code = S_ISDIR(st.st_mode) ? delete_tree(dirfd(dir), e->d_name, depth + 1, err)
                                   : unlink_at(dirfd(dir), e->d_name, 0, err);
    }
    closedir(dir);
    return code == GP_OK ? unlink_at(at, name, AT_REMOVEDIR, err) : code;
}

static gp_code sync_folder(int fd, const char *name, gp_error *err)
{
    /* Some file systems cannot sync a folder; they order renames by themselves. */
    if (fsync(fd) == 0 || errno == EINVAL)
        return GP_OK;
    return gp_fail_errno(err, errno, "cannot sync folder '%s'", name);
}

/* Where removed days wait for deletion; -1 with errno. If this process is killed, another one goes on: the
 * folder belongs to whom the interface's belongs to. */
static int open_removed(int iface)
{
    gp_ownership own;
    if (mkdirat(iface, REMOVED_YEAR, 0700) != 0 && errno != EEXIST)
        return -1;
    gp_ownership_of_fd(iface, &own);
    own.folders = 0700;
    int fd = openat(iface, REMOVED_YEAR, FOLDER);
    if (fd >= 0)
        (void)gp_own(fd, &own);
    return fd;
}

static gp_code move_away(const place *p, int removed, char *name, size_t size, gp_error *err)
{
    enum { MOST = 1000 };
    for (unsigned i = 0; i < MOST; i++) {
        snprintf(name, size, REMOVED_PREFIX "%ld-%u", (long)getpid(), i);
        if (renameat(p->month, p->day_name, removed, name) == 0)
            return sync_folder(p->month, p->month_name, err);
        if (errno != EEXIST && errno != ENOTEMPTY)
            return gp_fail_errno(err, errno, "cannot move the folder away");
    }
    return gp_fail(err, GP_EEXIST, "too many folders of interrupted removals");
}

/* Succeeds only on an empty folder. */
static void remove_empty(int at, const char *name)
{
    (void)unlinkat(at, name, AT_REMOVEDIR);
}

static gp_code remove_entered(const place *p, gp_error *err)
{
    char name[64];
    struct stat st;
    if (fstatat(p->month, p->day_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? GP_OK : gp_fail_errno(err, errno, "cannot access the folder");
    if (!S_ISDIR(st.st_mode))
        return gp_fail(err, GP_EINVAL, "is no folder");
    int removed = open_removed(p->iface);
    if (removed < 0)
        return gp_fail_errno(err, errno, "cannot make the folder '" REMOVED_YEAR "' for removed days");
    gp_code code = move_away(p, removed, name, sizeof name, err);
    if (code == GP_OK)
        code = delete_tree(removed, name, 0, err);
    close(removed);
    remove_empty(p->iface, REMOVED_YEAR);
    remove_empty(p->year, p->month_name);
    remove_empty(p->iface, p->year_name);
    return code;
}

gp_code gp_retention_remove(const char *db, const char *iface, const gp_retention_day *day, gp_error *err)
{
    place p;
    gp_code code = GP_OK;
    if (enter(&p, db, iface, day->path) == 0)
        code = remove_entered(&p, err);
    else if (errno != ENOENT)
        code = gp_fail_errno(err, errno, "cannot open the folders above");
    leave(&p);
    if (code != GP_OK)
        gp_error_prefix(err, "%s", day->path);
    return code;
}

gp_code gp_retention_clean(const char *db, const char *iface, gp_error *err)
{
    int at = open_iface(db, iface);
    DIR *dir = at >= 0 ? open_dir(at, REMOVED_YEAR) : NULL;
    gp_code code = GP_OK;
    for (struct dirent *e; dir && code == GP_OK && (e = readdir(dir));)
        if (strncmp(e->d_name, REMOVED_PREFIX, strlen(REMOVED_PREFIX)) == 0)
            code = delete_tree(dirfd(dir), e->d_name, 0, err);
    if (dir) {
        closedir(dir);
        remove_empty(at, REMOVED_YEAR);
    }
    if (at >= 0)
        close(at);
    return code == GP_OK ? code : gp_error_prefix(err, "%s/%s/" REMOVED_YEAR, db, iface);
}

/* ---- limits as people write them ----------------------------------------------------------------------- */

/* A whole number; *end is behind it. */
static bool take_number(const char *text, int64_t *out, char **end)
{
    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    *out = strtoll(text, end, 10);
    return errno == 0;
}

gp_code gp_retention_parse_age(const char *text, int64_t *out_s, gp_error *err)
{
    char *end = NULL;
    int64_t n;
    int64_t ns;
    bool ok = take_number(text, &n, &end);
    if (ok && strcmp(end, "d") == 0)
        ok = !__builtin_mul_overflow(n, (int64_t)GP_DAY_SECONDS, &n);
    else if ((ok = gp_duration_parse(text, &ns, NULL) == GP_OK))
        n = ns / GP_NS_PER_SEC;
    if (!ok || (n != 0 && n < GP_DAY_SECONDS) || n > GP_TIME_MAX / 2)
        return gp_fail(err, GP_EINVAL, "\"%.80s\" is not an age of a day or more (for example 90d or 2160h)",
                       text);
    *out_s = n;
    return GP_OK;
}

gp_code gp_retention_parse_size(const char *text, int64_t *out, gp_error *err)
{
    static const char suffixes[] = "kMGT";
    char *end = NULL;
    int64_t n;
    bool ok = take_number(text, &n, &end);
    const char *suffix = ok && *end ? strchr(suffixes, *end == 'K' ? 'k' : *end) : NULL;
    if (suffix) {
        ok = !__builtin_mul_overflow(n, INT64_C(1024) << (10 * (suffix - suffixes)), &n);
        end++;
    }
    if (!ok || *end)
        return gp_fail(err, GP_EINVAL, "\"%.80s\" is not a size in bytes (for example 500M or 20G)", text);
    *out = n;
    return GP_OK;
}

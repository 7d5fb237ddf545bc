#include "client/gpdb/rebuild.h"

#include "sensor/godb/append.h"
#include "sensor/godb/bitpack.h"
#include "sensor/godb/dayindex.h"
#include "sensor/godb/daypath.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct gp_stage {
    char db[GP_DB_PATH_MAX];
    char path[GP_DB_PATH_MAX];
    unsigned n_removed; /* folders that were taken out of the database */
    gp_codec *codec;
    gp_buf raw; /* scratch: one column */
};

/* ---- files --------------------------------------------------------------------------------------------- */

static gp_code sync_folder(const char *path, gp_error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return gp_fail_errno(err, errno, "cannot open folder '%s'", path);
    int rc = fsync(fd);
    int saved = errno;
    close(fd);
    return rc == 0 || saved == EINVAL ? GP_OK : gp_fail_errno(err, saved, "cannot sync folder '%s'", path);
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void folder_of(const char *path, char *dst)
{
    snprintf(dst, GP_DB_PATH_MAX, "%.*s", (int)(last_part(path) - path - 1), path);
}

static gp_code make_parents(const char *path, const gp_ownership *own, gp_error *err)
{
    char folder[GP_DB_PATH_MAX];
    folder_of(path, folder);
    return gp_folders_make(folder, 0755, own, err);
}

static gp_code copy_bytes(int from, int to, const char *name, gp_error *err)
{
    char buf[1 << 16];
    for (;;) {
        ssize_t n = read(from, buf, sizeof buf);
        if (n == 0)
            return fsync(to) == 0 ? GP_OK : gp_fail_errno(err, errno, "cannot sync the copy of '%s'", name);
        if (n < 0 && errno != EINTR)
            return gp_fail_errno(err, errno, "cannot read '%s'", name);
        for (ssize_t done = 0; done < n;) {
            ssize_t w = write(to, buf + done, (size_t)(n - done));
            if (w < 0 && errno != EINTR)
                return gp_fail_errno(err, errno, "cannot write the copy of '%s'", name);
            done += w > 0 ? w : 0;
        }
    }
}

static gp_code copy_file(int from_at, int to_at, const char *name, gp_error *err)
{
    struct stat st;
    int from = openat(from_at, name, O_RDONLY | O_CLOEXEC);
    if (from < 0 || fstat(from, &st) != 0) {
        int saved = errno;
        if (from >= 0)
            close(from);
        return gp_fail_errno(err, saved, "cannot open '%s'", name);
    }
    gp_code code = GP_OK;
    int to = openat(to_at, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, st.st_mode & 0777);
    if (to < 0 || !gp_own_like(to, &st))
        code = gp_fail_errno(err, errno, "cannot create the copy of '%s'", name);
    else
        code = copy_bytes(from, to, name, err);
    if (to >= 0 && close(to) != 0 && code == GP_OK)
        code = gp_fail_errno(err, errno, "cannot write the copy of '%s'", name);
    close(from);
    return code;
}

/* Files only: a day has no folders. */
static gp_code copy_files(DIR *from, int to_at, gp_error *err)
{
    gp_code code = GP_OK;
    for (struct dirent *e; code == GP_OK && (e = readdir(from));) {
        struct stat st;
        if (fstatat(dirfd(from), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
            code = copy_file(dirfd(from), to_at, e->d_name, err);
    }
    return code;
}

static gp_code copy_open_folder(DIR *from, const char *to, gp_error *err)
{
    struct stat st;
    if (fstat(dirfd(from), &st) != 0 || mkdir(to, st.st_mode & 0777) != 0)
        return gp_fail_errno(err, errno, "cannot create folder '%s'", to);
    int fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return gp_fail_errno(err, errno, "cannot open folder '%s'", to);
    gp_code code = copy_files(from, fd, err);
    if (code == GP_OK && !gp_own_like(fd, &st))
        code = gp_fail_errno(err, errno, "cannot set the owner of '%s'", to);
    close(fd);
    return code == GP_OK ? sync_folder(to, err) : code;
}

gp_code gp_copy_folder(const char *from, const char *to, const gp_ownership *above, gp_error *err)
{
    gp_code code = make_parents(to, above, err);
    if (code != GP_OK)
        return code;
    DIR *dir = opendir(from);
    if (!dir)
        return gp_fail_errno(err, errno, "cannot open folder '%s'", from);
    code = copy_open_folder(dir, to, err);
    closedir(dir);
    return code == GP_OK ? code : gp_error_prefix(err, "%s", from);
}

/* ---- the stage ----------------------------------------------------------------------------------------- */

gp_code gp_stage_new(gp_stage **out, const char *db, gp_error *err)
{
    gp_stage *s = calloc(1, sizeof *s);
    if (!s)
        return gp_fail(err, GP_ENOMEM, "out of memory for a stage");
    gp_code code = GP_OK;
    snprintf(s->db, sizeof s->db, "%s", db);
    int n = snprintf(s->path, sizeof s->path, "%s/" GP_STAGE_PREFIX "XXXXXX", db);
    if (n >= (int)sizeof s->path)
        code = gp_fail(err, GP_EINVAL, "the path '%s' is too long", db);
    else if (!mkdtemp(s->path))
        code = gp_fail_errno(err, errno, "cannot create a folder in '%s'", db);
    if (code == GP_OK)
        code = gp_codec_new(&s->codec, err);
    if (code != GP_OK) {
        s->path[0] = '\0';
        gp_stage_free(s);
        return code;
    }
    *out = s;
    return GP_OK;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

void gp_stage_free(gp_stage *s)
{
    enum { OPEN_FOLDERS = 8 };
    if (!s)
        return;
    if (s->path[0])
        (void)nftw(s->path, remove_entry, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
    gp_codec_free(s->codec);
    gp_buf_free(&s->raw);
    free(s);
}

/* ---- building ------------------------------------------------------------------------------------------ */

static gp_code take_column(gp_stage *s, const gp_block_ref *ref, gp_column col, gp_appender *to,
                           uint64_t *sum, gp_error *err)
{
    const gp_block_info *info = &gp_day_meta(ref->day)->blocks[ref->block];
    const gp_block_loc *loc = &info->col[col];
    const uint8_t *stored = NULL;
    size_t n = (size_t)(info->n_v4 + info->n_v6);
    gp_code code = gp_day_read_column(ref->day, s->codec, ref->block, col, &s->raw, err);
    if (code != GP_OK || (n == 0 && loc->raw_len == 0))
        return code;
    code = gp_block_check_column(info, col, (const uint8_t *)s->raw.data, s->raw.len, err);
    if (code == GP_OK && (col == GP_COL_SIP || col == GP_COL_DIP))
        gp_appender_addresses(to, info->ts, (const uint8_t *)s->raw.data, info->n_v4, info->n_v6);
    if (code == GP_OK && col >= GP_COL_ATTR_COUNT)
        *sum = gp_bitpack_sum((const uint8_t *)s->raw.data, s->raw.len);
    if (code == GP_OK)
        code = gp_day_stored_column(ref->day, ref->block, col, &stored, err);
    if (code == GP_OK)
        code = gp_appender_column(to, col, (gp_codec_type)loc->codec, stored, loc->len, loc->raw_len, err);
    return code;
}

static gp_code take_block(gp_stage *s, const gp_block_ref *ref, gp_appender *to, gp_error *err)
{
    const gp_block_info *info = &gp_day_meta(ref->day)->blocks[ref->block];
    uint64_t sums[GP_COL_COUNT] = {0};
    gp_code code = GP_OK;
    for (unsigned col = 0; col < GP_COL_COUNT && code == GP_OK; col++)
        code = take_column(s, ref, (gp_column)col, to, &sums[col], err);
    if (code != GP_OK)
        return gp_error_prefix(err, "%s: block %lld", gp_day_path(ref->day), (long long)info->ts);
    const gp_day_summary sum = {
        info->n_v4,
        info->n_v6,
        info->drops,
        {sums[GP_COL_BYTES_RCVD], sums[GP_COL_BYTES_SENT], sums[GP_COL_PKTS_RCVD], sums[GP_COL_PKTS_SENT]}};
    return gp_appender_block(to, info->ts, &sum, err);
}

/* Files get the permissions of the day that they come from. */
static mode_t permissions_of(const gp_block_ref *blocks, size_t n)
{
    struct stat st;
    if (n == 0 || fstatat(gp_day_fd(blocks[0].day), GP_BLOCKMETA_FILE, &st, 0) != 0)
        return 0;
    return st.st_mode & 0777;
}

gp_code gp_stage_build(gp_stage *s, const char *iface, int64_t day, const gp_block_ref *blocks, size_t n,
                       gp_error *err)
{
    const gp_append_config cfg = {.db = s->path, .iface = iface, .permissions = permissions_of(blocks, n)};
    gp_appender *to = NULL;
    gp_code code = gp_appender_open(&to, &cfg, day, err);
    for (size_t i = 0; i < n && code == GP_OK; i++)
        code = take_block(s, &blocks[i], to, err);
    if (code == GP_OK)
        code = gp_appender_commit(to, err);
    gp_appender_close(to);
    return code;
}

static gp_code join(char *dst, const char *folder, const char *name, gp_error *err)
{
    if (snprintf(dst, GP_DB_PATH_MAX, "%s/%s", folder, name) < GP_DB_PATH_MAX)
        return GP_OK;
    return gp_fail(err, GP_EINVAL, "the path '%s/%s' is too long", folder, name);
}

gp_code gp_stage_copy(gp_stage *s, const char *iface, int64_t day, const char *path, gp_error *err)
{
    char month[GP_DB_PATH_MAX];
    char to[GP_DB_PATH_MAX];
    gp_code code = gp_month_path(s->path, iface, day, month, err);
    if (code == GP_OK)
        code = join(to, month, last_part(path), err);
    return code == GP_OK ? gp_copy_folder(path, to, NULL, err) : code;
}

/* ---- exchanging ---------------------------------------------------------------------------------------- */

gp_code gp_stage_remove(gp_stage *s, const char *path, gp_error *err)
{
    char to[GP_DB_PATH_MAX];
    char month[GP_DB_PATH_MAX];
    char name[32];
    snprintf(name, sizeof name, "removed-%u", s->n_removed++);
    gp_code code = join(to, s->path, name, err);
    if (code != GP_OK)
        return code;
    if (rename(path, to) != 0)
        return gp_fail_errno(err, errno, "cannot move '%s'", path);
    folder_of(path, month);
    return sync_folder(month, err);
}

/* The staged folder under the name of the replaced one, in one step where the file system can do that. */
static gp_code exchange(gp_stage *s, const char *staged, const char *replaced, gp_error *err)
{
    if (renameat2(AT_FDCWD, staged, AT_FDCWD, replaced, RENAME_EXCHANGE) == 0)
        return GP_OK;
    if (errno != EINVAL && errno != ENOSYS)
        return gp_fail_errno(err, errno, "cannot exchange '%s' with '%s'", replaced, staged);
    gp_code code = gp_stage_remove(s, replaced, err);
    if (code == GP_OK && rename(staged, replaced) != 0)
        code = gp_fail_errno(err, errno, "cannot rename '%s' to '%s'", staged, replaced);
    return code;
}

static gp_code give_name(const char *path, const char *name, gp_error *err)
{
    char month[GP_DB_PATH_MAX];
    char to[GP_DB_PATH_MAX];
    folder_of(path, month);
    gp_code code = join(to, month, name, err);
    if (code == GP_OK && strcmp(path, to) != 0 && rename(path, to) != 0)
        code = gp_fail_errno(err, errno, "cannot rename '%s' to '%s'", path, to);
    return code == GP_OK ? sync_folder(month, err) : code;
}

static gp_code place_new(const gp_stage *s, const char *iface, int64_t day, const char *staged, gp_error *err)
{
    char month[GP_DB_PATH_MAX];
    char to[GP_DB_PATH_MAX];
    gp_ownership above;
    gp_ownership_find(s->db, iface, &above);
    gp_code code = gp_month_path(s->db, iface, day, month, err);
    if (code == GP_OK)
        code = join(to, month, last_part(staged), err);
    if (code == GP_OK)
        code = make_parents(to, &above, err);
    if (code == GP_OK && rename(staged, to) != 0)
        code = gp_fail_errno(err, errno, "cannot rename '%s' to '%s'", staged, to);
    return code == GP_OK ? sync_folder(month, err) : code;
}

/* The additional files of a day that nobody writes to any more; without, queries of it are only slower. */
static void index_staged(gp_stage *s, const char *staged, int64_t day)
{
    gp_day_index_report report;
    gp_day *d = NULL;
    if (day >= gp_day_start((int64_t)time(NULL)) || gp_day_open_path(&d, staged, NULL) != GP_OK)
        return;
    (void)gp_day_index(d, s->codec, false, &report, NULL);
    gp_day_close(d);
}

gp_code gp_stage_commit(gp_stage *s, const char *iface, int64_t day, const char *replaced, gp_error *err)
{
    char staged[GP_DB_PATH_MAX];
    gp_ownership own;
    int fd = -1;
    gp_code code = gp_day_folder_open(s->path, iface, day, &fd, staged, err);
    if (code != GP_OK)
        return code;
    close(fd);
    if (replaced)
        gp_ownership_of(replaced, &own);
    else
        gp_ownership_find(s->db, iface, &own);
    code = gp_own_folder(staged, &own, err);
    if (code != GP_OK)
        return code;
    index_staged(s, staged, day);
    if (!replaced)
        return place_new(s, iface, day, staged, err);
    code = exchange(s, staged, replaced, err);
    return code == GP_OK ? give_name(replaced, last_part(staged), err) : code;
}

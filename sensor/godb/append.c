#include "sensor/godb/append.h"

#include "proto/base/fileio.h"
#include "proto/base/filestamp.h"
#include "sensor/godb/blockfilter.h"
#include "sensor/godb/blocksums.h"
#include "sensor/godb/daypath.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What goes to an additional file: the records of the blocks that are not committed. */
typedef struct records {
    gp_buf bytes;
    uint64_t at; /* where they belong in the file */
} records;

struct gp_appender {
    gp_append_config cfg; /* without db and iface */
    int64_t day;
    char month_path[GP_DB_PATH_MAX];
    char name[256];
    gp_ownership own;         /* of what is made */
    mode_t asked;             /* permissions of the configuration; 0: none */
    int month_fd, fd;         /* -1 from a commit until gp_appender_resume */
    int col_fd[GP_COL_COUNT]; /* -1: not open */
    gp_filestamp written;     /* .blockmeta, as the last commit left it */
    bool resumed;
    gp_blockmeta meta;
    gp_block_info next;   /* the block being appended */
    gp_buf meta_bytes;    /* scratch */
    uint64_t fingerprint; /* of all blocks in meta */
    gp_addr_marks marks;  /* of the block being appended */
    unsigned n_marked;    /* its columns in there */
    records sums, filters;
};

static void step(const gp_appender *a, const char *name)
{
    if (a->cfg.before_step)
        a->cfg.before_step(a->cfg.before_step_ctx, name);
}

static gp_code sync_fd(const gp_appender *a, int fd, const char *what, gp_error *err)
{
    if (a->cfg.no_sync)
        return GP_OK;
    step(a, what);
    /* Some file systems cannot sync a folder; they order renames by themselves. */
    if (fsync(fd) != 0 && errno != EINVAL)
        return gp_fail_errno(err, errno, "cannot sync %s of '%s/%s'", what, a->month_path, a->name);
    return GP_OK;
}

/* ---- the day folder ------------------------------------------------------------------------------------ */

static mode_t folder_mode(mode_t files)
{
    return files | (files & 0444) >> 2;
}

/* What is made gets the ownership of a folder, and its permissions where none were asked for. */
static void inherit(gp_appender *a, const gp_ownership *from)
{
    a->own = *from;
    if (a->asked) {
        a->own.files = a->asked;
        a->own.folders = folder_mode(a->asked);
    }
    if (a->own.known)
        a->cfg.permissions = a->own.files;
}

static void inherit_day(gp_appender *a)
{
    gp_ownership day;
    gp_ownership_of_fd(a->fd, &day);
    inherit(a, &day);
}

static gp_code own(const gp_appender *a, int fd, const char *what, gp_error *err)
{
    if (gp_own(fd, &a->own))
        return GP_OK;
    return gp_fail_errno(err, errno, "cannot set the owner of '%s/%s/%s'", a->month_path, a->name, what);
}

static gp_code open_month(gp_appender *a, gp_error *err)
{
    a->month_fd = open(a->month_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (a->month_fd < 0 && errno == ENOENT) {
        gp_code code = gp_folders_make(a->month_path, folder_mode(a->cfg.permissions), &a->own, err);
        if (code != GP_OK)
            return code;
        a->month_fd = open(a->month_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (a->month_fd < 0)
        return gp_fail_errno(err, errno, "cannot open folder '%s'", a->month_path);
    return GP_OK;
}

static gp_code enter_day(gp_appender *a, gp_error *err)
{
    gp_code code = open_month(a, err);
    if (code != GP_OK)
        return code;
    bool made = gp_day_find(a->month_path, a->day, a->name, NULL) != GP_OK;
    if (made) {
        snprintf(a->name, sizeof a->name, "%lld", (long long)a->day);
        step(a, "create day folder");
        if (mkdirat(a->month_fd, a->name, folder_mode(a->cfg.permissions)) != 0)
            return gp_fail_errno(err, errno, "cannot create folder '%s/%s'", a->month_path, a->name);
    }
    a->fd = openat(a->month_fd, a->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (a->fd < 0)
        return gp_fail_errno(err, errno, "cannot open folder '%s/%s'", a->month_path, a->name);
    if (made)
        return own(a, a->fd, ".", err);
    if (a->cfg.inherit)
        inherit_day(a);
    return GP_OK;
}

static gp_code read_all(int fd, size_t len, gp_buf *out, gp_error *err)
{
    if (!gp_buf_reserve(out, len))
        return gp_fail(err, GP_ENOMEM, "out of memory for block metadata");
    while (out->len < len) {
        ssize_t n = pread(fd, out->data + out->len, len - out->len, (off_t)out->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return gp_fail_errno(err, n ? errno : EIO, "cannot read block metadata");
        out->len += (size_t)n;
    }
    return GP_OK;
}

static gp_code load_meta(gp_appender *a, gp_error *err)
{
    struct stat st;
    int fd = openat(a->fd, GP_BLOCKMETA_FILE, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return GP_OK; /* a new day, or one whose first block never became complete */
    if (fd < 0)
        return gp_fail_errno(err, errno, "cannot open '%s/%s/" GP_BLOCKMETA_FILE "'", a->month_path, a->name);
    gp_code code = fstat(fd, &st) == 0 ? read_all(fd, (size_t)st.st_size, &a->meta_bytes, err)
                                       : gp_fail_errno(err, errno, "cannot read block metadata");
    close(fd);
    if (code == GP_OK)
        code = gp_blockmeta_decode((const uint8_t *)a->meta_bytes.data, a->meta_bytes.len, &a->meta, err);
    if (code != GP_OK)
        gp_error_prefix(err, "'%s/%s'%s", a->month_path, a->name,
                        code == GP_ECORRUPT ? " is damaged (see gpdb check)" : "");
    return code;
}

static bool has_stamp(int folder, const char *name, const gp_filestamp *stamp)
{
    struct stat st;
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    const gp_filestamp now = gp_filestamp_of(&st);
    return gp_filestamp_equal(&now, stamp);
}

bool gp_appender_resume(gp_appender *a)
{
    a->month_fd = open(a->month_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (a->month_fd >= 0)
        a->fd = openat(a->month_fd, a->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    a->resumed = a->fd >= 0 && has_stamp(a->fd, GP_BLOCKMETA_FILE, &a->written);
    return a->resumed;
}

gp_code gp_appender_open(gp_appender **out, const gp_append_config *cfg, int64_t ts, gp_error *err)
{
    gp_appender *a = calloc(1, sizeof *a);
    if (!a)
        return gp_fail(err, GP_ENOMEM, "out of memory for writing to a database");
    a->cfg = *cfg;
    a->cfg.db = a->cfg.iface = NULL; /* the caller's */
    a->asked = cfg->permissions;
    if (!a->cfg.permissions)
        a->cfg.permissions = 0644;
    if (cfg->inherit) {
        gp_ownership above;
        gp_ownership_find(cfg->db, cfg->iface, &above);
        inherit(a, &above);
    }
    a->day = gp_day_start(ts);
    a->month_fd = a->fd = -1;
    for (unsigned i = 0; i < GP_COL_COUNT; i++)
        a->col_fd[i] = -1;
    gp_blockmeta_init(&a->meta);
    a->fingerprint = GP_FINGERPRINT_START;
    gp_code code = gp_month_path(cfg->db, cfg->iface, a->day, a->month_path, err);
    if (code == GP_OK)
        code = enter_day(a, err);
    if (code == GP_OK)
        code = load_meta(a, err);
    for (size_t i = 0; code == GP_OK && i < a->meta.n_blocks; i++) {
        a->fingerprint = gp_block_fingerprint(a->fingerprint, &a->meta.blocks[i]);
        a->sums.at += gp_blocksums_size(&a->meta.blocks[i]);
        a->filters.at += gp_blockfilter_size(&a->meta.blocks[i]);
    }
    if (code != GP_OK) {
        gp_appender_close(a);
        return code;
    }
    *out = a;
    return GP_OK;
}

static void close_folders(gp_appender *a)
{
    if (a->fd >= 0)
        close(a->fd);
    if (a->month_fd >= 0)
        close(a->month_fd);
    a->fd = a->month_fd = -1;
}

void gp_appender_close(gp_appender *a)
{
    if (!a)
        return;
    for (unsigned i = 0; i < GP_COL_COUNT; i++)
        if (a->col_fd[i] >= 0)
            close(a->col_fd[i]);
    close_folders(a);
    gp_blockmeta_free(&a->meta);
    gp_buf_free(&a->meta_bytes);
    gp_addr_marks_free(&a->marks);
    gp_buf_free(&a->sums.bytes);
    gp_buf_free(&a->filters.bytes);
    free(a);
}

const gp_blockmeta *gp_appender_meta(const gp_appender *a)
{
    return &a->meta;
}

/* ---- columns ------------------------------------------------------------------------------------------- */

static gp_code write_exact(const gp_appender *a, int fd, const void *data, size_t len, uint64_t offset,
                           const char *what, gp_error *err)
{
    if (gp_pwrite_all(fd, data, len, offset))
        return GP_OK;
    return gp_fail_errno(err, errno, "cannot write '%s/%s/%s'", a->month_path, a->name, what);
}

static gp_code open_column(gp_appender *a, gp_column col, const char *name, gp_error *err)
{
    a->col_fd[col] = openat(a->fd, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, a->cfg.permissions);
    if (a->col_fd[col] < 0)
        return gp_fail_errno(err, errno, "cannot open '%s/%s/%s'", a->month_path, a->name, name);
    return own(a, a->col_fd[col], name, err);
}

gp_code gp_appender_column(gp_appender *a, gp_column col, gp_codec_type codec, const void *stored,
                           uint32_t len, uint32_t raw_len, gp_error *err)
{
    char name[GP_COLUMN_FILE_MAX];
    gp_column_file(col, name);
    step(a, name);
    gp_code code = a->col_fd[col] < 0 ? open_column(a, col, name, err) : GP_OK;
    if (code != GP_OK)
        return code;
    a->next.col[col] = (gp_block_loc){a->meta.col_end[col], len, raw_len, (uint8_t)codec};
    return write_exact(a, a->col_fd[col], stored, len, a->meta.col_end[col], name, err);
}

gp_code gp_appender_accepts(const gp_appender *a, int64_t ts, gp_error *err)
{
    const gp_blockmeta *m = &a->meta;
    int64_t last = m->n_blocks ? m->blocks[m->n_blocks - 1].ts : INT64_MIN;
    if (last < ts)
        return GP_OK;
    return gp_fail(err, GP_EEXIST, "'%s/%s' already holds blocks up to %lld; block %lld cannot be appended",
                   a->month_path, a->name, (long long)last, (long long)ts);
}

void gp_appender_addresses(gp_appender *a, int64_t ts, const uint8_t *column, size_t n_v4, size_t n_v6)
{
    if (!gp_blockfilter_suits(n_v4, n_v6))
        return;
    gp_addr_marks_add(&a->marks, ts, column, n_v4, n_v6);
    a->n_marked++;
}

/* The records of the block that was just appended. */
static void put_records(gp_appender *a, const gp_counters *sum)
{
    enum { ADDRESS_COLUMNS = 2 };
    if (a->n_marked != ADDRESS_COLUMNS)
        gp_addr_marks_clear(&a->marks);
    a->fingerprint = gp_block_fingerprint(a->fingerprint, &a->next);
    gp_blocksums_put(&a->sums.bytes, a->fingerprint, &a->next, sum);
    gp_blockfilter_put(&a->filters.bytes, a->fingerprint, &a->next, &a->marks);
    gp_addr_marks_clear(&a->marks);
    a->n_marked = 0;
}

gp_code gp_appender_block(gp_appender *a, int64_t ts, const gp_day_summary *sum, gp_error *err)
{
    const gp_blockmeta *m = &a->meta;
    gp_code code = gp_appender_accepts(a, ts, err);
    if (code != GP_OK)
        return code;
    a->next.ts = ts;
    a->next.n_v4 = sum->n_v4;
    a->next.n_v6 = sum->n_v6;
    a->next.drops = sum->drops;
    for (unsigned col = 0; col < GP_COL_COUNT; col++)
        if (a->next.col[col].raw_len == 0)
            a->next.col[col] = (gp_block_loc){.offset = m->col_end[col], .codec = GP_CODEC_NULL};
    code = gp_blockmeta_append(&a->meta, &a->next, err);
    if (code != GP_OK)
        return code;
    for (unsigned col = 0; col < GP_COL_COUNT; col++)
        a->meta.col_end[col] += a->next.col[col].len;
    a->meta.sum.n_v4 += sum->n_v4;
    a->meta.sum.n_v6 += sum->n_v6;
    a->meta.sum.drops += sum->drops;
    gp_counters_add(&a->meta.sum.c, &sum->c);
    put_records(a, &sum->c);
    a->next = (gp_block_info){0};
    return GP_OK;
}

/* ---- metadata ------------------------------------------------------------------------------------------ */

/* Temporary files of writes that never came to their rename. */
static void remove_leftovers(const gp_appender *a)
{
    int fd = openat(a->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *e; (e = readdir(dir));)
        if (strncmp(e->d_name, GP_TEMP_META_PREFIX, strlen(GP_TEMP_META_PREFIX)) == 0)
            (void)unlinkat(a->fd, e->d_name, 0);
    closedir(dir);
}

static gp_code write_temp_meta(gp_appender *a, const char *name, gp_error *err)
{
    struct stat st = {0};
    step(a, "create temporary metadata");
    int fd = openat(a->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, a->cfg.permissions);
    if (fd < 0)
        return gp_fail_errno(err, errno, "cannot create '%s/%s/%s'", a->month_path, a->name, name);
    gp_code code = write_exact(a, fd, a->meta_bytes.data, a->meta_bytes.len, 0, name, err);
    if (code == GP_OK && fchmod(fd, a->cfg.permissions) != 0)
        code = gp_fail_errno(err, errno, "cannot set the permissions of '%s/%s/%s'", a->month_path, a->name,
                             name);
    if (code == GP_OK)
        code = own(a, fd, name, err);
    if (code == GP_OK)
        code = sync_fd(a, fd, "temporary metadata", err);
    if (code == GP_OK && fstat(fd, &st) != 0)
        code = gp_fail_errno(err, errno, "cannot look at '%s/%s/%s'", a->month_path, a->name, name);
    if (close(fd) != 0 && code == GP_OK)
        code = gp_fail_errno(err, errno, "cannot write '%s/%s/%s'", a->month_path, a->name, name);
    a->written = gp_filestamp_of(&st);
    return code;
}

static gp_code replace_meta(gp_appender *a, gp_error *err)
{
    char name[64];
    snprintf(name, sizeof name, GP_TEMP_META_PREFIX "%ld", (long)getpid());
    gp_buf_clear(&a->meta_bytes);
    gp_code code = gp_blockmeta_encode(&a->meta, &a->meta_bytes, err);
    if (code != GP_OK)
        return code;
    if (!a->resumed)
        remove_leftovers(a);
    code = write_temp_meta(a, name, err);
    if (code == GP_OK)
        step(a, "replace metadata");
    if (code == GP_OK && renameat(a->fd, name, a->fd, GP_BLOCKMETA_FILE) != 0)
        code =
            gp_fail_errno(err, errno, "cannot replace '%s/%s/" GP_BLOCKMETA_FILE "'", a->month_path, a->name);
    if (code != GP_OK) {
        (void)unlinkat(a->fd, name, 0);
        return code;
    }
    return sync_fd(a, a->fd, "the folder", err);
}

static gp_code rename_day(gp_appender *a, gp_error *err)
{
    char name[GP_DAYNAME_MAX];
    gp_dayname_format(a->day, &a->meta.sum, name);
    if (strcmp(name, a->name) == 0)
        return GP_OK;
    step(a, "rename day folder");
    if (renameat(a->month_fd, a->name, a->month_fd, name) != 0)
        return gp_fail_errno(err, errno, "cannot rename '%s/%s' to '%s'", a->month_path, a->name, name);
    snprintf(a->name, sizeof a->name, "%s", name);
    return sync_fd(a, a->month_fd, "the folder above", err);
}

static gp_code finish_columns(gp_appender *a, gp_error *err)
{
    gp_code code = GP_OK;
    for (unsigned i = 0; i < GP_COL_COUNT; i++) {
        char name[32];
        int fd = a->col_fd[i];
        if (fd < 0)
            continue;
        gp_column_file((gp_column)i, name);
        if (code == GP_OK)
            code = sync_fd(a, fd, name, err);
        a->col_fd[i] = -1;
        if (close(fd) != 0 && code == GP_OK)
            code = gp_fail_errno(err, errno, "cannot write '%s/%s/%s'", a->month_path, a->name, name);
    }
    return code;
}

/*
 * Records come after the block, so that none is left of a block that never was: one of the same time could be
 * written in its place. They are neither synced nor is it an error if they cannot be written: a block without
 * is read as any other.
 */
static void write_records(gp_appender *a, records *r, const char *name)
{
    if (r->bytes.len == 0 || r->bytes.failed)
        return;
    step(a, name);
    int fd = openat(a->fd, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, a->cfg.permissions);
    if (fd < 0)
        return;
    (void)own(a, fd, name, NULL);
    (void)write_exact(a, fd, r->bytes.data, r->bytes.len, r->at, name, NULL);
    (void)close(fd);
    r->at += r->bytes.len;
    gp_buf_clear(&r->bytes);
}

gp_code gp_appender_commit(gp_appender *a, gp_error *err)
{
    gp_code code = finish_columns(a, err);
    if (code == GP_OK)
        code = replace_meta(a, err);
    if (code != GP_OK)
        return code;
    write_records(a, &a->sums, GP_BLOCKSUMS_FILE);
    write_records(a, &a->filters, GP_BLOCKFILTER_FILE);
    code = rename_day(a, err);
    close_folders(a);
    return code;
}

#include "sensor/godb/writer.h"

#include "sensor/godb/bitpack.h"
#include "sensor/godb/daypath.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMP_PREFIX ".tmp-metadata-"

struct gp_writer {
    gp_writer_config cfg;
    char *db, *iface;
    gp_codec *codec;
    gp_buf raw, packed, meta_bytes; /* scratch */
    uint64_t *values;               /* scratch: one counter column */
    size_t values_cap;
};

/* The day folder that a write works in. */
typedef struct open_day {
    int64_t day;
    char month_path[GP_DB_PATH_MAX];
    char name[256];
    int month_fd, fd;
    gp_blockmeta meta;
} open_day;

gp_code gp_writer_new(gp_writer **out, const gp_writer_config *cfg, gp_error *err)
{
    char path[GP_DB_PATH_MAX];
    gp_code code = gp_iface_path(cfg->db, cfg->iface, path, err);
    if (code != GP_OK)
        return code;
    gp_writer *w = calloc(1, sizeof *w);
    if (!w)
        return gp_fail(err, GP_ENOMEM, "out of memory for a database writer");
    w->cfg = *cfg;
    if (!w->cfg.permissions)
        w->cfg.permissions = 0644;
    w->db = strdup(cfg->db);
    w->iface = strdup(cfg->iface);
    code = w->db && w->iface ? gp_codec_new(&w->codec, err)
                             : gp_fail(err, GP_ENOMEM, "out of memory for a database writer");
    if (code != GP_OK) {
        gp_writer_free(w);
        return code;
    }
    *out = w;
    return GP_OK;
}

void gp_writer_free(gp_writer *w)
{
    if (!w)
        return;
    gp_codec_free(w->codec);
    gp_buf_free(&w->raw);
    gp_buf_free(&w->packed);
    gp_buf_free(&w->meta_bytes);
    free(w->values);
    free(w->db);
    free(w->iface);
    free(w);
}

static void step(const gp_writer *w, const char *name)
{
    if (w->cfg.before_step)
        w->cfg.before_step(w->cfg.before_step_ctx, name);
}

static gp_code sync_fd(const gp_writer *w, int fd, const char *what, gp_error *err)
{
    if (w->cfg.no_sync)
        return GP_OK;
    step(w, what);
    /* Some file systems cannot sync a folder; they order renames by themselves. */
    if (fsync(fd) != 0 && errno != EINVAL)
        return gp_fail_errno(err, errno, "cannot sync %s", what);
    return GP_OK;
}

/* ---- the day folder ---------------------------------------------------------------------------------- */

static mode_t folder_mode(mode_t files)
{
    return files | (files & 0444) >> 2;
}

static gp_code make_folders(const gp_writer *w, char *path, gp_error *err)
{
    for (char *slash = path; slash;) {
        slash = strchr(slash + 1, '/');
        if (slash)
            *slash = '\0';
        if (mkdir(path, folder_mode(w->cfg.permissions)) != 0 && errno != EEXIST)
            return gp_fail_errno(err, errno, "cannot create folder '%s'", path);
        if (slash)
            *slash = '/';
    }
    return GP_OK;
}

/* Looks for the folder of the day, makes it (with everything above) if there is none. */
static gp_code enter_day(const gp_writer *w, open_day *d, gp_error *err)
{
    gp_code code = gp_month_path(w->db, w->iface, d->day, d->month_path, err);
    if (code == GP_OK)
        code = make_folders(w, d->month_path, err);
    if (code != GP_OK)
        return code;
    d->month_fd = open(d->month_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->month_fd < 0)
        return gp_fail_errno(err, errno, "cannot open folder '%s'", d->month_path);
    if (gp_day_find(d->month_path, d->day, d->name, NULL) != GP_OK) {
        snprintf(d->name, sizeof d->name, "%lld", (long long)d->day);
        step(w, "create day folder");
        if (mkdirat(d->month_fd, d->name, folder_mode(w->cfg.permissions)) != 0)
            return gp_fail_errno(err, errno, "cannot create folder '%s/%s'", d->month_path, d->name);
    }
    d->fd = openat(d->month_fd, d->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->fd < 0)
        return gp_fail_errno(err, errno, "cannot open folder '%s/%s'", d->month_path, d->name);
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

static gp_code load_meta(gp_writer *w, open_day *d, gp_error *err)
{
    struct stat st;
    int fd = openat(d->fd, GP_BLOCKMETA_FILE, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return GP_OK; /* a new day, or one whose first block never became complete */
    if (fd < 0 || fstat(fd, &st) != 0)
        return gp_fail_errno(err, errno, "cannot open '%s/%s/" GP_BLOCKMETA_FILE "'", d->month_path, d->name);
    gp_buf_clear(&w->meta_bytes);
    gp_code code = read_all(fd, (size_t)st.st_size, &w->meta_bytes, err);
    close(fd);
    if (code == GP_OK)
        code = gp_blockmeta_decode((const uint8_t *)w->meta_bytes.data, w->meta_bytes.len, &d->meta, err);
    if (code == GP_ECORRUPT)
        gp_error_prefix(err, "'%s/%s' is damaged; move it aside to write this day anew", d->month_path,
                        d->name);
    return code;
}

static gp_code open_for_append(gp_writer *w, open_day *d, gp_error *err)
{
    gp_blockmeta_init(&d->meta);
    gp_code code = enter_day(w, d, err);
    return code == GP_OK ? load_meta(w, d, err) : code;
}

static void leave_day(open_day *d)
{
    gp_blockmeta_free(&d->meta);
    if (d->fd >= 0)
        close(d->fd);
    if (d->month_fd >= 0)
        close(d->month_fd);
}

/* ---- columns ------------------------------------------------------------------------------------------ */

/* IPv4 before IPv6, then by addresses, port and protocol: neighbours share prefixes, which compresses well.
 */
static int compare_flows(const void *a, const void *b)
{
    const gp_flow *x = a;
    const gp_flow *y = b;
    int c = gp_addr_cmp(&x->sip, &y->sip);
    if (c == 0)
        c = gp_addr_cmp(&x->dip, &y->dip);
    if (c == 0)
        c = (x->dport > y->dport) - (x->dport < y->dport);
    if (c == 0)
        c = (x->proto > y->proto) - (x->proto < y->proto);
    return c;
}

static void put_attribute(gp_buf *b, gp_column col, const gp_flow *f)
{
    const uint8_t port[2] = {(uint8_t)(f->dport >> 8), (uint8_t)f->dport};
    switch (col) {
    case GP_COL_SIP:
        gp_buf_add(b, f->sip.bytes, f->sip.len);
        break;
    case GP_COL_DIP:
        gp_buf_add(b, f->dip.bytes, f->dip.len);
        break;
    case GP_COL_DPORT:
        gp_buf_add(b, port, sizeof port);
        break;
    default:
        gp_buf_putc(b, (char)f->proto);
    }
}

static uint64_t counter_of(gp_column col, const gp_counters *c)
{
    switch (col) {
    case GP_COL_BYTES_RCVD:
        return c->bytes_rcvd;
    case GP_COL_BYTES_SENT:
        return c->bytes_sent;
    case GP_COL_PKTS_RCVD:
        return c->pkts_rcvd;
    default:
        return c->pkts_sent;
    }
}

static gp_code encode_counters(gp_writer *w, gp_column col, const gp_flow *flows, size_t n, gp_error *err)
{
    uint64_t max = 0;
    for (size_t i = 0; i < n; i++) {
        w->values[i] = counter_of(col, &flows[i].c);
        if (w->values[i] > max)
            max = w->values[i];
    }
    size_t size = gp_bitpack_size(n, max);
    if (!gp_buf_reserve(&w->raw, size))
        return gp_fail(err, GP_ENOMEM, "out of memory for a column of %zu flows", n);
    w->raw.len = gp_bitpack(w->values, n, max, (uint8_t *)w->raw.data);
    return GP_OK;
}

/* The raw bytes of one column into w->raw. */
static gp_code encode_column(gp_writer *w, gp_column col, const gp_flow *flows, size_t n, gp_error *err)
{
    gp_buf_clear(&w->raw);
    if (col >= GP_COL_ATTR_COUNT)
        return encode_counters(w, col, flows, n, err);
    for (size_t i = 0; i < n; i++)
        put_attribute(&w->raw, col, &flows[i]);
    if (w->raw.failed || w->raw.len > UINT32_MAX)
        return gp_fail(err, GP_ENOMEM, "out of memory for a column of %zu flows", n);
    return GP_OK;
}

static gp_code compress_column(gp_writer *w, gp_block_loc *loc, gp_error *err)
{
    size_t bound = gp_codec_bound(w->cfg.codec, w->raw.len);
    size_t len = 0;
    gp_buf_clear(&w->packed);
    if (!gp_buf_reserve(&w->packed, bound))
        return gp_fail(err, GP_ENOMEM, "out of memory for compressing %zu bytes", w->raw.len);
    gp_code code = gp_codec_compress(w->codec, w->cfg.codec, w->cfg.level, (const uint8_t *)w->raw.data,
                                     w->raw.len, (uint8_t *)w->packed.data, bound, &len, err);
    if (code != GP_OK)
        return code;
    w->packed.len = len;
    loc->codec = (uint8_t)w->cfg.codec;
    if (len > w->raw.len) { /* incompressible: stored as it is */
        loc->codec = GP_CODEC_NULL;
        gp_buf_clear(&w->packed);
        gp_buf_add(&w->packed, w->raw.data, w->raw.len);
    }
    loc->len = (uint32_t)w->packed.len;
    loc->raw_len = (uint32_t)w->raw.len;
    return GP_OK;
}

static gp_code write_exact(int fd, const char *data, size_t len, uint64_t offset, const char *what,
                           gp_error *err)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = pwrite(fd, data + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return gp_fail_errno(err, n ? errno : ENOSPC, "cannot write %s", what);
        done += (size_t)n;
    }
    return GP_OK;
}

/* Appends w->packed behind the last complete block. What an interrupted write left there is overwritten. */
static gp_code append_column(gp_writer *w, const open_day *d, gp_column col, gp_error *err)
{
    char name[32];
    snprintf(name, sizeof name, "%s.gpf", gp_column_name(col));
    step(w, name);
    int fd = openat(d->fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, w->cfg.permissions);
    if (fd < 0)
        return gp_fail_errno(err, errno, "cannot open '%s/%s/%s'", d->month_path, d->name, name);
    gp_code code = write_exact(fd, w->packed.data, w->packed.len, d->meta.col_end[col], name, err);
    if (code == GP_OK)
        code = sync_fd(w, fd, name, err);
    if (close(fd) != 0 && code == GP_OK)
        code = gp_fail_errno(err, errno, "cannot write '%s/%s/%s'", d->month_path, d->name, name);
    return code;
}

static gp_code write_columns(gp_writer *w, open_day *d, const gp_flow *flows, size_t n, gp_block_info *info,
                             gp_block_stats *stats, gp_error *err)
{
    for (unsigned i = 0; i < GP_COL_COUNT; i++) {
        gp_column col = (gp_column)i;
        gp_block_loc *loc = &info->col[col];
        gp_code code = encode_column(w, col, flows, n, err);
        *loc = (gp_block_loc){.offset = d->meta.col_end[col], .codec = GP_CODEC_NULL};
        if (code == GP_OK && w->raw.len) {
            code = compress_column(w, loc, err);
            if (code == GP_OK)
                code = append_column(w, d, col, err);
        }
        if (code != GP_OK)
            return code;
        stats->raw_bytes += loc->raw_len;
        stats->stored_bytes += loc->len;
    }
    return GP_OK;
}

/* ---- metadata ------------------------------------------------------------------------------------------ */

/* Temporary files of writes that never came to their rename. */
static void remove_leftovers(const open_day *d)
{
    int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *e; (e = readdir(dir));)
        if (strncmp(e->d_name, TEMP_PREFIX, strlen(TEMP_PREFIX)) == 0)
            (void)unlinkat(d->fd, e->d_name, 0);
    closedir(dir);
}

static gp_code write_temp_meta(gp_writer *w, const open_day *d, const char *name, gp_error *err)
{
    step(w, "create temporary metadata");
    int fd = openat(d->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, w->cfg.permissions);
    if (fd < 0)
        return gp_fail_errno(err, errno, "cannot create '%s/%s/%s'", d->month_path, d->name, name);
    gp_code code = write_exact(fd, w->meta_bytes.data, w->meta_bytes.len, 0, name, err);
    if (code == GP_OK && fchmod(fd, w->cfg.permissions) != 0)
        code = gp_fail_errno(err, errno, "cannot set the permissions of '%s'", name);
    if (code == GP_OK)
        code = sync_fd(w, fd, "temporary metadata", err);
    if (close(fd) != 0 && code == GP_OK)
        code = gp_fail_errno(err, errno, "cannot write '%s/%s/%s'", d->month_path, d->name, name);
    return code;
}

static gp_code replace_meta(gp_writer *w, const open_day *d, gp_error *err)
{
    char name[64];
    snprintf(name, sizeof name, TEMP_PREFIX "%ld", (long)getpid());
    gp_buf_clear(&w->meta_bytes);
    gp_code code = gp_blockmeta_encode(&d->meta, &w->meta_bytes, err);
    if (code != GP_OK)
        return code;
    remove_leftovers(d);
    code = write_temp_meta(w, d, name, err);
    if (code == GP_OK) {
        step(w, "replace metadata");
        if (renameat(d->fd, name, d->fd, GP_BLOCKMETA_FILE) != 0)
            code = gp_fail_errno(err, errno, "cannot replace '%s/%s/" GP_BLOCKMETA_FILE "'", d->month_path,
                                 d->name);
    }
    if (code != GP_OK) {
        (void)unlinkat(d->fd, name, 0);
        return code;
    }
    return sync_fd(w, d->fd, "day folder", err);
}

static gp_code rename_day(const gp_writer *w, const open_day *d, gp_error *err)
{
    char name[GP_DAYNAME_MAX];
    gp_dayname_format(d->day, &d->meta.sum, name);
    if (strcmp(name, d->name) == 0)
        return GP_OK;
    step(w, "rename day folder");
    if (renameat(d->month_fd, d->name, d->month_fd, name) != 0)
        return gp_fail_errno(err, errno, "cannot rename '%s/%s' to '%s'", d->month_path, d->name, name);
    return sync_fd(w, d->month_fd, "month folder", err);
}

/* ---- a block ------------------------------------------------------------------------------------------- */

static gp_code reserve_values(gp_writer *w, size_t n, gp_error *err)
{
    if (n <= w->values_cap)
        return GP_OK;
    uint64_t *values = realloc(w->values, n * sizeof *values);
    if (!values)
        return gp_fail(err, GP_ENOMEM, "out of memory for a block of %zu flows", n);
    w->values = values;
    w->values_cap = n;
    return GP_OK;
}

static void summarize(const gp_flow *flows, size_t n, gp_block_stats *stats)
{
    *stats = (gp_block_stats){.flows = n};
    for (size_t i = 0; i < n; i++) {
        gp_counters_add(&stats->c, &flows[i].c);
        stats->n_v4 += flows[i].sip.len == 4;
    }
    stats->n_v6 = n - stats->n_v4;
}

static gp_code check_order(const open_day *d, int64_t ts, gp_error *err)
{
    const gp_blockmeta *m = &d->meta;
    if (m->n_blocks == 0 || m->blocks[m->n_blocks - 1].ts < ts)
        return GP_OK;
    return gp_fail(err, GP_EEXIST, "'%s/%s' already holds blocks up to %lld; block %lld cannot be appended",
                   d->month_path, d->name, (long long)m->blocks[m->n_blocks - 1].ts, (long long)ts);
}

static gp_code append_block(gp_writer *w, open_day *d, int64_t ts, const gp_flow *flows, size_t n,
                            uint64_t drops, gp_block_stats *stats, gp_error *err)
{
    gp_block_info info = {.ts = ts, .n_v4 = stats->n_v4, .n_v6 = stats->n_v6, .drops = drops};
    gp_code code = check_order(d, ts, err);
    if (code == GP_OK)
        code = write_columns(w, d, flows, n, &info, stats, err);
    if (code == GP_OK)
        code = gp_blockmeta_append(&d->meta, &info, err);
    if (code != GP_OK)
        return code;
    for (unsigned col = 0; col < GP_COL_COUNT; col++)
        d->meta.col_end[col] += info.col[col].len;
    d->meta.sum.n_v4 += stats->n_v4;
    d->meta.sum.n_v6 += stats->n_v6;
    d->meta.sum.drops += drops;
    gp_counters_add(&d->meta.sum.c, &stats->c);
    code = replace_meta(w, d, err);
    return code == GP_OK ? rename_day(w, d, err) : code;
}

gp_code gp_writer_write(gp_writer *w, int64_t ts, gp_flow *flows, size_t n, uint64_t drops,
                        gp_block_stats *stats, gp_error *err)
{
    gp_block_stats own;
    gp_block_stats *s = stats ? stats : &own;
    if (ts < 0 || n > UINT32_MAX / 16)
        return gp_fail(err, GP_EINVAL, "a block at %lld with %zu flows cannot be stored", (long long)ts, n);
    gp_code code = reserve_values(w, n, err);
    if (code != GP_OK)
        return code;
    if (n)
        qsort(flows, n, sizeof *flows, compare_flows);
    summarize(flows, n, s);
    open_day d = {.day = gp_day_start(ts), .month_fd = -1, .fd = -1};
    code = open_for_append(w, &d, err);
    if (code == GP_OK)
        code = append_block(w, &d, ts, flows, n, drops, s, err);
    leave_day(&d);
    return code;
}

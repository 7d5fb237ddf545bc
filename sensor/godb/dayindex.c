#include "sensor/godb/dayindex.h"

#include "proto/base/fileio.h"
#include "sensor/godb/bitpack.h"
#include "sensor/godb/daypath.h"
#include "sensor/godb/topports.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* An additional file while it is put together. */
typedef struct new_file {
    gp_buf bytes;
    size_t missing; /* records that the day lacks, */
    size_t made;    /* and those of them that are in `bytes` now */
} new_file;

typedef struct indexer {
    gp_day *day;
    gp_codec *codec;
    bool dry_run;
    uint64_t fingerprint; /* up to the block at hand */
    gp_buf raw;           /* scratch: a column */
    gp_addr_marks marks;  /* scratch */
    new_file sums, filters, ports;
} indexer;

/* ---- records ------------------------------------------------------------------------------------------- */

static gp_code read_column(indexer *x, size_t i, gp_column col, gp_error *err)
{
    gp_code code = gp_day_read_column(x->day, x->codec, i, col, &x->raw, err);
    if (code != GP_OK)
        return code;
    return gp_block_check_column(&gp_day_meta(x->day)->blocks[i], col, (const uint8_t *)x->raw.data,
                                 x->raw.len, err);
}

static gp_code sum_counters(indexer *x, size_t i, gp_counters *sum, gp_error *err)
{
    uint64_t *const sums[] = {&sum->bytes_rcvd, &sum->bytes_sent, &sum->pkts_rcvd, &sum->pkts_sent};
    gp_code code = GP_OK;
    for (unsigned col = GP_COL_ATTR_COUNT; col < GP_COL_COUNT && code == GP_OK; col++) {
        code = read_column(x, i, (gp_column)col, err);
        if (code == GP_OK)
            *sums[col - GP_COL_ATTR_COUNT] = gp_bitpack_sum((const uint8_t *)x->raw.data, x->raw.len);
    }
    return code;
}

static gp_code put_sum(indexer *x, size_t i, gp_error *err)
{
    const gp_block_info *b = &gp_day_meta(x->day)->blocks[i];
    const gp_counters *known = gp_day_block_sum(x->day, i);
    gp_counters sum = {0};
    gp_code code = GP_OK;
    if (gp_blocksums_size(b) == 0)
        return GP_OK;
    x->sums.missing += known == NULL;
    if (x->dry_run)
        return GP_OK;
    if (!known)
        code = sum_counters(x, i, &sum, err);
    if (code != GP_OK) {
        gp_buf_pad(&x->sums.bytes, '\0', gp_blocksums_size(b)); /* no check holds for that */
        return code;
    }
    gp_blocksums_put(&x->sums.bytes, x->fingerprint, b, known ? known : &sum);
    x->sums.made += known == NULL;
    return GP_OK;
}

static gp_code mark_addresses(indexer *x, size_t i, gp_error *err)
{
    const gp_block_info *b = &gp_day_meta(x->day)->blocks[i];
    gp_code code = GP_OK;
    gp_addr_marks_clear(&x->marks);
    for (unsigned col = GP_COL_SIP; col <= GP_COL_DIP && code == GP_OK; col++) {
        code = read_column(x, i, (gp_column)col, err);
        if (code == GP_OK)
            gp_addr_marks_add(&x->marks, b->ts, (const uint8_t *)x->raw.data, b->n_v4, b->n_v6);
    }
    return code;
}

static gp_code put_filter(indexer *x, size_t i, gp_error *err)
{
    const gp_block_info *b = &gp_day_meta(x->day)->blocks[i];
    const size_t size = gp_blockfilter_size(b);
    const gp_blockfilter known = gp_day_block_filter(x->day, i);
    if (size == 0)
        return GP_OK;
    x->filters.missing += known.size == 0;
    if (x->dry_run)
        return GP_OK;
    if (known.size) { /* its record begins with its bits */
        gp_buf_add(&x->filters.bytes, known.bits, size);
        return GP_OK;
    }
    gp_code code = mark_addresses(x, i, err);
    if (code != GP_OK) {
        gp_buf_pad(&x->filters.bytes, '\0', size);
        return code;
    }
    gp_blockfilter_put(&x->filters.bytes, x->fingerprint, b, &x->marks);
    x->filters.made++;
    return GP_OK;
}

static gp_code put_block(indexer *x, size_t i, gp_day_index_report *out, gp_error *err)
{
    gp_error why = GP_ERROR_INIT;
    x->fingerprint = gp_block_fingerprint(x->fingerprint, &gp_day_meta(x->day)->blocks[i]);
    gp_code sums = put_sum(x, i, &why);
    gp_code filters = sums == GP_ENOMEM ? sums : put_filter(x, i, &why);
    if (filters == GP_ENOMEM || x->marks.failed || x->sums.bytes.failed || x->filters.bytes.failed)
        return gp_fail(err, GP_ENOMEM, "out of memory for the additional files of a day");
    if (sums == GP_OK && filters == GP_OK)
        return GP_OK;
    if (out->damaged++ == 0)
        gp_fail(&out->damage, sums != GP_OK ? sums : filters, "block %lld: %s",
                (long long)gp_day_meta(x->day)->blocks[i].ts, why.msg);
    return GP_OK;
}

/* What speaks against a list of ports, such as a damaged block, is told with the damage; a day with too many
 * ports has to do without. */
static gp_code make_ports(indexer *x, unsigned worth, gp_day_index_report *out, gp_error *err)
{
    gp_portsums *sums = NULL;
    gp_error why = GP_ERROR_INIT;
    gp_code code = gp_portsums_of_day(x->day, x->codec, &sums, &why);
    if (code == GP_OK)
        code = gp_topports_encode(sums, worth, gp_day_meta(x->day), x->codec, &x->ports.bytes, &why);
    gp_portsums_free(sums);
    if (code == GP_ENOMEM)
        return gp_fail(err, code, "%s", why.msg);
    x->ports.made = code == GP_OK;
    if (code != GP_OK && code != GP_ELIMIT && out->damaged == 0) {
        out->damaged = 1;
        out->damage = why;
    }
    return GP_OK;
}

static gp_code list_ports(indexer *x, gp_day_index_report *out, gp_error *err)
{
    const unsigned worth = gp_topports_worth(gp_day_meta(x->day));
    gp_topports *known = worth ? gp_day_topports(x->day, x->codec) : NULL;
    x->ports.missing = worth && !known;
    gp_topports_free(known);
    return x->ports.missing && !x->dry_run ? make_ports(x, worth, out, err) : GP_OK;
}

/* ---- files --------------------------------------------------------------------------------------------- */

/* It belongs to whom the day belongs to: a goprobe that is not root goes on writing to it. */
static gp_code fill_file(const gp_day *d, int fd, const gp_buf *bytes)
{
    gp_ownership own;
    gp_ownership_of_fd(gp_day_fd(d), &own);
    if (!gp_own(fd, &own))
        return GP_EIO;
    return gp_pwrite_all(fd, bytes->data, bytes->len, 0) && fsync(fd) == 0 ? GP_OK : GP_EIO;
}

/* The folder is locked: what has this name was left by a process that is no more. */
static gp_code replace_file(const gp_day *d, const char *name, const gp_buf *bytes, gp_error *err)
{
    static const char temp[] = GP_TEMP_META_PREFIX "index";
    const int folder = gp_day_fd(d);
    int fd = openat(folder, temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return gp_fail_errno(err, errno, "cannot create '%s/%s'", gp_day_path(d), temp);
    gp_code code = fill_file(d, fd, bytes);
    int saved = errno;
    if (close(fd) != 0 && code == GP_OK) {
        saved = errno;
        code = GP_EIO;
    }
    if (code != GP_OK)
        code = gp_fail_errno(err, saved, "cannot write '%s/%s'", gp_day_path(d), temp);
    else if (renameat(folder, temp, folder, name) != 0)
        code = gp_fail_errno(err, errno, "cannot replace '%s/%s'", gp_day_path(d), name);
    else if (fsync(folder) != 0 && errno != EINVAL)
        code = gp_fail_errno(err, errno, "cannot sync folder '%s'", gp_day_path(d));
    if (code != GP_OK)
        (void)unlinkat(folder, temp, 0);
    return code;
}

static gp_code write_file(const gp_day *d, const char *name, const new_file *f, gp_day_index_report *out,
                          gp_error *err)
{
    if (f->made == 0)
        return GP_OK;
    gp_code code = replace_file(d, name, &f->bytes, err);
    if (code != GP_OK)
        return code;
    out->added += f->made;
    out->bytes += f->bytes.len;
    return GP_OK;
}

/* Sums of all blocks count only if they add up to the totals of the day. */
static gp_code check_sums(const indexer *x, gp_error *err)
{
    const gp_blockmeta *m = gp_day_meta(x->day);
    if (x->sums.made == 0)
        return GP_OK;
    gp_block_sum *sums = malloc((m->n_blocks + 1) * sizeof *sums);
    if (!sums)
        return gp_fail(err, GP_ENOMEM, "out of memory for the sums of a day");
    const size_t known = gp_blocksums_decode((const uint8_t *)x->sums.bytes.data, x->sums.bytes.len, m, sums);
    free(sums);
    if (known > 0)
        return GP_OK;
    return gp_fail(err, GP_ECORRUPT,
                   "'%s': its counters do not add up to the totals in " GP_BLOCKMETA_FILE
                   ", so it gets no sums (see gpdb check)",
                   gp_day_path(x->day));
}

static gp_code write_files(indexer *x, gp_day_index_report *out, gp_error *err)
{
    gp_code code = write_file(x->day, GP_BLOCKFILTER_FILE, &x->filters, out, err);
    if (code == GP_OK)
        code = write_file(x->day, GP_TOPPORTS_FILE, &x->ports, out, err);
    if (code == GP_OK)
        code = check_sums(x, err);
    return code == GP_OK ? write_file(x->day, GP_BLOCKSUMS_FILE, &x->sums, out, err) : code;
}

/* ---- a day --------------------------------------------------------------------------------------------- */

/* The lock goes with the file descriptor of the folder. Where a folder cannot be locked, two at a time would
 * at worst leave records that do not count. */
static gp_code lock_folder(const gp_day *d, gp_error *err)
{
    if (flock(gp_day_fd(d), LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        return GP_OK;
    return gp_fail(err, GP_EBUSY, "'%s' is being indexed by another process", gp_day_path(d));
}

static gp_code index_day(indexer *x, gp_day_index_report *out, gp_error *err)
{
    gp_code code = x->dry_run ? GP_OK : lock_folder(x->day, err);
    for (size_t i = 0; i < gp_day_meta(x->day)->n_blocks && code == GP_OK; i++)
        code = put_block(x, i, out, err);
    if (code == GP_OK)
        code = list_ports(x, out, err);
    if (code != GP_OK)
        return code;
    out->added = x->dry_run ? x->sums.missing + x->filters.missing + x->ports.missing : 0;
    return x->dry_run ? GP_OK : write_files(x, out, err);
}

gp_code gp_day_index(gp_day *d, gp_codec *codec, bool dry_run, gp_day_index_report *out, gp_error *err)
{
    indexer x = {.day = d, .codec = codec, .dry_run = dry_run, .fingerprint = GP_FINGERPRINT_START};
    *out = (gp_day_index_report){.damage = GP_ERROR_INIT};
    gp_code code = index_day(&x, out, err);
    gp_buf_free(&x.raw);
    gp_buf_free(&x.sums.bytes);
    gp_buf_free(&x.filters.bytes);
    gp_buf_free(&x.ports.bytes);
    gp_addr_marks_free(&x.marks);
    return code;
}

static gp_code index_open_day(gp_day *d, gp_day_index_report *out, gp_error *err)
{
    gp_codec *codec = NULL;
    gp_code code = gp_codec_new(&codec, err);
    if (code == GP_OK)
        code = gp_day_index(d, codec, false, out, err);
    gp_codec_free(codec);
    return code;
}

gp_code gp_db_index_day(const char *db, const char *iface, int64_t day, gp_day_index_report *out,
                        gp_error *err)
{
    gp_day *d = NULL;
    gp_error why = GP_ERROR_INIT;
    *out = (gp_day_index_report){.damage = GP_ERROR_INIT};
    gp_code code = gp_day_open(&d, db, iface, day, &why);
    if (code == GP_ENOTFOUND)
        return GP_OK;
    if (code != GP_OK)
        return gp_fail(err, code, "%s", why.msg);
    code = index_open_day(d, out, err);
    gp_day_close(d);
    return code;
}

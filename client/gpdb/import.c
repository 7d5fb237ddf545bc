#include "client/gpdb/csv.h"
#include "client/gpdb/flowset.h"
#include "client/gpdb/gpdb.h"
#include "client/gpdb/schema.h"
#include "sensor/godb/dayindex.h"
#include "sensor/godb/daypath.h"
#include "sensor/godb/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* One interface: its writer and the block being gathered. */
typedef struct target {
    char *iface;
    gp_writer *writer;
    bool open;     /* the writer has files open */
    uint64_t used; /* when it wrote last, in blocks */
    int64_t day;   /* of its last block that was written; 0: none yet */
    int64_t ts;    /* of the block being gathered; 0: none yet */
    uint64_t rows;
    gp_flowset flows;
    uint64_t pending_rows, pending_blocks; /* of `day`, not visible yet */
} target;

typedef struct import {
    const options *o;
    gp_writer_config cfg;
    gp_schema schema;
    gp_csv *csv;
    uint64_t size; /* of the input; 0: unknown */
    target *targets;
    size_t n_targets, last; /* last: the one used before */
    size_t n_open, most_open;
    int64_t ts; /* of the last row that was taken */
    uint64_t rows, skipped, blocks;
    uint64_t imported, visible; /* rows and blocks that nothing can take back any more */
    uint64_t dropped;           /* rows of blocks that may lack some */
    bool cannot_write;
    gp_error why; /* the first row was skipped */
    uint64_t why_row;
    progress progress;
} import;

/* ---- options ------------------------------------------------------------------------------------------- */

/* Decimal, octal with 0 or 0o, hexadecimal with 0x, binary with 0b. */
static gp_code parse_permissions(const char *text, mode_t *out, gp_error *err)
{
    char *end = NULL;
    int base = 0;
    const char *digits = text;
    if (digits[0] == '0' && (digits[1] | 0x20) == 'o') {
        base = 8;
        digits += 2;
    } else if (digits[0] == '0' && (digits[1] | 0x20) == 'b') {
        base = 2;
        digits += 2;
    }
    errno = 0;
    unsigned long v = *digits >= '0' && *digits <= '9' ? strtoul(digits, &end, base) : ULONG_MAX;
    if (!end || *end || errno || v > 0777)
        return gp_fail(err, GP_EINVAL, "invalid permissions `%s` (write for example 0644)", text);
    *out = (mode_t)v;
    return GP_OK;
}

/* A name, or the number that .blockmeta has for it. */
static gp_code parse_encoder(const char *text, gp_codec_type *out, gp_error *err)
{
    char *end = NULL;
    if (*text < '0' || *text > '9')
        return gp_codec_parse(*text ? text : "lz4", out, err);
    unsigned long v = strtoul(text, &end, 10);
    if (*end || v > GP_CODEC_LZ4)
        return gp_fail(err, GP_EINVAL, "encoder type `%s` is out of range", text);
    return gp_codec_parse(gp_codec_name((gp_codec_type)v), out, err);
}

/* A writer keeps its day open: as many may be as there can be files. */
static size_t most_writers(void)
{
    enum { FILES_OF_WRITER = 10, OTHER_FILES = 32 };
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return 1;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur < OTHER_FILES + FILES_OF_WRITER)
        return 1;
    return (size_t)(files.rlim_cur - OTHER_FILES) / FILES_OF_WRITER;
}

static gp_code parse_options(import *im, gp_error *err)
{
    const options *o = im->o;
    im->most_open = most_writers();
    im->cfg = (gp_writer_config){.db = o->args[1], .batch = true, .inherit = true, .level = (int)o->level};
    gp_code code = parse_encoder(o->encoder ? o->encoder : "lz4", &im->cfg.codec, err);
    if (code == GP_OK && o->permissions && *o->permissions)
        code = parse_permissions(o->permissions, &im->cfg.permissions, err);
    if (code == GP_OK && (o->level < 0 || o->level > gp_codec_max_level(im->cfg.codec)))
        code = gp_fail(err, GP_EINVAL, "--level: encoder %s has levels up to %d (0: the default), not %lld",
                       gp_codec_name(im->cfg.codec), gp_codec_max_level(im->cfg.codec), (long long)o->level);
    return code;
}

/* ---- blocks -------------------------------------------------------------------------------------------- */

static gp_code find_target(import *im, const char *iface, target **out, gp_error *err)
{
    if (im->n_targets && strcmp(im->targets[im->last].iface, iface) == 0) {
        *out = &im->targets[im->last];
        return GP_OK;
    }
    for (im->last = 0; im->last < im->n_targets; im->last++)
        if (strcmp(im->targets[im->last].iface, iface) == 0) {
            *out = &im->targets[im->last];
            return GP_OK;
        }
    target *more = realloc(im->targets, (im->n_targets + 1) * sizeof *more);
    if (more)
        im->targets = more;
    char *name = more ? strdup(iface) : NULL;
    if (!name)
        return gp_fail(err, GP_ENOMEM, "out of memory for interface '%s'", iface);
    im->targets[im->n_targets] = (target){.iface = name};
    *out = &im->targets[im->n_targets++];
    return GP_OK;
}

/* A day that is complete gets its additional files, which cost nothing but speed where they cannot be
 * written. */
static void index_day(const import *im, const target *t)
{
    gp_day_index_report report;
    if (t->day && t->day < gp_day_start((int64_t)time(NULL)))
        (void)gp_db_index_day(im->cfg.db, t->iface, t->day, &report, NULL);
}

/* The blocks of the target's day became visible, or never will. */
static void settle(import *im, target *t, bool visible)
{
    im->imported += visible ? t->pending_rows : 0;
    im->visible += visible ? t->pending_blocks : 0;
    t->pending_rows = t->pending_blocks = 0;
}

static gp_code flush_target(import *im, target *t, gp_error *err)
{
    gp_code code = gp_writer_flush(t->writer, err);
    im->n_open -= t->open;
    t->open = false;
    settle(im, t, code == GP_OK);
    return code == GP_OK ? code
                         : gp_error_prefix(err, "failed to write the blocks of interface `%s`", t->iface);
}

static gp_code flush_least_used(import *im, gp_error *err)
{
    target *least = NULL;
    for (size_t i = 0; i < im->n_targets; i++) {
        target *t = &im->targets[i];
        if (t->open && (!least || t->used < least->used))
            least = t;
    }
    return least ? flush_target(im, least, err) : GP_OK;
}

static gp_code open_writer(import *im, target *t, gp_error *err)
{
    gp_code code = GP_OK;
    if (!t->open && im->n_open >= im->most_open)
        code = flush_least_used(im, err);
    if (code == GP_OK && !t->writer) {
        im->cfg.iface = t->iface;
        code = gp_writer_new(&t->writer, &im->cfg, err);
    }
    im->n_open += code == GP_OK && !t->open;
    t->open = t->open || code == GP_OK;
    t->used = im->blocks;
    return code;
}

/* The writer has a block: with the first one of another day, it makes those of the day before visible. */
static void note_block(import *im, target *t)
{
    if (t->day != gp_day_start(t->ts)) {
        settle(im, t, true);
        index_day(im, t);
        t->day = gp_day_start(t->ts);
    }
    t->pending_rows += t->rows;
    t->pending_blocks++;
    im->blocks++;
}

static gp_code write_block(import *im, target *t, gp_error *err)
{
    gp_code code = open_writer(im, t, err);
    if (code == GP_OK)
        code = gp_writer_write(t->writer, t->ts, t->flows.flows, t->flows.n, 0, NULL, err);
    im->cannot_write = code != GP_OK;
    if (code == GP_OK)
        note_block(im, t);
    else if (code != GP_EEXIST) /* which hurts nothing that the writer has */
        settle(im, t, false);
    t->rows = 0;
    gp_flowset_clear(&t->flows);
    if (code == GP_OK)
        return GP_OK;
    return gp_error_prefix(err, "failed to write block `%lld` for interface `%s`", (long long)t->ts,
                           t->iface);
}

/* The blocks that are still being gathered. Where the input broke off, in order of time or of interfaces,
 * those of the last row's time may lack rows: they are left out. */
static gp_code write_blocks(import *im, bool broke_off, gp_error *err)
{
    gp_code code = GP_OK;
    for (size_t i = 0; i < im->n_targets && code == GP_OK; i++) {
        target *t = &im->targets[i];
        if (broke_off && t->ts == im->ts)
            im->dropped += t->rows;
        else if (t->flows.n)
            code = write_block(im, t, err);
    }
    return code;
}

/* Whole blocks are kept even if the import ends early; the first error is the one that counts. */
static gp_code flush(import *im, gp_code code, gp_error *err)
{
    if (code == GP_OK)
        code = write_blocks(im, false, err);
    else if (!im->cannot_write)
        (void)write_blocks(im, true, NULL);
    for (size_t i = 0; i < im->n_targets; i++) {
        target *t = &im->targets[i];
        gp_code flushed = t->open ? flush_target(im, t, code == GP_OK ? err : NULL) : GP_OK;
        if (flushed == GP_OK)
            index_day(im, t);
        if (code == GP_OK)
            code = flushed;
    }
    return code;
}

/* ---- rows ---------------------------------------------------------------------------------------------- */

static gp_code take_row(import *im, const gp_csv_row *row, gp_error *err)
{
    target *t = NULL;
    gp_code code = find_target(im, row->iface, &t, err);
    if (code != GP_OK)
        return code;
    if (row->ts < t->ts)
        return gp_fail(err, GP_EINVAL,
                       "input must be ordered by non-decreasing timestamp for each interface (row=%llu, "
                       "iface=%s, previous=%lld, current=%lld)",
                       (unsigned long long)im->rows, t->iface, (long long)t->ts, (long long)row->ts);
    if (row->ts > t->ts && t->flows.n)
        code = write_block(im, t, err);
    im->ts = t->ts = row->ts;
    if (code == GP_OK)
        code = gp_flowset_put(&t->flows, &row->flow, err);
    t->rows += code == GP_OK;
    return code;
}

static void show_progress(import *im)
{
    uint64_t read = gp_csv_offset(im->csv);
    if (im->size)
        progress_show(&im->progress, "%llu rows, %llu blocks (%llu %%)", (unsigned long long)im->rows,
                      (unsigned long long)im->blocks, (unsigned long long)(read * 100 / im->size));
    else
        progress_show(&im->progress, "%llu rows, %llu blocks", (unsigned long long)im->rows,
                      (unsigned long long)im->blocks);
}

static gp_code take_record(import *im, char *const *fields, size_t n, gp_error *err)
{
    gp_csv_row row;
    gp_error why = GP_ERROR_INIT;
    im->rows++;
    if (gp_schema_row(&im->schema, fields, n, im->o->iface, &row, &why) == GP_OK)
        return take_row(im, &row, err);
    if (im->skipped++ == 0) {
        im->why = why;
        im->why_row = im->rows;
    }
    return GP_OK;
}

static gp_code pause_between_rows(import *im, gp_error *err)
{
    show_progress(im);
    return check_interrupt(err);
}

static gp_code read_rows(import *im, gp_error *err)
{
    enum { EVERY = 4096 };
    char *const *fields = NULL;
    size_t n = 0;
    uint64_t most = im->o->max_rows ? (uint64_t)im->o->max_rows : UINT64_MAX;
    while (im->rows < most) {
        gp_code code = im->rows % EVERY == 0 ? pause_between_rows(im, err) : GP_OK;
        if (code != GP_OK)
            return code;
        code = gp_csv_next(im->csv, &fields, &n, err);
        if (code != GP_OK)
            return gp_error_prefix(err, "failed to read CSV row %llu from `%s`",
                                   (unsigned long long)im->rows + 1, im->o->args[0]);
        if (n == 0)
            break;
        code = take_record(im, fields, n, err);
        if (code != GP_OK)
            return code;
    }
    return GP_OK;
}

static gp_code read_header(import *im, gp_error *err)
{
    char *const *fields = NULL;
    size_t n = 0;
    gp_code code = gp_csv_next(im->csv, &fields, &n, err);
    if (code != GP_OK)
        return gp_error_prefix(err, "failed to read CSV header from `%s`", im->o->args[0]);
    if (n == 0)
        return gp_fail(err, GP_EINVAL, "input CSV `%s` is empty", im->o->args[0]);
    code = gp_schema_from_names(fields, n, &im->schema, err);
    return code == GP_OK ? code : gp_error_prefix(err, "failed to parse header schema");
}

static gp_code read_schema(import *im, gp_error *err)
{
    gp_code code = GP_OK;
    if (im->o->schema && *im->o->schema) {
        code = gp_schema_parse(im->o->schema, &im->schema, err);
        if (code != GP_OK)
            return gp_error_prefix(err, "failed to parse schema");
    } else {
        code = read_header(im, err);
    }
    if (code == GP_OK && im->schema.at[GP_CSV_IFACE] < 0 && !im->o->iface)
        code = gp_fail(err, GP_EINVAL,
                       "schema does not contain `iface` field and no interface was provided via option");
    return code;
}

/* ---- the command --------------------------------------------------------------------------------------- */

static gp_code import_from(import *im, int fd, gp_error *err)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        im->size = (uint64_t)st.st_size;
    gp_code code = gp_csv_new(&im->csv, fd, err);
    if (code == GP_OK)
        code = read_schema(im, err);
    progress_start(&im->progress);
    if (code == GP_OK)
        code = flush(im, read_rows(im, err), err);
    progress_clear(&im->progress);
    gp_csv_free(im->csv);
    return code;
}

static gp_code import_path(import *im, gp_error *err)
{
    const char *path = im->o->args[0];
    if (im->o->max_rows < 0)
        return gp_fail(err, GP_EINVAL, "max rows must be >= 0, got %lld", (long long)im->o->max_rows);
    if (!*path || !*im->o->args[1])
        return gp_fail(err, GP_EINVAL, "%s path must be non-empty", *path ? "output" : "input");
    int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return gp_fail_errno(err, errno, "failed to open CSV input `%s`", path);
    gp_code code = import_from(im, fd, err);
    close(fd);
    return code;
}

static void free_targets(import *im)
{
    for (size_t i = 0; i < im->n_targets; i++) {
        gp_writer_free(im->targets[i].writer);
        gp_flowset_free(&im->targets[i].flows);
        free(im->targets[i].iface);
    }
    free(im->targets);
}

static size_t count_written(const import *im)
{
    size_t n = 0;
    for (size_t i = 0; i < im->n_targets; i++)
        n += im->targets[i].day != 0;
    return n;
}

static void print_summary(const import *im, bool completed)
{
    printf("Import %s\nRows read: %llu\nRows imported: %llu\nRows skipped: %llu\nInterfaces written: %zu\n"
           "Blocks written: %llu\n",
           completed ? "completed" : "ended early", (unsigned long long)im->rows,
           (unsigned long long)im->imported, (unsigned long long)im->skipped, count_written(im),
           (unsigned long long)im->visible);
    if (im->dropped)
        printf("Rows left out, as their block may lack others: %llu\n", (unsigned long long)im->dropped);
    if (im->skipped)
        fprintf(stderr, "gpdb: the first row skipped is row %llu: %s\n", (unsigned long long)im->why_row,
                im->why.msg);
}

gp_code run_import(const options *o, int *exit_code, gp_error *err)
{
    (void)exit_code;
    import *im = calloc(1, sizeof *im);
    if (!im)
        return gp_fail(err, GP_ENOMEM, "out of memory for an import");
    im->o = o;
    gp_code code = parse_options(im, err);
    if (code == GP_OK) {
        code = import_path(im, err);
        if (code != GP_OK)
            gp_error_prefix(err, "failed to import CSV `%s` into DB `%s`", o->args[0], o->args[1]);
    }
    if (code == GP_OK || im->rows)
        print_summary(im, code == GP_OK);
    free_targets(im);
    free(im);
    return code;
}

#include "client/gpdb/gpdb.h"
#include "client/gpdb/rows.h"
#include "proto/query/timeparse.h"
#include "sensor/godb/flowread.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct export
{
    const char *db;
    const gp_row_format *format;
    int64_t first, last;
    int fd;
    gp_buf out; /* not yet written */
    gp_flowread *read;
    uint64_t rows;
    size_t damaged; /* blocks and days that were passed over */
    progress progress;
}
export;

enum { WRITE_SIZE = 1 << 18 };

static gp_code write_out(export *e, gp_error *err)
{
    if (e->out.failed)
        return gp_fail(err, GP_ENOMEM, "out of memory for the output");
    for (size_t done = 0; done < e->out.len;) {
        ssize_t n = write(e->fd, e->out.data + done, e->out.len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return gp_fail_errno(err, n ? errno : EIO, "cannot write the rows");
        done += (size_t)n;
    }
    gp_buf_clear(&e->out);
    return GP_OK;
}

/* What cannot be read is named and passed over. */
static gp_code pass_over(export *e, gp_code code, const gp_error *why, gp_error *err)
{
    if (code == GP_ENOMEM)
        return gp_fail(err, code, "%s", why->msg);
    e->damaged++;
    progress_clear(&e->progress);
    fprintf(stderr, "gpdb: passed over: %s\n", why->msg);
    return GP_OK;
}

static gp_code export_block(export *e, const char *iface, gp_day *day, size_t block, gp_error *err)
{
    const gp_flow *flows = NULL;
    size_t n = 0;
    gp_error why = GP_ERROR_INIT;
    gp_code code = gp_flowread_block(e->read, day, block, &flows, &n, &why);
    if (code != GP_OK)
        return pass_over(e, code, &why, err);
    int64_t ts = gp_day_meta(day)->blocks[block].ts;
    for (size_t i = 0; i < n && code == GP_OK; i++) {
        e->format->row(&e->out, ts, iface, &flows[i]);
        if (e->out.len >= WRITE_SIZE || e->out.failed)
            code = write_out(e, err);
    }
    e->rows += n;
    return code;
}

static gp_code export_day(export *e, const char *iface, int64_t at, gp_error *err)
{
    gp_day *day = NULL;
    gp_error why = GP_ERROR_INIT;
    gp_code code = gp_day_open(&day, e->db, iface, at, &why);
    if (code != GP_OK)
        return pass_over(e, code, &why, err);
    const gp_blockmeta *m = gp_day_meta(day);
    for (size_t i = 0; i < m->n_blocks && code == GP_OK; i++) {
        code = check_interrupt(err);
        if (code == GP_OK && m->blocks[i].ts >= e->first && m->blocks[i].ts <= e->last)
            code = export_block(e, iface, day, i, err);
    }
    gp_day_close(day);
    return code;
}

static gp_code export_iface(export *e, const char *iface, gp_error *err)
{
    gp_day_ref *days = NULL;
    size_t n = 0;
    gp_code code = gp_db_list_days(e->db, iface, e->first, e->last, &days, &n, err);
    for (size_t i = 0; i < n && code == GP_OK; i++) {
        progress_show(&e->progress, "%s: day %zu of %zu, %llu rows", iface, i + 1, n,
                      (unsigned long long)e->rows);
        code = export_day(e, iface, days[i].day, err);
    }
    free(days);
    return code;
}

static gp_code export_all(export *e, const options *o, gp_error *err)
{
    char **ifaces = NULL;
    size_t n = 0;
    gp_code code = select_ifaces(o, e->db, &ifaces, &n, err);
    if (code == GP_OK)
        code = gp_flowread_new(&e->read, err);
    progress_start(&e->progress);
    e->format->begin(&e->out);
    for (size_t i = 0; i < n && code == GP_OK; i++)
        code = export_iface(e, ifaces[i], err);
    progress_clear(&e->progress);
    if (code == GP_OK)
        code = write_out(e, err);
    gp_flowread_free(e->read);
    gp_strlist_free(ifaces, n);
    return code;
}

static gp_code parse_range(const options *o, export *e, gp_error *err)
{
    int64_t now = (int64_t)time(NULL);
    gp_code code = GP_OK;
    e->first = 0;
    e->last = GP_TIME_MAX;
    if (o->first)
        code = gp_time_parse(o->first, now, &e->first, err);
    if (code == GP_OK && o->last)
        code = gp_time_parse(o->last, now, &e->last, err);
    if (code == GP_OK && e->first > e->last)
        code = gp_fail(err, GP_EINVAL, "--first %s is later than --last %s", o->first ? o->first : "0",
                       o->last ? o->last : "now");
    return code;
}

static gp_code open_output(const char *path, int *fd, gp_error *err)
{
    *fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : dup(STDOUT_FILENO);
    return *fd >= 0 ? GP_OK : gp_fail_errno(err, errno, "cannot write '%s'", path ? path : "standard output");
}

static gp_code export_to(export *e, const options *o, gp_error *err)
{
    gp_code code = open_output(o->output, &e->fd, err);
    if (code != GP_OK)
        return code;
    code = export_all(e, o, err);
    if (close(e->fd) != 0 && code == GP_OK)
        code = gp_fail_errno(err, errno, "cannot write the rows");
    gp_buf_free(&e->out);
    return code;
}

gp_code run_export(const options *o, int *exit_code, gp_error *err)
{
    export e = {.db = o->args[0], .fd = -1};
    gp_code code = gp_row_format_find(o->format ? o->format : "csv", &e.format, err);
    if (code == GP_OK)
        code = parse_range(o, &e, err);
    if (code == GP_OK)
        code = export_to(&e, o, err);
    if (code != GP_OK)
        return gp_error_prefix(err, "failed to export DB `%s`", e.db);
    if (o->output)
        printf("Export completed\nRows written: %llu\nDamaged blocks passed over: %zu\n",
               (unsigned long long)e.rows, e.damaged);
    *exit_code = e.damaged ? EXIT_DAMAGED : 0;
    return GP_OK;
}

#include "proto/base/log.h"

#include "proto/base/buf.h"
#include "proto/base/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct gp_log {
    int fd;
    char *path; /* of the file or of journald's socket; NULL: neither, and fd is not ours */
    bool journal;
    gp_log_encoding encoding;
    atomic_int level;
};

static const char *const level_names[] = {"debug", "info", "warn", "error", "audit"};
enum { N_SETTABLE = GP_LOG_AUDIT }; /* the levels that a log can have */

static const char journald[] = "journald";

static gp_code open_path(const gp_log *log, int *fd, gp_error *err)
{
    if (log->journal)
        return gp_journal_open(log->path, fd, err);
    *fd = open(log->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    return *fd < 0 ? gp_fail_errno(err, errno, "cannot open log file '%s'", log->path) : GP_OK;
}

static gp_code open_destination(gp_log *log, const char *destination, gp_error *err)
{
    const char *path = destination;
    size_t n = sizeof journald - 1;
    if (!destination || !*destination || strcmp(destination, "stderr") == 0) {
        log->fd = STDERR_FILENO;
        return GP_OK;
    }
    if (strcmp(destination, "stdout") == 0) {
        log->fd = STDOUT_FILENO;
        return GP_OK;
    }
    if (strcmp(destination, "devnull") == 0)
        path = "/dev/null";
    if (strncmp(destination, journald, n) == 0 && (!destination[n] || destination[n] == ':')) {
        log->journal = true;
        path = destination[n] ? destination + n + 1 : GP_JOURNAL_SOCKET;
    }
    log->path = strdup(path);
    return log->path ? open_path(log, &log->fd, err) : gp_fail(err, GP_ENOMEM, "out of memory for the log");
}

gp_code gp_log_open(gp_log **out, const char *destination, gp_log_level level, gp_log_encoding encoding,
                    gp_error *err)
{
    gp_log *log = calloc(1, sizeof *log);
    if (!log)
        return gp_fail(err, GP_ENOMEM, "out of memory while opening the log");
    log->encoding = encoding;
    atomic_init(&log->level, (int)level);
    gp_code code = open_destination(log, destination, err);
    if (code != GP_OK) {
        free(log->path);
        free(log);
        return code;
    }
    *out = log;
    return GP_OK;
}

void gp_log_close(gp_log *log)
{
    if (!log)
        return;
    if (log->path)
        close(log->fd);
    free(log->path);
    free(log);
}

/* The number of the descriptor stays, so that nobody who is writing needs to know. */
gp_code gp_log_reopen(gp_log *log, gp_error *err)
{
    int fd = -1;
    if (!log || !log->path)
        return GP_OK;
    gp_code rc = open_path(log, &fd, err);
    if (rc == GP_OK && dup3(fd, log->fd, O_CLOEXEC) < 0)
        rc = gp_fail_errno(err, errno, "cannot open log file '%s' again", log->path);
    if (fd >= 0)
        close(fd);
    return rc;
}

bool gp_log_level_parse(const char *name, gp_log_level *out)
{
    if (strcasecmp(name, "warning") == 0)
        name = "warn";
    for (size_t i = 0; i < N_SETTABLE; i++) {
        if (strcasecmp(name, level_names[i]) == 0) {
            *out = (gp_log_level)i;
            return true;
        }
    }
    return false;
}

const char *gp_log_level_name(gp_log_level level)
{
    return level_names[level];
}

bool gp_log_encoding_parse(const char *name, gp_log_encoding *out)
{
    if (strcasecmp(name, "json") == 0)
        *out = GP_LOG_JSON;
    else if (strcasecmp(name, "logfmt") == 0 || strcasecmp(name, "plain") == 0)
        *out = GP_LOG_LOGFMT;
    else
        return false;
    return true;
}

gp_log_level gp_log_get_level(const gp_log *log)
{
    return (gp_log_level)atomic_load_explicit(&log->level, memory_order_relaxed);
}

void gp_log_set_level(gp_log *log, gp_log_level level)
{
    atomic_store_explicit(&log->level, (int)level, memory_order_relaxed);
}

bool gp_log_enabled(const gp_log *log, gp_log_level level)
{
    return log && (int)level >= atomic_load_explicit(&log->level, memory_order_relaxed);
}

/* logfmt quotes a value only where a reader could not tell its end. */
static bool needs_quotes(const char *s)
{
    if (!*s)
        return true;
    for (; *s; s++)
        if ((unsigned char)*s <= ' ' || *s == '"' || *s == '=' || *s == '\\' || (unsigned char)*s >= 0x7f)
            return true;
    return false;
}

static void put_text(gp_buf *b, gp_log_encoding enc, const char *s)
{
    if (enc == GP_LOG_JSON || needs_quotes(s))
        gp_buf_json_str(b, s);
    else
        gp_buf_puts(b, s);
}

static void put_key(gp_buf *b, gp_log_encoding enc, const char *key)
{
    if (enc == GP_LOG_JSON) {
        if (b->len > 1)
            gp_buf_putc(b, ',');
        gp_buf_json_str(b, key);
        gp_buf_putc(b, ':');
        return;
    }
    if (b->len)
        gp_buf_putc(b, ' ');
    gp_buf_puts(b, key);
    gp_buf_putc(b, '=');
}

static void put_value(gp_buf *b, gp_log_encoding enc, const gp_log_field *f)
{
    switch (f->type) {
    case GP_FIELD_STR:
        put_text(b, enc, f->v.str ? f->v.str : "");
        break;
    case GP_FIELD_I64:
        gp_buf_i64(b, f->v.i64);
        break;
    case GP_FIELD_U64:
        gp_buf_u64(b, f->v.u64);
        break;
    case GP_FIELD_F64:
        if (isfinite(f->v.f64))
            gp_buf_printf(b, "%g", f->v.f64);
        else
            gp_buf_puts(b, "null");
        break;
    case GP_FIELD_BOOL:
        gp_buf_puts(b, f->v.boolean ? "true" : "false");
        break;
    }
}

static void put_field(gp_buf *b, gp_log_encoding enc, const gp_log_field *f)
{
    put_key(b, enc, f->key);
    put_value(b, enc, f);
}

static void put_time(gp_buf *b, gp_log_encoding enc)
{
    struct timespec now;
    struct tm utc;
    char text[40];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + n, sizeof text - n, ".%03ldZ", now.tv_nsec / 1000000);
    put_field(b, enc, &GP_F_STR("time", text));
}

static void put_line(gp_buf *line, gp_log_encoding enc, gp_log_level level, const char *msg,
                     const gp_log_field *fields, size_t n)
{
    if (enc == GP_LOG_JSON)
        gp_buf_putc(line, '{');
    put_time(line, enc);
    put_field(line, enc, &GP_F_STR("level", level_names[level]));
    put_field(line, enc, &GP_F_STR("msg", msg));
    for (size_t i = 0; i < n; i++)
        if (fields[i].key)
            put_field(line, enc, &fields[i]);
    gp_buf_puts(line, enc == GP_LOG_JSON ? "}\n" : "\n");
}

/* MESSAGE is for people who read the journal as text; the fields stand beside it once more, for filters. */
static void put_datagram(gp_buf *out, gp_log_level level, const char *msg, const gp_log_field *fields,
                         size_t n)
{
    static const char *const priorities[] = {"7", "6", "4", "3", "5"}; /* syslog(3) */
    gp_buf text = GP_BUF_INIT;
    gp_journal_put(out, "", "PRIORITY", priorities[level]);
    gp_journal_put(out, "", "SYSLOG_IDENTIFIER", program_invocation_short_name);
    gp_buf_puts(&text, msg);
    for (size_t i = 0; i < n; i++)
        if (fields[i].key)
            put_field(&text, GP_LOG_LOGFMT, &fields[i]);
    gp_journal_put(out, "", "MESSAGE", text.data ? text.data : msg);
    for (size_t i = 0; i < n; i++) {
        gp_buf_clear(&text);
        if (!fields[i].key)
            continue;
        if (fields[i].type == GP_FIELD_STR)
            gp_buf_puts(&text, fields[i].v.str ? fields[i].v.str : "");
        else
            put_value(&text, GP_LOG_LOGFMT, &fields[i]);
        gp_journal_put(out, "GP_", fields[i].key, text.data ? text.data : "");
    }
    gp_buf_free(&text);
}

static ssize_t send_datagram(const gp_log *log, const gp_buf *b)
{
    return send(log->fd, b->data, b->len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* A log that cannot be written must not stop the service: a journal that is too slow loses lines rather than
 * holding us up. One that was restarted is looked for once. */
static void send_out(gp_log *log, const gp_buf *b)
{
    ssize_t sent = log->journal ? send_datagram(log, b) : write(log->fd, b->data, b->len);
    if (sent < 0 && log->journal && (errno == ECONNREFUSED || errno == ENOTCONN || errno == ECONNRESET) &&
        gp_log_reopen(log, NULL) == GP_OK)
        sent = send_datagram(log, b);
    if (sent < 0)
        errno = 0;
}

void gp_log_write(gp_log *log, gp_log_level level, const char *msg, const gp_log_field *fields, size_t n)
{
    if (!gp_log_enabled(log, level))
        return;
    gp_buf line = GP_BUF_INIT;
    if (log->journal)
        put_datagram(&line, level, msg, fields, n);
    else
        put_line(&line, log->encoding, level, msg, fields, n);
    if (!line.failed)
        send_out(log, &line);
    gp_buf_free(&line);
}

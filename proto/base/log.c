#include "proto/base/log.h"

#include "proto/base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct gp_log {
    int fd;
    bool owns_fd;
    gp_log_encoding encoding;
    atomic_int level;
};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static gp_code open_destination(gp_log *log, const char *destination, gp_error *err)
{
    if (!destination || !*destination || strcmp(destination, "stderr") == 0) {
        log->fd = STDERR_FILENO;
        return GP_OK;
    }
    if (strcmp(destination, "stdout") == 0) {
        log->fd = STDOUT_FILENO;
        return GP_OK;
    }
    const char *path = strcmp(destination, "devnull") == 0 ? "/dev/null" : destination;
    log->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (log->fd < 0)
        return gp_fail_errno(err, errno, "cannot open log file '%s'", path);
    log->owns_fd = true;
    return GP_OK;
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
    if (log->owns_fd)
        close(log->fd);
    free(log);
}

bool gp_log_level_parse(const char *name, gp_log_level *out)
{
    if (strcmp(name, "warning") == 0)
        name = "warn";
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
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

static void put_field(gp_buf *b, gp_log_encoding enc, const gp_log_field *f)
{
    put_key(b, enc, f->key);
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

void gp_log_write(gp_log *log, gp_log_level level, const char *msg, const gp_log_field *fields, size_t n)
{
    if (!gp_log_enabled(log, level))
        return;
    gp_buf line = GP_BUF_INIT;
    if (log->encoding == GP_LOG_JSON)
        gp_buf_putc(&line, '{');
    put_time(&line, log->encoding);
    put_field(&line, log->encoding, &GP_F_STR("level", level_names[level]));
    put_field(&line, log->encoding, &GP_F_STR("msg", msg));
    for (size_t i = 0; i < n; i++)
        if (fields[i].key)
            put_field(&line, log->encoding, &fields[i]);
    gp_buf_puts(&line, log->encoding == GP_LOG_JSON ? "}\n" : "\n");
    /* A log that cannot be written must not stop the service. */
    if (!line.failed && write(log->fd, line.data, line.len) < 0)
        errno = 0;
    gp_buf_free(&line);
}

/*
 * log.h - structured logs: one line per event, logfmt (default) or JSON, to stderr, stdout or a file; or to
 * journald, where fields stay fields.
 *
 * A gp_log is made once by main() and handed down; there is no global logger. Every function takes
 * NULL for "do not log". Lines are written with one write(2) each, so lines of several threads never
 * mix. The level may be changed at run time by any thread.
 *
 *   gp_log_info(log, "flows written", GP_F_STR("iface", "eth0"), GP_F_U64("flows", n));
 *   => time=2026-01-02T03:04:05.678Z level=info msg="flows written" iface=eth0 flows=42
 */
#ifndef GP_BASE_LOG_H
#define GP_BASE_LOG_H

#include "proto/base/error.h"

#include <stdint.h>

/* GP_LOG_AUDIT is written whatever the level of the log: who changed what. */
typedef enum gp_log_level { GP_LOG_DEBUG, GP_LOG_INFO, GP_LOG_WARN, GP_LOG_ERROR, GP_LOG_AUDIT } gp_log_level;
typedef enum gp_log_encoding { GP_LOG_LOGFMT, GP_LOG_JSON } gp_log_encoding;

typedef struct gp_log gp_log;

typedef struct gp_log_field {
    const char *key;
    enum { GP_FIELD_STR, GP_FIELD_I64, GP_FIELD_U64, GP_FIELD_F64, GP_FIELD_BOOL } type;
    union {
        const char *str;
        int64_t i64;
        uint64_t u64;
        double f64;
        bool boolean;
    } v;
} gp_log_field;

#define GP_F_STR(k, s)  ((gp_log_field){.key = (k), .type = GP_FIELD_STR, .v.str = (s)})
#define GP_F_I64(k, n)  ((gp_log_field){.key = (k), .type = GP_FIELD_I64, .v.i64 = (n)})
#define GP_F_U64(k, n)  ((gp_log_field){.key = (k), .type = GP_FIELD_U64, .v.u64 = (n)})
#define GP_F_F64(k, x)  ((gp_log_field){.key = (k), .type = GP_FIELD_F64, .v.f64 = (x)})
#define GP_F_BOOL(k, t) ((gp_log_field){.key = (k), .type = GP_FIELD_BOOL, .v.boolean = (t)})

/* destination: NULL or "stderr", "stdout", "devnull", "journald" (also "journald:/path/of/its/socket"), or
 * the path of a file to append to. */
gp_code gp_log_open(gp_log **out, const char *destination, gp_log_level level, gp_log_encoding encoding,
                    gp_error *err);
void gp_log_close(gp_log *log);
/* Opens the file, or the way to journald, again, for after it was renamed (logrotate) or restarted. Others
 * may write meanwhile; each line goes to the old or to the new file. A failure leaves the old one open. */
gp_code gp_log_reopen(gp_log *log, gp_error *err);

/* "debug", "info", "warn" ("warning"), "error"; false if the name is none of them. */
bool gp_log_level_parse(const char *name, gp_log_level *out);
const char *gp_log_level_name(gp_log_level level);
bool gp_log_encoding_parse(const char *name, gp_log_encoding *out); /* "logfmt" ("plain"), "json" */

gp_log_level gp_log_get_level(const gp_log *log);
void gp_log_set_level(gp_log *log, gp_log_level level);
bool gp_log_enabled(const gp_log *log, gp_log_level level);

void gp_log_write(gp_log *log, gp_log_level level, const char *msg, const gp_log_field *fields, size_t n);

/* The variadic part is a list of GP_F_* fields; the empty sentinel lets the list be empty. */
#define GP_LOG_AT(log, level, msg, ...)                                                                      \
    do {                                                                                                     \
        if (gp_log_enabled((log), (level))) {                                                                \
            const gp_log_field gp_fields_[] = {__VA_ARGS__};                                                 \
            gp_log_write((log), (level), (msg), gp_fields_, sizeof gp_fields_ / sizeof gp_fields_[0]);       \
        }                                                                                                    \
    } while (0)
#define gp_log_debug(log, ...)           GP_LOG_AT_(log, GP_LOG_DEBUG, __VA_ARGS__, (gp_log_field){.key = NULL})
#define gp_log_info(log, ...)            GP_LOG_AT_(log, GP_LOG_INFO, __VA_ARGS__, (gp_log_field){.key = NULL})
#define gp_log_warn(log, ...)            GP_LOG_AT_(log, GP_LOG_WARN, __VA_ARGS__, (gp_log_field){.key = NULL})
#define gp_log_audit(log, ...)           GP_LOG_AT_(log, GP_LOG_AUDIT, __VA_ARGS__, (gp_log_field){.key = NULL})
#define gp_log_error(log, ...)           GP_LOG_AT_(log, GP_LOG_ERROR, __VA_ARGS__, (gp_log_field){.key = NULL})
#define GP_LOG_AT_(log, level, msg, ...) GP_LOG_AT(log, level, msg, __VA_ARGS__)

#endif

/* gpdb.h - what the files of gpdb share. */
#ifndef GP_GPDB_H
#define GP_GPDB_H

#include "proto/base/buf.h"
#include "proto/base/error.h"
#include "sensor/godb/codec.h"

#include <stdio.h>
#include <sys/types.h>

typedef enum command {
    CMD_NONE,
    CMD_CHECK,
    CMD_COMPLETION,
    CMD_EXPORT,
    CMD_HELP,
    CMD_IMPORT,
    CMD_INDEX,
    CMD_MERGE,
    CMD_PRUNE,
    CMD_REPAIR,
    CMD_STATS,
    CMD_VERSION,
    CMD_COUNT
} command;

/* 1, for errors, is v4's; that a database is damaged is an answer rather than an error. */
enum { EXIT_DAMAGED = 2 };

/* Strings point into argv. */
typedef struct options {
    command cmd;
    command help_for; /* of CMD_HELP: the command to explain, CMD_NONE for gpdb itself */
    const char *args[2];
    size_t n_args;
    char **ifaces; /* --iface, split at commas; none: all */
    size_t n_ifaces;
    bool dry_run;
    /* import */
    const char *schema, *iface; /* NULL: the first record; none */
    int64_t max_rows;           /* 0: all */
    const char *encoder, *permissions;
    int64_t level;
    /* merge */
    bool overwrite;
    int64_t tolerance_ns;
    /* repair */
    const char *aside; /* NULL: beside the database */
    bool today;
    /* prune */
    int64_t max_age_s, max_size; /* 0: no limit */
    /* export, stats */
    const char *format, *output, *first, *last;
} options;

/* options.c: GP_EINVAL for the user; o->cmd is then the command as far as it was recognized. */
gp_code options_parse(int argc, char **argv, options *o, gp_error *err);
void options_free(options *o);

/* help.c */
void help_print(FILE *out, command cmd);

/* One file a command. Each prints its own result to stdout; *exit_code starts as 0. */
gp_code run_check(const options *o, int *exit_code, gp_error *err);
gp_code run_export(const options *o, int *exit_code, gp_error *err);
gp_code run_import(const options *o, int *exit_code, gp_error *err);
gp_code run_index(const options *o, int *exit_code, gp_error *err);
gp_code run_merge(const options *o, int *exit_code, gp_error *err);
gp_code run_prune(const options *o, int *exit_code, gp_error *err);
gp_code run_repair(const options *o, int *exit_code, gp_error *err);
gp_code run_stats(const options *o, int *exit_code, gp_error *err);

/* GP_ECANCELED after SIGINT or SIGTERM: long work asks between two steps. */
gp_code check_interrupt(gp_error *err);

/* progress.c: one line on stderr that overwrites itself, if that is a terminal; otherwise nothing. */
typedef struct progress {
    bool on;
    bool shown;
    int64_t next_ns; /* when to draw again */
} progress;
void progress_start(progress *p);
void progress_show(progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void progress_clear(progress *p); /* before anything else is printed */

/* The interfaces of --iface, or all that db has. GP_ENOTFOUND names one that db lacks. gp_strlist_free. */
gp_code select_ifaces(const options *o, const char *db, char ***out, size_t *n, gp_error *err);

#endif

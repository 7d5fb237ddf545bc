/* gpctl.h - what the files of gpctl share. */
#ifndef GP_GPCTL_H
#define GP_GPCTL_H

#include "client/gpclient.h"

#include <stdio.h>
#include <time.h>

typedef enum command {
    CMD_NONE,
    CMD_STATUS,
    CMD_CONFIG,
    CMD_LOG_LEVEL,
    CMD_COMPLETION,
    CMD_VERSION,
    CMD_HELP
} command;

typedef enum format { FORMAT_TXT, FORMAT_JSON, FORMAT_CSV } format;

typedef struct options {
    command cmd;
    command help_for;      /* of CMD_HELP: the command to explain, CMD_NONE for gpctl itself */
    char *server_addr;     /* several are separated by commas; NULL: the hosts of `endpoints` */
    const char *endpoints; /* file; NULL: none */
    const char *hosts;     /* names in that file, separated by commas; NULL: all */
    int64_t timeout_ns;
    char *token, *tls_ca, *tls_cert, *tls_key; /* NULL: none */
    const char *file;                          /* config: settings to send; NULL: none */
    bool reload;
    bool silent;
    format format;
    bool detailed;
    const char *const *ifaces; /* the arguments behind the command */
    size_t n_ifaces;
} options;

/*
 * options.c: flags win over the environment, the environment over the configuration file. On GP_EINVAL
 * usage should be shown with the error; o->cmd is then the command as far as it was recognized.
 */
gp_code options_parse(int argc, char **argv, options *o, gp_error *err);
void options_free(options *o);

/* help.c */
void help_print(FILE *out, command cmd);

/* status.c, config.c, loglevel.c: append what goes to stdout. */
gp_code run_status(const options *o, gp_client *c, bool color, gp_buf *out, gp_error *err);
gp_code run_config(const options *o, gp_client *c, bool color, gp_buf *out, gp_error *err);
gp_code run_log_level(const options *o, gp_client *c, gp_buf *out, gp_error *err);

/* config.c: sends a file's settings or has the sensor reload, whichever the options say. */
gp_code change_config(const options *o, gp_client *c, gp_config_update *out, gp_error *err);
/* config.c: fails if a change did. */
gp_code check_update(const gp_config_update *u, gp_error *err);
/* text.c: the counters of all interfaces, added up. */
gp_capture_stats status_sum(const gp_status *s);
/* text.c: time since then, to the second: "1h2m3s". */
void put_age(gp_buf *out, int64_t sec, int32_t nsec, const struct timespec *now);

/* text.c: "[eth0 eth1]", as v4 writes lists of names. */
void put_names(gp_buf *out, const char *const *names, size_t n);

#endif

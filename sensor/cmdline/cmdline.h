/*
 * cmdline.h - the command line of goprobe:
 *
 *   goprobe [-c FILE] [--api.addr X ...]              capture (every key of the configuration is a flag)
 *   goprobe import -d DB -i IFACE [-e CODEC] [--local NET,...] FILE...  capture files into a database
 *   goprobe version | help
 * (and "goprobe token", which is proto/auth/token_command.h)
 *
 * "-config FILE" with one dash is taken, too: it is how goProbe's documentation starts it.
 * Ownership: strings point into argv; gp_cmdline_free releases the arrays.
 */
#ifndef GP_CMDLINE_CMDLINE_H
#define GP_CMDLINE_CMDLINE_H

#include "proto/base/buf.h"
#include "proto/base/error.h"
#include "sensor/config/config.h"

typedef enum gp_command { GP_CMD_RUN, GP_CMD_IMPORT, GP_CMD_SPEC, GP_CMD_VERSION, GP_CMD_HELP } gp_command;

typedef struct gp_cmdline {
    gp_command command;
    const char *config; /* NULL: none */
    gp_setting *flags;  /* configuration keys given as flags */
    size_t n_flags;
    const char *spec_outfile; /* GP_CMD_SPEC */
    const char *db;           /* import */
    const char *iface;
    const char *codec; /* NULL: lz4 */
    const char *local; /* addresses and networks, as given; NULL: none */
    char **files;      /* import: the rest of argv */
    size_t n_files;
} gp_cmdline;

/* GP_EINVAL names the argument and what is possible. */
gp_code gp_cmdline_parse(int argc, char **argv, gp_cmdline *out, gp_error *err);
void gp_cmdline_free(gp_cmdline *c);
void gp_cmdline_help(gp_buf *out);

#endif

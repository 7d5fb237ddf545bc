/* lines.h - text files that are lines: tokens, certificates. Internal to proto/auth. Stateless. */
#ifndef GP_AUTH_LINES_H
#define GP_AUTH_LINES_H

#include "proto/base/error.h"

#include <stddef.h>

/* One line without its end, which the callee may change. */
typedef gp_code (*gp_line_fn)(void *ctx, char *line, gp_error *err);

/* Calls fn for each line up to the first failure, whose message then says in which file and line. */
gp_code gp_lines_parse(const char *file, const char *text, size_t len, gp_line_fn fn, void *ctx,
                       gp_error *err);
/* The same for a file of at most 1 MiB; `what` it is, for messages: "tokens file". */
gp_code gp_lines_load(const char *path, const char *what, gp_line_fn fn, void *ctx, gp_error *err);

#endif

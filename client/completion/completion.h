/* completion.h - the scripts with which shells complete the command lines of our tools. */
#ifndef GP_CLIENT_COMPLETION_H
#define GP_CLIENT_COMPLETION_H

#include "proto/base/buf.h"
#include "proto/base/error.h"

/*
 * Appends the script for `program` and `shell` ("bash", "zsh", "fish"), which that shell may source or find
 * as a file; that for zsh wants compinit before it if it is sourced. False if there is none.
 */
bool gp_completion_script(const char *program, const char *shell, gp_buf *out);
/* The same to standard output. GP_EINVAL if there is none. */
gp_code gp_completion_print(const char *program, const char *shell, gp_error *err);

#endif

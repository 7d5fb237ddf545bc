/* completion.h - the scripts with which shells complete the command lines of our tools. */
#ifndef GP_CLIENT_COMPLETION_H
#define GP_CLIENT_COMPLETION_H

#include "proto/base/buf.h"

/*
 * Appends the script for `program` and `shell` ("bash", "zsh", "fish"), which that shell may source or find
 * as a file; that for zsh wants compinit before it if it is sourced. False if there is none.
 */
bool gp_completion_script(const char *program, const char *shell, gp_buf *out);

#endif

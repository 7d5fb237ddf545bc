/* token_file.h - a file with the token that hosts are shown, as one that may change while it is used. */
#ifndef GP_GLOBAL_QUERY_TOKEN_FILE_H
#define GP_GLOBAL_QUERY_TOKEN_FILE_H

#include "proto/base/watched.h"

/* Content: a const char. */
extern const gp_watched_kind gp_token_file;

#endif

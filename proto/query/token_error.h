/*
 * token_error.h - internal: errors that point at one of the tokens of a user's text.
 *
 *   sip,foo
 *       ^
 *   unknown attribute
 */
#ifndef GP_QUERY_TOKEN_ERROR_H
#define GP_QUERY_TOKEN_ERROR_H

#include "proto/base/error.h"

/* A piece of somebody else's text; not NUL-terminated. */
typedef struct gp_span {
    const char *at;
    size_t len;
} gp_span;

/*
 * Fails with GP_EINVAL: the n tokens joined by `sep`, a '^' under token `pos` (n: behind the last one) and
 * the description. Texts too long for a gp_error are cut to the tokens around `pos`, marked by "...".
 */
gp_code gp_token_error(gp_error *err, const gp_span *tokens, size_t n, size_t pos, const char *sep,
                       const char *description);
/* Whether gp_token_error made this message. No other message of this module has several lines. */
bool gp_is_token_error(const gp_error *err);

#endif

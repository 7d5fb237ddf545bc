/*
 * sse.h - reads a stream of server-sent events (WHATWG HTML, 9.2.6) as it arrives, piece by piece.
 *
 * Internal to libgpclient. A zeroed gp_sse with on_event set is ready; gp_sse_free releases it.
 */
#ifndef GP_CLIENT_SSE_H
#define GP_CLIENT_SSE_H

#include "proto/base/buf.h"
#include "proto/base/error.h"

typedef struct gp_sse {
    /* Called for every complete event ("message" where it has no name); false ends with GP_ECANCELED. */
    bool (*on_event)(void *ctx, const char *name, const char *data, size_t len);
    void *ctx;
    size_t max_event; /* bytes of a line and of an event's data; 0: no limit */

    gp_buf line, name, data;
    size_t fed; /* bytes seen so far, as far as it matters for the byte order mark */
    bool has_data;
    bool after_cr; /* a line feed now belongs to the carriage return before it */
} gp_sse;

gp_code gp_sse_feed(gp_sse *s, const char *bytes, size_t len, gp_error *err);
void gp_sse_free(gp_sse *s);

#endif

/*
 * frame.h - one message between global-query and a sensor, as spec/wire-protocol.md describes it:
 * a header of 16 bytes and a body, which may be an LZ4 block.
 */
#ifndef GP_WIRE_FRAME_H
#define GP_WIRE_FRAME_H

#include "proto/base/buf.h"
#include "proto/base/error.h"

enum { GP_WIRE_VERSION = 1, GP_FRAME_HEADER = 16 };

typedef enum gp_frame_type {
    GP_FRAME_QUERY = 1, /* body: arguments as JSON */
    GP_FRAME_CANCEL,    /* nobody waits for the answer any more; no body */
    GP_FRAME_RENEW,     /* somebody still does; no body */
    GP_FRAME_ANSWER,    /* body: a result (answer.h) */
    GP_FRAME_PROBLEM    /* body: a problem document as JSON, or nothing */
} gp_frame_type;

typedef struct gp_frame {
    gp_frame_type type;
    uint16_t status;   /* of answers and problems: what HTTP would say; otherwise 0 */
    uint32_t lease_ms; /* of queries: given up without a RENEW for so long; 0: never */
    const char *body;  /* into the message, or into `unpacked` */
    size_t len;
    gp_buf unpacked;
} gp_frame;

/* Appends a frame. It is compressed where that makes it shorter. GP_ELIMIT: more than LZ4 can take. */
gp_code gp_frame_write(gp_buf *out, const gp_frame *f, gp_error *err);

/* Reads a message; *out points into it. A body that would unpack to more than max_body bytes is refused with
 * GP_ELIMIT before memory is taken for it, another version with GP_EUNSUPPORTED, everything else that does
 * not fit with GP_ECORRUPT. */
gp_code gp_frame_read(const void *message, size_t len, size_t max_body, gp_frame *out, gp_error *err);
void gp_frame_free(gp_frame *f);

#endif

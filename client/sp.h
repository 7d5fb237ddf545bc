/*
 * sp.h - messages of nanomsg's request/reply protocol on a connected socket, without a thread and without
 * waiting: what is to be sent, and what has been received so far.
 *
 * Formats: the scalability protocols' TCP mapping (sp-tcp-mapping-01), IPC mapping (sp-ipc-mapping-01) and
 * request/reply protocol (sp-request-reply-01), as libnanomsg 1 speaks them. Why this and not libnanomsg's
 * own sockets: spec/decisions/0018.
 *
 * Internal to libgpclient. A zeroed gp_sp is none; gp_sp_close releases everything.
 */
#ifndef GP_CLIENT_SP_H
#define GP_CLIENT_SP_H

#include "proto/base/buf.h"
#include "proto/base/error.h"

typedef struct gp_sp {
    int fd; /* nonblocking */
    bool ipc;
    bool greeted;  /* the peer has said that it answers requests */
    bool received; /* at least a byte since gp_sp_open */
    size_t max_message;
    gp_buf out;
    size_t sent;
    uint8_t head[9]; /* greeting, or type and length: what comes before a message */
    size_t n_head;
    gp_buf in;   /* of the message that is being received */
    size_t size; /* of that message */
} gp_sp;

typedef enum gp_sp_state {
    GP_SP_WAIT,    /* nothing complete yet */
    GP_SP_MESSAGE, /* a reply: gp_sp_reply */
    GP_SP_FAILED   /* *err says why */
} gp_sp_state;

/* Takes over a connected socket. fresh: neither side has said anything yet. A message of more than
 * max_message bytes is refused before it is received. */
gp_code gp_sp_open(gp_sp *s, int fd, bool ipc, bool fresh, size_t max_message, gp_error *err);
/* Releases the socket to the caller; -1 if the connection cannot be used for another request. */
int gp_sp_detach(gp_sp *s);
void gp_sp_close(gp_sp *s);

/* Appends a request to what is to be sent. id: top bit set. */
gp_code gp_sp_request(gp_sp *s, uint32_t id, const gp_buf *body, gp_error *err);
/* Sends what can be sent now; gp_sp_unsent says whether there is more. GP_ENET: the connection is broken. */
gp_code gp_sp_flush(gp_sp *s, gp_error *err);
static inline bool gp_sp_unsent(const gp_sp *s)
{
    return s->sent < s->out.len;
}

/* Receives what there is. */
gp_sp_state gp_sp_receive(gp_sp *s, gp_error *err);
/* The reply that was received, until gp_sp_next. False: it is none. */
bool gp_sp_reply(const gp_sp *s, uint32_t *id, const char **body, size_t *len);
void gp_sp_next(gp_sp *s);

#endif

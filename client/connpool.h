/*
 * connpool.h - open connections that nobody uses at the moment, by address, for whoever asks the same host
 * next. Internal to libgpclient. Thread-safe.
 */
#ifndef GP_CLIENT_CONNPOOL_H
#define GP_CLIENT_CONNPOOL_H

#include "proto/base/error.h"

typedef struct gp_connpool gp_connpool;

/* Keeps at most `most` connections; the one that has been idle longest goes first. */
gp_code gp_connpool_new(gp_connpool **out, size_t most, gp_error *err);
void gp_connpool_free(gp_connpool *p); /* closes them; NULL is fine */

/* A connection to this address that the peer has not closed; -1: there is none. The caller's from now on. */
int gp_connpool_take(gp_connpool *p, const char *addr);
/* Takes over a connection on which nothing is under way. p may be NULL: it is closed. */
void gp_connpool_give(gp_connpool *p, const char *addr, int fd);

#endif

/*
 * gather.h - outcomes of hosts, from the threads that ask (fanout_lane.h) to one callback at a time. Internal
 * to fanout.c.
 *
 * No thread is there only for them: whoever brings an outcome while nobody tells of one does that, for its
 * own or one that waits; the others go on asking. Few wait at a time, and few bytes: a thread that brings one
 * more waits, too, so that answers that nobody has looked at yet stay within their limit.
 */
#ifndef GP_CLIENT_GATHER_H
#define GP_CLIENT_GATHER_H

#include "client/fanout.h"

/* Called one at a time, by any of the threads. */
typedef struct gp_gather_hooks {
    gp_fanout_fn tell;
    void *tell_ctx;
    bool (*poll)(void *ctx); /* after each outcome, and when time passes; true: no more is wanted */
    void *poll_ctx;
} gp_gather_hooks;

typedef struct gp_gather gp_gather;
/* Of n outcomes. */
gp_code gp_gather_new(gp_gather **out, size_t n, const gp_gather_hooks *hooks, gp_error *err);
void gp_gather_free(gp_gather *g); /* no thread may use it any more */

/* Takes the content of *result (NULL: the host failed, as *err says). */
void gp_gather_put(gp_gather *g, const gp_fanout_host *host, gp_result *result, int64_t took_ns,
                   const gp_error *err);
/* Tells of one that waits; false: none does, or another thread does that. To be called before a thread that
 * has put outcomes sleeps, until it is false. */
bool gp_gather_tell(gp_gather *g);
/* True: no more is wanted. */
bool gp_gather_poll(gp_gather *g);
void gp_gather_stop(gp_gather *g);
/* Tells of what others bring, until that was all or no more is wanted. */
void gp_gather_help(gp_gather *g);
/* Whether all were told of. */
bool gp_gather_is_complete(gp_gather *g);

#endif

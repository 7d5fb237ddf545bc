/*
 * livesink.h - how flows that are not in the database yet come into an answer, each of them once: those of
 * the running interval, and those of intervals whose blocks wait to be written.
 *
 * A block may be written while somebody asks. Therefore who asks (1) notes how many blocks have been written,
 * (2) looks up the last block of the interface in the database and takes no later one into account, (3) asks
 * for all flows that lie behind that block. If another block has been written since (1), it is told so and
 * begins again.
 */
#ifndef GP_FLOW_LIVESINK_H
#define GP_FLOW_LIVESINK_H

#include "proto/flow/flow.h"

typedef struct gp_live_sink {
    void *ctx;
    uint64_t written; /* blocks, as noted first */
    int64_t last;     /* time of the last block of the interface in the database; 0: none */
    /* The flows that follow are those of the block of this time. False: they are not wanted. */
    bool (*block)(void *ctx, int64_t ts);
    void (*flow)(void *ctx, const gp_flow *flow);
} gp_live_sink;

#endif

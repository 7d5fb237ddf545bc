/*
 * flowtable.h - the flows of one interface in the running interval.
 *
 * A conversation is stored once whichever way its packets run: the key holds the endpoint with the smaller
 * (address, port) first, and a bit says whether the flow runs the other way. So each packet costs one lookup.
 *
 * Flows lie one behind the other in the order in which they began: 48 bytes with an IPv4 key, 72 with an IPv6
 * key. An index beside them, open addressing with linear probing, holds 4 bytes a slot: the number of the
 * flow, and in the bits that this leaves free a part of the hash, so that hardly ever a wrong flow is looked
 * at. The hash is seeded (getrandom), so an attacker cannot choose colliding flows.
 *
 * A table grows in small steps: only the index is built anew, and each batch of packets enters a few flows
 * into the new one. Flows stay where they are. So no packet waits for a whole table to be copied while the
 * ring behind it fills up.
 *
 * The direction of a flow is decided by its first packet. Flows that were active in the interval before keep
 * the direction they had: a new table is given the one it replaces (`previous`) and asks it before
 * classifying.
 *
 * Where several rings share the packets of an interface, the table has a lane for each, which only the ring's
 * thread adds to. All packets of two addresses must go to one lane (see fanout.h): so a flow is in one lane
 * only, and flows are the same however many lanes there are.
 *
 * A table has a limit. What would be a new flow beyond it, or one that there is no memory for, counts in one
 * flow for all, the overflow: no packet is missing from the sums. It shows as 0.0.0.0 -> 0.0.0.0 (or :: ->
 * ::), port 0, protocol 255, which is reserved (IANA) and so no traffic's.
 *
 * Threads: what names a lane (or a walk, which is in one) is for the thread that adds to this lane, while it
 * does; a table that no longer changes may be read by any thread.
 */
#ifndef GP_CAPTURE_FLOWTABLE_H
#define GP_CAPTURE_FLOWTABLE_H

#include "proto/base/error.h"
#include "proto/flow/flow.h"
#include "sensor/capture/packet.h"

typedef struct gp_flowtable gp_flowtable;

enum { GP_FLOWTABLE_MAX_FLOWS = 1 << 30, GP_OVERFLOW_PROTO = 255 };

/* For at most max_flows flows (0: GP_FLOWTABLE_MAX_FLOWS), in equal parts for each lane. Made with as many
 * lanes and room for as many flows as `like` has (NULL: one lane, a few flows), since the next interval is
 * much like the last. */
gp_code gp_flowtable_new(gp_flowtable **out, const gp_flowtable *like, size_t max_flows, gp_error *err);
/* With room for a few flows. `like` may be added to meanwhile; its lanes are as many. */
gp_code gp_flowtable_new_lanes(gp_flowtable **out, const gp_flowtable *like, unsigned lanes, size_t max_flows,
                               gp_error *err);
/* Room for as many flows as the lane of `like` has; of an empty lane. */
void gp_flowtable_reserve(gp_flowtable *t, unsigned lane, const gp_flowtable *like);
void gp_flowtable_free(gp_flowtable *t);

/* Counts packets, in order: many at a time, so that memory is fetched for the next while the first are
 * counted. previous: NULL, or the table that this one was made like. */
void gp_flowtable_add(gp_flowtable *t, unsigned lane, const gp_flowtable *previous, const gp_counted *packets,
                      size_t n);

unsigned gp_flowtable_lanes(const gp_flowtable *t);
size_t gp_flowtable_flows(const gp_flowtable *t); /* conversations, source ports told apart */
size_t gp_flowtable_bytes(const gp_flowtable *t); /* memory in use */
gp_counters gp_flowtable_totals(const gp_flowtable *t);
size_t gp_flowtable_lane_flows(const gp_flowtable *t, unsigned lane);
size_t gp_flowtable_lane_bytes(const gp_flowtable *t, unsigned lane);
/* Slots of the index that a search looks at in the mean, of flows that are in the table: about 2 at most,
 * unless the hash has failed. Walks over the whole table. */
double gp_flowtable_probes(const gp_flowtable *t);
gp_counters gp_flowtable_lane_overflow(const gp_flowtable *t,
                                       unsigned lane); /* what has no flow of its own */

/* How far a walk over a table has come: one lane after the other. Begin with {0}; gp_flowtable_take may begin
 * with all = true, to be shown not only those that have changed since they were last taken. At GP_WALK_END
 * all have been seen. Packets may be added between two steps. */
typedef struct gp_flowtable_walk {
    bool all;
    unsigned lane;
    unsigned stage; /* address family */
    size_t at;      /* number of the flow */
} gp_flowtable_walk;
enum { GP_WALK_END = 2 };

/* The conversations as flows, the overflow included, in no order that matters; keys may repeat. *out is
 * malloc'ed. */
gp_code gp_flowtable_export(const gp_flowtable *t, gp_flow **out, size_t *n, gp_error *err);
/* The same step by step: up to max flows of the walk's lane; returns how many, often none. */
size_t gp_flowtable_export_some(const gp_flowtable *t, gp_flowtable_walk *w, gp_flow *out, size_t max);
/* Brings exported flows into the form that is stored: source ports are gone, so flows that have the same key
 * are added up. Sorted by key, IPv4 first. Returns how many remain. */
size_t gp_flows_merge(gp_flow *flows, size_t n);

/* A conversation with everything that tells it from others, as it is now. It runs from sip to dip. */
typedef struct gp_session {
    gp_addr sip, dip; /* of one family */
    uint16_t sport, dport;
    uint8_t proto;
    gp_counters c;
} gp_session;

/* Takes some sessions (max at most, in well below a millisecond; often none) and marks them as unchanged. The
 * overflow is one, too. A session that changes between two steps may be met twice, never missed. */
size_t gp_flowtable_take(gp_flowtable *t, gp_flowtable_walk *w, gp_session *out, size_t max);
/* The same of a table that no longer changes: all sessions of the walk's lane, and nothing is marked. */
size_t gp_flowtable_list(const gp_flowtable *t, gp_flowtable_walk *w, gp_session *out, size_t max);
/* Sets the counters of a session, or adds to them, whatever the limit of the table. False: no memory. The
 * session counts as changed. */
bool gp_flowtable_put(gp_flowtable *t, const gp_session *s, bool add_up); /* into the first lane */
bool gp_flowtable_put_lane(gp_flowtable *t, unsigned lane, const gp_session *s, bool add_up);

#endif

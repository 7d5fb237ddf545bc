/*
 * flowtable.h - the flows of one interface in the running interval.
 *
 * A conversation is stored once whichever way its packets run: the key holds the endpoint with the smaller
 * (address, port) first, and a bit says whether the flow runs the other way. So each packet costs one lookup.
 * IPv4 keys are two machine words, IPv6 keys five; both tables use open addressing with a hash that is
 * seeded per table (getrandom), so an attacker cannot choose colliding flows.
 *
 * A table grows in small steps: the greater array is there at once, and each new flow moves a few slots over
 * from the old one. So no packet waits for a whole table to be copied while the ring behind it fills up.
 *
 * The direction of a flow is decided by its first packet. Flows that were active in the interval before keep
 * the direction they had: a new table is given the one it replaces (`previous`) and asks it before
 * classifying.
 *
 * Not thread-safe while packets are added; a table that no longer changes may be read by any thread.
 */
#ifndef GP_CAPTURE_FLOWTABLE_H
#define GP_CAPTURE_FLOWTABLE_H

#include "proto/base/error.h"
#include "proto/flow/flow.h"
#include "sensor/capture/packet.h"

typedef struct gp_flowtable gp_flowtable;

/* Made for as many flows as `like` holds (NULL: a few): the next interval is much like the last. */
gp_code gp_flowtable_new(gp_flowtable **out, const gp_flowtable *like, gp_error *err);
void gp_flowtable_free(gp_flowtable *t);

/* A parsed packet with what counts of it. */
typedef struct gp_counted {
    gp_packet packet;
    uint32_t len;
    bool outgoing;
} gp_counted;

/* Counts packets, in order: many at a time, so that memory is fetched for the next while the first are
 * counted. Returns how many were counted; the others would have been new flows that there is no memory for.
 */
size_t gp_flowtable_add(gp_flowtable *t, const gp_flowtable *previous, const gp_counted *packets, size_t n);

size_t gp_flowtable_flows(const gp_flowtable *t); /* conversations, source ports told apart */
size_t gp_flowtable_bytes(const gp_flowtable *t); /* memory in use */
gp_counters gp_flowtable_totals(const gp_flowtable *t);

/* The conversations as flows, in no order; keys may repeat. *out is malloc'ed. */
gp_code gp_flowtable_export(const gp_flowtable *t, gp_flow **out, size_t *n, gp_error *err);
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

/* How far a walk over the sessions of a table has come. Begin with {0}, or with all = true to be shown not
 * only those that have changed since they were last taken. At GP_WALK_END all have been seen. */
typedef struct gp_flowtable_walk {
    bool all;
    unsigned stage, grown;
    size_t at;
} gp_flowtable_walk;
enum { GP_WALK_END = 4 };

/* Takes some sessions (max at most, in well below a millisecond; often none) and marks them as unchanged.
 * Packets may be added between two calls; a session that changes meanwhile may be met twice, never missed. */
size_t gp_flowtable_take(gp_flowtable *t, gp_flowtable_walk *w, gp_session *out, size_t max);
/* Sets the counters of a session, or adds to them. False: no memory. The session counts as changed. */
bool gp_flowtable_put(gp_flowtable *t, const gp_session *s, bool add_up);

#endif

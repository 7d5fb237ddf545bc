/*
 * flowtable.h - the flows of one interface in the running interval.
 *
 * A conversation is stored once whichever way its packets run: the key holds the endpoint with the smaller
 * (address, port) first, and a bit says whether the flow runs the other way. So each packet costs one lookup.
 * IPv4 keys are two machine words, IPv6 keys five; both tables use open addressing with a hash that is
 * seeded per table (getrandom), so an attacker cannot choose colliding flows.
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

gp_code gp_flowtable_new(gp_flowtable **out, gp_error *err);
void gp_flowtable_free(gp_flowtable *t);

/* Counts a packet. False if there is no memory for a new flow: the packet is not counted then. */
bool gp_flowtable_add(gp_flowtable *t, const gp_flowtable *previous, const gp_packet *p, uint32_t len,
                      bool outgoing);

size_t gp_flowtable_flows(const gp_flowtable *t); /* conversations, source ports told apart */
size_t gp_flowtable_bytes(const gp_flowtable *t); /* memory in use */
gp_counters gp_flowtable_totals(const gp_flowtable *t);
gp_code gp_flowtable_copy(const gp_flowtable *t, gp_flowtable **out, gp_error *err);

/*
 * The flows as they are stored: source ports dropped, flows that then have the same key added up.
 * *out is malloc'ed, IPv4 first, sorted by key.
 */
gp_code gp_flowtable_collect(const gp_flowtable *t, gp_flow **out, size_t *n, gp_error *err);

#endif

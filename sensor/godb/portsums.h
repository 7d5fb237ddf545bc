/*
 * portsums.h - the traffic of every port and protocol of a day, from its columns.
 *
 * A group is a protocol and a destination port; its place is protocol << 16 | port. Places come in chunks of
 * neighbouring ports, made when the first of them has a flow.
 *
 * Thread-safety: one thread each.
 */
#ifndef GP_GODB_PORTSUMS_H
#define GP_GODB_PORTSUMS_H

#include "sensor/godb/reader.h"

enum {
    GP_PORTS = 1 << 16, /* of each protocol */
    GP_PORTSUMS_CHUNK = 1 << 11,
    GP_PORTSUMS_CHUNKS = (256 << 16) / GP_PORTSUMS_CHUNK
};

typedef struct gp_portsums_chunk {
    gp_counters sums[GP_PORTSUMS_CHUNK];
    uint64_t
        present[GP_PORTSUMS_CHUNK / 64]; /* a bit for each group that has a flow, be it without traffic */
} gp_portsums_chunk;

typedef struct gp_portsums {
    gp_portsums_chunk *chunks[GP_PORTSUMS_CHUNKS];
    size_t n_chunks;
} gp_portsums;

/* Adds up all blocks of a day. GP_ECORRUPT and the like if one cannot be read, GP_ELIMIT if there are more
 * groups or larger sums than make sense. gp_portsums_free. */
gp_code gp_portsums_of_day(gp_day *d, gp_codec *codec, gp_portsums **out, gp_error *err);
void gp_portsums_free(gp_portsums *p);

static inline bool gp_portsums_has(const gp_portsums_chunk *c, uint32_t i)
{
    return c->present[i / 64] >> i % 64 & 1;
}

#endif

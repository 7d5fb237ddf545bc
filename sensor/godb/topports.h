/*
 * topports.h - the heaviest ports of a complete day, in an additional file of its folder
 * (spec/godb-format.md, spec/decisions/0033).
 *
 * The file lists the groups (protocol and destination port) with the most bytes and the most packets, says
 * which groups there are besides, and bounds what any of those can have. That answers most queries for the
 * first of a ranking by port (toplist.c) without reading a column.
 *
 * The file is advice: it counts only for the blocks that it was made of (blockcheck.h); a block that is
 * appended makes it stale. Everything in it is checked when it is decoded.
 *
 * Thread-safety: a decoded one is read-only.
 */
#ifndef GP_GODB_TOPPORTS_H
#define GP_GODB_TOPPORTS_H

#include "sensor/godb/blockcheck.h"
#include "sensor/godb/portsums.h"

/* What groups are ranked by. */
typedef enum gp_rank {
    GP_RANK_BYTES_RCVD,
    GP_RANK_BYTES_SENT,
    GP_RANK_PKTS_RCVD,
    GP_RANK_PKTS_SENT,
    GP_RANK_BYTES, /* received and sent */
    GP_RANK_PKTS,
    GP_RANK_COUNT
} gp_rank;

uint64_t gp_rank_value(const gp_counters *c, gp_rank r);

/* ---- making -------------------------------------------------------------------------------------------- */

/* How many of the heaviest groups by bytes, and by packets, a day is worth listing: so many that the file is
 * about a thousandth of the day. 0: the day is so small that it gets no file. */
unsigned gp_topports_worth(const gp_blockmeta *m);

/* Adds the file of the day *m with these groups to *out. GP_ELIMIT where sums would overflow, GP_ECORRUPT if
 * they contradict the totals of the day. worth >= 1. */
gp_code gp_topports_encode(const gp_portsums *p, unsigned worth, const gp_blockmeta *m, gp_codec *codec,
                           gp_buf *out, gp_error *err);

/* The last step of that: what the file says, compressed and tied to the day. */
gp_code gp_topports_seal(const gp_buf *raw, const gp_blockmeta *m, gp_codec *codec, gp_buf *out,
                         gp_error *err);

/* ---- reading ------------------------------------------------------------------------------------------- */

typedef struct gp_topports gp_topports;

/* GP_ECORRUPT unless the file was made for the blocks of *m, and everything in it makes sense. */
gp_code gp_topports_decode(const uint8_t *data, size_t len, const gp_blockmeta *m, gp_codec *codec,
                           gp_topports **out, gp_error *err);
void gp_topports_free(gp_topports *t);
size_t gp_topports_memory(const gp_topports *t);       /* bytes that it takes */
size_t gp_topports_stored(const gp_topports *t);       /* bytes of the file, */
size_t gp_topports_raw(const gp_topports *t);          /* and what they were decompressed to */
unsigned gp_topports_listed_for(const gp_topports *t); /* `worth` when it was made */

/* Whether both say the same. */
bool gp_topports_same(const gp_topports *a, const gp_topports *b);

/* What a group that is not listed has at most. */
uint64_t gp_topports_bound(const gp_topports *t, gp_rank r);

/* A protocol of the day: its sums, and which of its ports have flows. */
typedef struct gp_topports_proto {
    uint8_t proto;
    gp_counters sum;
    const uint8_t *ports; /* bit i mod 8 of byte i / 8 is port 8 * first + i */
    size_t first, n;      /* bytes */
} gp_topports_proto;
size_t gp_topports_n_protos(const gp_topports *t);
const gp_topports_proto *gp_topports_protos(const gp_topports *t); /* by rising protocol */

/* The listed groups by rising place. */
typedef struct gp_topports_iter {
    const uint8_t *at, *end;
    uint32_t place; /* proto << 16 | port */
    gp_counters sum;
} gp_topports_iter;
gp_topports_iter gp_topports_listed(const gp_topports *t);
bool gp_topports_next(gp_topports_iter *it);

/* The file of a day that was opened; NULL: there is none that counts. */
gp_topports *gp_day_topports(gp_day *d, gp_codec *codec);

#endif

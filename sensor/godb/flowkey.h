/*
 * flowkey.h - the narrow keys that a query aggregates by.
 *
 * A query needs only the attributes it names, so a key is 1, 2, 3 or 5 machine words:
 *
 *   last word         address or time (32 bits) | dport (16) | proto (8) | 1 (8)
 *   words before it   the addresses that do not fit there, as big-endian numbers
 *
 *   no address                    1 word   [time  | dport | proto | 1]
 *   one IPv4 address, no time     1 word   [addr  | dport | proto | 1]
 *   IPv4 otherwise                2 words  [sip dip] [time | dport | proto | 1]
 *   one IPv6 address              3 words  [addr] [addr] [time | dport | proto | 1]
 *   two IPv6 addresses            5 words
 *
 * Unused parts are zero. The low byte of the last word is always 1, so no key is all zero and an empty
 * slot of a table needs no flag of its own. Times are UNIX seconds up to the year 2106, the
 * limit that .blockmeta's 32-bit deltas set in practice.
 */
#ifndef GP_GODB_FLOWKEY_H
#define GP_GODB_FLOWKEY_H

#include "proto/result/result.h"

enum { GP_KEY_MAX_WORDS = 5 };

typedef struct gp_keyspec {
    unsigned words;
    bool v6;
    bool sip, dip, dport, proto, time;
    bool addr_in_last; /* the only address shares the last word */
} gp_keyspec;

/* Keys of one address family for a query type. Without addresses both families give the same spec. */
gp_keyspec gp_keyspec_make(const gp_query_type *type, bool v6);

/* Column vectors of one family of a block. Pointers that the spec does not need may be NULL. */
typedef struct gp_key_columns {
    const uint8_t *sip, *dip; /* 4 or 16 bytes each, network order */
    const uint8_t *dport;     /* 2 bytes each, big-endian */
    const uint8_t *proto;
    uint32_t time;
} gp_key_columns;

/* Packs the keys of rows[0..n) (indexes into the vectors) into keys[n * words]. */
void gp_keys_pack(const gp_keyspec *spec, const gp_key_columns *cols, const uint32_t *rows, size_t n,
                  uint64_t *keys);
void gp_key_pack_flow(const gp_keyspec *spec, const gp_flow *flow, uint32_t time, uint64_t *key);
/* The time label of a key that has one. */
static inline uint32_t gp_key_time(const gp_keyspec *spec, const uint64_t *key)
{
    return (uint32_t)(key[spec->words - 1] >> 32);
}
/* The attributes and time label of a key into *row. */
void gp_key_unpack(const gp_keyspec *spec, const uint64_t *key, gp_row *row);

#endif

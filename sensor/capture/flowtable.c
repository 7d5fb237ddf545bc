#include "sensor/capture/flowtable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { V4_WORDS = 2, V6_WORDS = 5, COUNTER_WORDS = 4, MAX_WORDS = V6_WORDS, FIRST_CAPACITY = 256 };

/* Low byte of the last key word. */
enum { OCCUPIED = 1, SWAPPED = 2 };

/* Slots of (key words, bytes received, bytes sent, packets received, packets sent). */
typedef struct half {
    uint64_t *slots;
    size_t mask;
    size_t n;
} half;

struct gp_flowtable {
    half v4, v6;
    uint64_t seed[2];
};

/* A conversation's key, and whether the packet at hand runs from the second endpoint to the first. */
typedef struct key {
    uint64_t w[MAX_WORDS];
    bool backwards;
} key;

gp_code gp_flowtable_new(gp_flowtable **out, gp_error *err)
{
    gp_flowtable *t = calloc(1, sizeof *t);
    if (!t)
        return gp_fail(err, GP_ENOMEM, "out of memory for a flow table");
    if (getrandom(t->seed, sizeof t->seed, 0) != (ssize_t)sizeof t->seed) {
        free(t);
        return gp_fail_errno(err, errno, "cannot get random numbers for a flow table");
    }
    *out = t;
    return GP_OK;
}

void gp_flowtable_free(gp_flowtable *t)
{
    if (!t)
        return;
    free(t->v4.slots);
    free(t->v6.slots);
    free(t);
}

size_t gp_flowtable_flows(const gp_flowtable *t)
{
    return t->v4.n + t->v6.n;
}

static size_t half_bytes(const half *h, unsigned words)
{
    return h->slots ? (h->mask + 1) * (words + COUNTER_WORDS) * sizeof(uint64_t) : 0;
}

size_t gp_flowtable_bytes(const gp_flowtable *t)
{
    return half_bytes(&t->v4, V4_WORDS) + half_bytes(&t->v6, V6_WORDS);
}

/* ---- keys -------------------------------------------------------------------------------------------- */

static inline uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}

static inline uint32_t load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

static inline uint64_t last_word(uint16_t first_port, uint16_t second_port, uint8_t proto)
{
    return (uint64_t)first_port << 48 | (uint64_t)second_port << 32 | (uint64_t)proto << 8 | OCCUPIED;
}

static inline key key_v4(const gp_packet *p)
{
    uint64_t s = (uint64_t)load32(p->sip) << 16 | p->sport;
    uint64_t d = (uint64_t)load32(p->dip) << 16 | p->dport;
    key k = {.backwards = d < s};
    uint64_t first = k.backwards ? d : s;
    uint64_t second = k.backwards ? s : d;
    k.w[0] = first >> 16 << 32 | second >> 16;
    k.w[1] = last_word((uint16_t)first, (uint16_t)second, p->proto);
    return k;
}

static inline key key_v6(const gp_packet *p)
{
    int order = memcmp(p->dip, p->sip, 16);
    key k = {.backwards = order ? order < 0 : p->dport < p->sport};
    const uint8_t *first = k.backwards ? p->dip : p->sip;
    const uint8_t *second = k.backwards ? p->sip : p->dip;
    k.w[0] = load64(first);
    k.w[1] = load64(first + 8);
    k.w[2] = load64(second);
    k.w[3] = load64(second + 8);
    k.w[4] = k.backwards ? last_word(p->dport, p->sport, p->proto) : last_word(p->sport, p->dport, p->proto);
    return k;
}

/* Folded 64x64->128 bit multiplication, as in wyhash (Wang Yi, public domain). */
static inline uint64_t fold(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 u128;
    u128 r = (u128)a * b;
    return (uint64_t)r ^ (uint64_t)(r >> 64);
}

static inline uint64_t hash_key(const uint64_t seed[2], const uint64_t *w, unsigned words)
{
    uint64_t h = seed[0];
    for (unsigned i = 0; i + 1 < words; i++)
        h = fold(h ^ w[i], seed[1] ^ UINT64_C(0xa0761d6478bd642f));
    /* The direction is part of the entry, not of the key. */
    return fold(h ^ (w[words - 1] & ~(uint64_t)SWAPPED), seed[1] ^ UINT64_C(0xe7037ed1a0b428db));
}

static inline bool key_equal(const uint64_t *slot, const uint64_t *w, unsigned words)
{
    uint64_t diff = (slot[words - 1] ^ w[words - 1]) & ~(uint64_t)SWAPPED;
    for (unsigned i = 0; i + 1 < words; i++)
        diff |= slot[i] ^ w[i];
    return diff == 0;
}

/* The slot of a key, or the empty one where it belongs. */
static inline uint64_t *find(const half *h, uint64_t hash, const uint64_t *w, unsigned words)
{
    for (size_t i = (size_t)hash & h->mask;; i = (i + 1) & h->mask) {
        uint64_t *slot = h->slots + i * (words + COUNTER_WORDS);
        if (!slot[words - 1] || key_equal(slot, w, words))
            return slot;
    }
}

/* ---- adding ------------------------------------------------------------------------------------------ */

static bool grow(const gp_flowtable *t, half *h, unsigned words)
{
    size_t capacity = h->slots ? (h->mask + 1) * 2 : FIRST_CAPACITY;
    half bigger = {.mask = capacity - 1, .n = h->n};
    bigger.slots = calloc(capacity, (words + COUNTER_WORDS) * sizeof *bigger.slots);
    if (!bigger.slots)
        return false;
    for (size_t i = 0; h->slots && i <= h->mask; i++) {
        const uint64_t *from = h->slots + i * (words + COUNTER_WORDS);
        if (!from[words - 1])
            continue;
        uint64_t *to = find(&bigger, hash_key(t->seed, from, words), from, words);
        memcpy(to, from, (words + COUNTER_WORDS) * sizeof *to);
    }
    free(h->slots);
    *h = bigger;
    return true;
}

/* SWAPPED if the flow runs from the key's second endpoint to its first. */
static uint64_t direction_of(const gp_flowtable *previous, const gp_packet *p, const key *k, unsigned words)
{
    if (previous) {
        const half *h = words == V4_WORDS ? &previous->v4 : &previous->v6;
        const uint64_t *slot = h->slots ? find(h, hash_key(previous->seed, k->w, words), k->w, words) : NULL;
        if (slot && slot[words - 1])
            return slot[words - 1] & SWAPPED;
    }
    return k->backwards != gp_packet_is_reply(p) ? SWAPPED : 0;
}

static inline __attribute__((always_inline)) bool add(gp_flowtable *t, const gp_flowtable *previous, half *h,
                                                      const key *k, const gp_packet *p, uint32_t len,
                                                      bool outgoing, unsigned words)
{
    if ((!h->slots || h->n + 1 > h->mask - h->mask / 4) && !grow(t, h, words))
        return false;
    uint64_t *slot = find(h, hash_key(t->seed, k->w, words), k->w, words);
    if (!slot[words - 1]) {
        memcpy(slot, k->w, words * sizeof *slot);
        slot[words - 1] |= direction_of(previous, p, k, words);
        h->n++;
    }
    slot[words + outgoing] += len;
    slot[words + 2 + outgoing]++;
    return true;
}

bool gp_flowtable_add(gp_flowtable *t, const gp_flowtable *previous, const gp_packet *p, uint32_t len,
                      bool outgoing)
{
    if (p->v6) {
        key k = key_v6(p);
        return add(t, previous, &t->v6, &k, p, len, outgoing, V6_WORDS);
    }
    key k = key_v4(p);
    return add(t, previous, &t->v4, &k, p, len, outgoing, V4_WORDS);
}

static void sum_half(const half *h, unsigned words, gp_counters *sum)
{
    for (size_t i = 0; h->slots && i <= h->mask; i++) {
        const uint64_t *c = h->slots + i * (words + COUNTER_WORDS) + words;
        gp_counters_add(sum, &(gp_counters){c[0], c[1], c[2], c[3]});
    }
}

gp_counters gp_flowtable_totals(const gp_flowtable *t)
{
    gp_counters sum = {0};
    sum_half(&t->v4, V4_WORDS, &sum);
    sum_half(&t->v6, V6_WORDS, &sum);
    return sum;
}

static bool copy_half(const half *from, half *to, unsigned words)
{
    *to = *from;
    if (!from->slots)
        return true;
    to->slots = malloc(half_bytes(from, words));
    if (to->slots)
        memcpy(to->slots, from->slots, half_bytes(from, words));
    return to->slots != NULL;
}

gp_code gp_flowtable_copy(const gp_flowtable *t, gp_flowtable **out, gp_error *err)
{
    gp_flowtable *c = calloc(1, sizeof *c);
    bool ok = c != NULL;
    if (ok) {
        memcpy(c->seed, t->seed, sizeof c->seed);
        ok = copy_half(&t->v4, &c->v4, V4_WORDS) && copy_half(&t->v6, &c->v6, V6_WORDS);
    }
    if (!ok) {
        gp_flowtable_free(c);
        return gp_fail(err, GP_ENOMEM, "out of memory for a copy of %zu flows", gp_flowtable_flows(t));
    }
    *out = c;
    return GP_OK;
}

/* ---- collecting --------------------------------------------------------------------------------------- */

static void store64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof v);
}

static gp_addr addr_v4(uint32_t v)
{
    const uint8_t bytes[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    return gp_addr_from_bytes(bytes, sizeof bytes);
}

static gp_addr addr_v6(const uint64_t *w)
{
    uint8_t bytes[16];
    store64(bytes, w[0]);
    store64(bytes + 8, w[1]);
    return gp_addr_from_bytes(bytes, sizeof bytes);
}

static gp_flow flow_of(const uint64_t *slot, unsigned words)
{
    uint64_t last = slot[words - 1];
    const uint64_t *c = slot + words;
    bool swapped = last & SWAPPED;
    gp_addr first = words == V4_WORDS ? addr_v4((uint32_t)(slot[0] >> 32)) : addr_v6(slot);
    gp_addr second = words == V4_WORDS ? addr_v4((uint32_t)slot[0]) : addr_v6(slot + 2);
    return (gp_flow){
        .sip = swapped ? second : first,
        .dip = swapped ? first : second,
        .dport = swapped ? (uint16_t)(last >> 48) : (uint16_t)(last >> 32),
        .proto = (uint8_t)(last >> 8),
        .c = {c[0], c[1], c[2], c[3]},
    };
}

static size_t append(const half *h, unsigned words, gp_flow *out)
{
    size_t n = 0;
    for (size_t i = 0; h->slots && i <= h->mask; i++) {
        const uint64_t *slot = h->slots + i * (words + COUNTER_WORDS);
        if (slot[words - 1])
            out[n++] = flow_of(slot, words);
    }
    return n;
}

static int compare_keys(const void *a, const void *b)
{
    const gp_flow *x = a;
    const gp_flow *y = b;
    int c = gp_addr_cmp(&x->sip, &y->sip);
    if (c == 0)
        c = gp_addr_cmp(&x->dip, &y->dip);
    if (c == 0)
        c = (x->dport > y->dport) - (x->dport < y->dport);
    return c ? c : (x->proto > y->proto) - (x->proto < y->proto);
}

gp_code gp_flowtable_collect(const gp_flowtable *t, gp_flow **out, size_t *n, gp_error *err)
{
    size_t total = gp_flowtable_flows(t);
    gp_flow *flows = malloc((total ? total : 1) * sizeof *flows);
    if (!flows)
        return gp_fail(err, GP_ENOMEM, "out of memory for %zu flows", total);
    size_t n_v4 = append(&t->v4, V4_WORDS, flows);
    append(&t->v6, V6_WORDS, flows + n_v4);
    if (total)
        qsort(flows, total, sizeof *flows, compare_keys);
    size_t kept = 0;
    for (size_t i = 0; i < total; i++) {
        if (kept && compare_keys(&flows[kept - 1], &flows[i]) == 0)
            gp_counters_add(&flows[kept - 1].c, &flows[i].c);
        else
            flows[kept++] = flows[i];
    }
    *out = flows;
    *n = kept;
    return GP_OK;
}

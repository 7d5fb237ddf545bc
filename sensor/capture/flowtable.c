#include "sensor/capture/flowtable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

enum { V4_WORDS = 2, V6_WORDS = 5, COUNTER_WORDS = 4, MAX_WORDS = V6_WORDS, FIRST_CAPACITY = 256 };

/* Low byte of the last key word. */
enum { SWAPPED = 1, CHANGED = 2, FLAGS = SWAPPED | CHANGED };

/* Flows that enter a new index for each new flow, and for each batch of packets anyway: twice as many as
 * needed to be through before the next growth. */
enum { MOVES_PER_FLOW = 2, MOVES_PER_BATCH = 32 };

/* Memory of this size and more is mapped, in huge pages where the system has them: fewer TLB misses. */
enum { HUGE_PAGE = 2 << 20, CACHE_LINE = 64 };

/* Flows that one step of a walk looks at: well below a millisecond. */
enum { WALK_FLOWS = 16384, OVERFLOWS = 2 };

/* Packets that are looked up together: their cache misses overlap. */
enum { BATCH = 64 };

/* Slots of (part of the hash | number of the flow + 1), see tag_of. 0: empty. */
typedef struct flow_index {
    uint32_t *slots; /* NULL: none */
    size_t mask;
} flow_index;

/* The flows of one address family: (key words, bytes received, bytes sent, packets received, packets sent).
 * While the table grows, those before `moved` and those from `to_move` on are in `now`, and those before
 * `to_move` in `old`. */
typedef struct half {
    uint64_t *flows;
    size_t n, room;
    flow_index now, old;
    size_t moved, to_move;
    gp_counters overflow;
    bool overflow_changed; /* since it was last taken */
} half;

/* The flows of one ring, on cache lines of their own: only its thread writes here. */
typedef struct lane {
    _Alignas(CACHE_LINE) half v4;
    half v6;
    size_t max_flows;
    uint64_t seed[2]; /* the same in all lanes */
} lane;

struct gp_flowtable {
    unsigned n_lanes;
    lane lanes[];
};

/* A conversation's key, and whether the packet at hand runs from the second endpoint to the first. */
typedef struct key {
    uint64_t w[MAX_WORDS];
    bool backwards;
} key;

/* ---- memory -------------------------------------------------------------------------------------------- */

/* Zeroed, by the kernel and page by page where it is large: nobody waits for it. */
static void *memory_make(size_t bytes)
{
    if (bytes < HUGE_PAGE)
        return calloc(1, bytes);
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    (void)madvise(p, bytes, MADV_HUGEPAGE); /* a wish */
    return p;
}

static void memory_free(void *p, size_t bytes)
{
    if (p && bytes >= HUGE_PAGE)
        munmap(p, bytes);
    else
        free(p);
}

/* Mapped memory grows without a copy: its pages move to another address. */
static void *memory_grow(void *p, size_t bytes, size_t wanted)
{
    if (p && bytes >= HUGE_PAGE) {
        void *moved = mremap(p, bytes, wanted, MREMAP_MAYMOVE);
        return moved == MAP_FAILED ? NULL : moved;
    }
    void *grown = memory_make(wanted);
    if (grown && p) {
        memcpy(grown, p, bytes);
        memory_free(p, bytes);
    }
    return grown;
}

static inline size_t flow_words(unsigned words)
{
    return words + COUNTER_WORDS;
}

static inline uint64_t *flow_at(const half *h, size_t i, unsigned words)
{
    return h->flows + i * flow_words(words);
}

static size_t flow_bytes(size_t flows, unsigned words)
{
    return flows * flow_words(words) * sizeof(uint64_t);
}

static size_t index_bytes(const flow_index *x)
{
    return x->slots ? (x->mask + 1) * sizeof *x->slots : 0;
}

static bool index_make(flow_index *x, size_t capacity)
{
    *x = (flow_index){.slots = memory_make(capacity * sizeof *x->slots), .mask = capacity - 1};
    return x->slots != NULL;
}

static void index_free(flow_index *x)
{
    memory_free(x->slots, index_bytes(x));
    *x = (flow_index){0};
}

static void half_free(half *h, unsigned words)
{
    memory_free(h->flows, flow_bytes(h->room, words));
    index_free(&h->now);
    index_free(&h->old);
}

/* ---- keys ---------------------------------------------------------------------------------------------- */

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
    return (uint64_t)first_port << 48 | (uint64_t)second_port << 32 | (uint64_t)proto << 8;
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

/* The flags are part of the flow, not of the key. */
static inline uint64_t hash_key(const uint64_t seed[2], const uint64_t *w, unsigned words)
{
    uint64_t h = seed[0];
    for (unsigned i = 0; i + 1 < words; i++)
        h = fold(h ^ w[i], seed[1] ^ UINT64_C(0xa0761d6478bd642f));
    h = fold(h ^ (w[words - 1] & ~(uint64_t)FLAGS), seed[1] ^ UINT64_C(0xe7037ed1a0b428db));
    /* Once more: a single product leaves ports that count up at equal distances, which some seeds turn into
     * heaps. */
    return fold(h ^ seed[0], UINT64_C(0x8ebc6af09c88c6e3));
}

static inline bool key_equal(const uint64_t *flow, const uint64_t *w, unsigned words)
{
    uint64_t diff = (flow[words - 1] ^ w[words - 1]) & ~(uint64_t)FLAGS;
    for (unsigned i = 0; i + 1 < words; i++)
        diff |= flow[i] ^ w[i];
    return diff == 0;
}

/* ---- the index ----------------------------------------------------------------------------------------- */

/* Where a slot has bits left beside the number of a flow, they are of the hash: its high word's, since the
 * low bits of the low word say where the slot is. */
static inline uint32_t tag_of(const flow_index *x, uint64_t hash)
{
    return (uint32_t)(hash >> 32) & ~(uint32_t)x->mask;
}

static inline size_t flow_number(const flow_index *x, uint32_t slot)
{
    return (slot & x->mask) - 1;
}

/* The flow of a key; NULL, and in *empty the slot where it belongs. */
static inline uint64_t *find(const half *h, const flow_index *x, uint64_t hash, const uint64_t *w,
                             unsigned words, size_t *empty)
{
    const uint32_t tag = tag_of(x, hash);
    for (size_t i = (size_t)hash & x->mask;; i = (i + 1) & x->mask) {
        uint32_t slot = x->slots[i];
        if (!slot) {
            *empty = i;
            return NULL;
        }
        if ((slot & ~(uint32_t)x->mask) != tag)
            continue;
        uint64_t *flow = flow_at(h, flow_number(x, slot), words);
        if (key_equal(flow, w, words))
            return flow;
    }
}

static inline void enter(flow_index *x, size_t at, uint64_t hash, size_t number)
{
    x->slots[at] = tag_of(x, hash) | (uint32_t)(number + 1);
}

static void enter_anew(flow_index *x, uint64_t hash, size_t number)
{
    size_t i = (size_t)hash & x->mask;
    while (x->slots[i])
        i = (i + 1) & x->mask;
    enter(x, i, hash, number);
}

/* ---- growing ------------------------------------------------------------------------------------------- */

static void move_some(const lane *t, half *h, size_t flows, unsigned words)
{
    while (flows && h->moved < h->to_move) {
        uint64_t hashes[BATCH];
        size_t left = h->to_move - h->moved;
        size_t n = flows < BATCH ? flows : BATCH;
        n = n < left ? n : left;
        for (size_t i = 0; i < n; i++) {
            hashes[i] = hash_key(t->seed, flow_at(h, h->moved + i, words), words);
            __builtin_prefetch(&h->now.slots[(size_t)hashes[i] & h->now.mask], 1);
        }
        for (size_t i = 0; i < n; i++)
            enter_anew(&h->now, hashes[i], h->moved + i);
        h->moved += n;
        flows -= n;
    }
    if (h->moved == h->to_move)
        index_free(&h->old);
}

static bool grow_index(const lane *t, half *h, unsigned words)
{
    flow_index bigger;
    if (h->old.slots)
        move_some(t, h, SIZE_MAX, words); /* never in practice, see MOVES_PER_FLOW */
    if (!index_make(&bigger, h->now.slots ? (h->now.mask + 1) * 2 : FIRST_CAPACITY))
        return false;
    h->old = h->now;
    h->now = bigger;
    h->moved = 0;
    h->to_move = h->n;
    return true;
}

static bool grow_flows(half *h, size_t wanted, unsigned words)
{
    uint64_t *grown = memory_grow(h->flows, flow_bytes(h->room, words), flow_bytes(wanted, words));
    if (!grown)
        return false;
    h->flows = grown;
    h->room = wanted;
    return true;
}

/* Room for one more; the index at a load of three quarters at most. */
static inline bool make_room(const lane *t, half *h, unsigned words)
{
    if (t->v4.n + t->v6.n >= t->max_flows)
        return false;
    if (h->n == h->room && !grow_flows(h, h->room ? h->room * 2 : FIRST_CAPACITY, words))
        return false;
    bool full = !h->now.slots || h->n + 1 > h->now.mask - h->now.mask / 4;
    return !full || grow_index(t, h, words);
}

/* ---- adding -------------------------------------------------------------------------------------------- */

static inline uint64_t *lookup(const half *h, uint64_t hash, const uint64_t *w, unsigned words)
{
    size_t nowhere;
    uint64_t *flow = h->now.slots ? find(h, &h->now, hash, w, words, &nowhere) : NULL;
    if (!flow && h->old.slots)
        flow = find(h, &h->old, hash, w, words, &nowhere);
    return flow;
}

static inline const half *half_of(const lane *t, unsigned words)
{
    return words == V4_WORDS ? &t->v4 : &t->v6;
}

/* SWAPPED if the flow runs from the key's second endpoint to its first. */
static uint64_t direction_of(const lane *previous, const gp_packet *p, const key *k, uint64_t hash,
                             unsigned words)
{
    const uint64_t *known = previous ? lookup(half_of(previous, words), hash, k->w, words) : NULL;
    if (known)
        return known[words - 1] & SWAPPED;
    return k->backwards != gp_packet_is_reply(p) ? SWAPPED : 0;
}

/* NULL beyond the limit. */
static uint64_t *new_flow(lane *t, const lane *previous, half *h, const key *k, uint64_t hash,
                          const gp_packet *p, unsigned words)
{
    if (!make_room(t, h, words))
        return NULL;
    uint64_t *flow = flow_at(h, h->n, words);
    memcpy(flow, k->w, words * sizeof *flow);
    flow[words - 1] |= direction_of(previous, p, k, hash, words);
    memset(flow + words, 0, COUNTER_WORDS * sizeof *flow);
    enter_anew(&h->now, hash, h->n++);
    if (h->old.slots)
        move_some(t, h, MOVES_PER_FLOW, words);
    return flow;
}

static void count_overflow(half *h, const gp_counted *p)
{
    const gp_counters c = {
        .bytes_rcvd = p->outgoing ? 0 : p->len,
        .bytes_sent = p->outgoing ? p->len : 0,
        .pkts_rcvd = !p->outgoing,
        .pkts_sent = p->outgoing,
    };
    gp_counters_add(&h->overflow, &c);
    h->overflow_changed = true;
}

static inline __attribute__((always_inline)) void add(lane *t, const lane *previous, half *h, const key *k,
                                                      uint64_t hash, const gp_counted *p, unsigned words)
{
    uint64_t *flow = lookup(h, hash, k->w, words);
    if (!flow && !(flow = new_flow(t, previous, h, k, hash, &p->packet, words))) {
        count_overflow(h, p);
        return;
    }
    flow[words - 1] |= CHANGED;
    flow[words + p->outgoing] += p->len;
    flow[words + 2 + p->outgoing]++;
}

static inline void prefetch_slot(const half *h, uint64_t hash)
{
    if (h->now.slots)
        __builtin_prefetch(&h->now.slots[(size_t)hash & h->now.mask]);
}

/* Fetches what the slot of a hash most likely refers to; it may lie in two cache lines. False: nothing
 * there. */
static inline bool prefetch_flow(const half *h, uint64_t hash, unsigned words)
{
    const flow_index *x = &h->now;
    if (!x->slots)
        return false;
    uint32_t slot = x->slots[(size_t)hash & x->mask];
    if (!slot)
        return false;
    const uint64_t *flow = flow_at(h, flow_number(x, slot), words);
    __builtin_prefetch(flow, 1);
    __builtin_prefetch(flow + flow_words(words) - 1, 1);
    return true;
}

/* New flows ask the previous table: fetches from there for the packets that `absent` names. */
static void prefetch_previous(const lane *previous, const gp_counted *packets, const uint64_t *hashes,
                              const uint8_t *absent, size_t n)
{
    for (size_t i = 0; i < n; i++)
        prefetch_slot(packets[absent[i]].packet.v6 ? &previous->v6 : &previous->v4, hashes[absent[i]]);
    for (size_t i = 0; i < n; i++) {
        bool v6 = packets[absent[i]].packet.v6;
        (void)prefetch_flow(v6 ? &previous->v6 : &previous->v4, hashes[absent[i]], v6 ? V6_WORDS : V4_WORDS);
    }
}

static void add_batch(lane *t, const lane *previous, const gp_counted *packets, size_t n)
{
    key keys[BATCH];
    uint64_t hashes[BATCH];
    uint8_t absent[BATCH];
    size_t n_absent = 0;
    for (size_t i = 0; i < n; i++) {
        bool v6 = packets[i].packet.v6;
        keys[i] = v6 ? key_v6(&packets[i].packet) : key_v4(&packets[i].packet);
        hashes[i] = hash_key(t->seed, keys[i].w, v6 ? V6_WORDS : V4_WORDS);
        prefetch_slot(v6 ? &t->v6 : &t->v4, hashes[i]);
    }
    for (size_t i = 0; i < n; i++) {
        bool v6 = packets[i].packet.v6;
        absent[n_absent] = (uint8_t)i;
        n_absent += !prefetch_flow(v6 ? &t->v6 : &t->v4, hashes[i], v6 ? V6_WORDS : V4_WORDS);
    }
    if (previous && n_absent)
        prefetch_previous(previous, packets, hashes, absent, n_absent);
    for (size_t i = 0; i < n; i++)
        if (packets[i].packet.v6)
            add(t, previous, &t->v6, &keys[i], hashes[i], &packets[i], V6_WORDS);
        else
            add(t, previous, &t->v4, &keys[i], hashes[i], &packets[i], V4_WORDS);
    if (t->v4.old.slots)
        move_some(t, &t->v4, MOVES_PER_BATCH, V4_WORDS);
    if (t->v6.old.slots)
        move_some(t, &t->v6, MOVES_PER_BATCH, V6_WORDS);
}

void gp_flowtable_add(gp_flowtable *t, unsigned at, const gp_flowtable *previous, const gp_counted *packets,
                      size_t n)
{
    lane *l = &t->lanes[at];
    const lane *before = previous ? &previous->lanes[at] : NULL;
    for (; n > BATCH; n -= BATCH, packets += BATCH)
        add_batch(l, before, packets, BATCH);
    add_batch(l, before, packets, n);
}

/* ---- making -------------------------------------------------------------------------------------------- */

gp_code gp_flowtable_new_lanes(gp_flowtable **out, const gp_flowtable *like, unsigned lanes, size_t max_flows,
                               gp_error *err)
{
    uint64_t seed[2];
    if (!like && getrandom(seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        return gp_fail_errno(err, errno, "cannot get random numbers for a flow table");
    if (like)
        memcpy(seed, like->lanes[0].seed, sizeof seed); /* a hash is good for both */
    size_t bytes = sizeof(gp_flowtable) + lanes * sizeof(lane);
    gp_flowtable *t = aligned_alloc(CACHE_LINE, bytes);
    if (!t)
        return gp_fail(err, GP_ENOMEM, "out of memory for a flow table");
    memset(t, 0, bytes);
    t->n_lanes = lanes;
    size_t limit = max_flows && max_flows < GP_FLOWTABLE_MAX_FLOWS ? max_flows : GP_FLOWTABLE_MAX_FLOWS;
    for (unsigned i = 0; i < lanes; i++) {
        t->lanes[i].max_flows = (limit + lanes - 1) / lanes;
        memcpy(t->lanes[i].seed, seed, sizeof seed);
    }
    *out = t;
    return GP_OK;
}

/* Room for as many flows as `like` has; less where memory does not allow for that. */
static void reserve(half *h, size_t like, unsigned words)
{
    size_t capacity = FIRST_CAPACITY;
    while (like > capacity - capacity / 4)
        capacity *= 2;
    if (like && !index_make(&h->now, capacity))
        h->now = (flow_index){0};
    if (like)
        (void)grow_flows(h, like, words);
}

void gp_flowtable_reserve(gp_flowtable *t, unsigned at, const gp_flowtable *like)
{
    reserve(&t->lanes[at].v4, like->lanes[at].v4.n, V4_WORDS);
    reserve(&t->lanes[at].v6, like->lanes[at].v6.n, V6_WORDS);
}

gp_code gp_flowtable_new(gp_flowtable **out, const gp_flowtable *like, size_t max_flows, gp_error *err)
{
    gp_code code = gp_flowtable_new_lanes(out, like, like ? like->n_lanes : 1, max_flows, err);
    for (unsigned i = 0; code == GP_OK && like && i < like->n_lanes; i++)
        gp_flowtable_reserve(*out, i, like);
    return code;
}

void gp_flowtable_free(gp_flowtable *t)
{
    for (unsigned i = 0; t && i < t->n_lanes; i++) {
        half_free(&t->lanes[i].v4, V4_WORDS);
        half_free(&t->lanes[i].v6, V6_WORDS);
    }
    free(t);
}

/* ---- reading ------------------------------------------------------------------------------------------- */

unsigned gp_flowtable_lanes(const gp_flowtable *t)
{
    return t->n_lanes;
}

size_t gp_flowtable_lane_flows(const gp_flowtable *t, unsigned at)
{
    return t->lanes[at].v4.n + t->lanes[at].v6.n;
}

size_t gp_flowtable_flows(const gp_flowtable *t)
{
    size_t sum = 0;
    for (unsigned i = 0; i < t->n_lanes; i++)
        sum += gp_flowtable_lane_flows(t, i);
    return sum;
}

static size_t half_bytes(const half *h, unsigned words)
{
    return flow_bytes(h->n, words) + index_bytes(&h->now) + index_bytes(&h->old);
}

size_t gp_flowtable_lane_bytes(const gp_flowtable *t, unsigned at)
{
    return half_bytes(&t->lanes[at].v4, V4_WORDS) + half_bytes(&t->lanes[at].v6, V6_WORDS);
}

size_t gp_flowtable_bytes(const gp_flowtable *t)
{
    size_t sum = 0;
    for (unsigned i = 0; i < t->n_lanes; i++)
        sum += gp_flowtable_lane_bytes(t, i);
    return sum;
}

static size_t half_probes(const lane *l, const half *h, unsigned words)
{
    size_t sum = 0;
    for (size_t i = 0; i < h->n; i++) {
        const uint64_t *flow = flow_at(h, i, words);
        const uint64_t hash = hash_key(l->seed, flow, words);
        const uint32_t wanted = tag_of(&h->now, hash) | (uint32_t)(i + 1);
        size_t at = (size_t)hash & h->now.mask;
        for (sum++; h->now.slots[at] && h->now.slots[at] != wanted; at = (at + 1) & h->now.mask)
            sum++;
    }
    return sum;
}

double gp_flowtable_probes(const gp_flowtable *t)
{
    size_t sum = 0;
    for (unsigned i = 0; i < t->n_lanes; i++)
        sum += half_probes(&t->lanes[i], &t->lanes[i].v4, V4_WORDS) +
               half_probes(&t->lanes[i], &t->lanes[i].v6, V6_WORDS);
    return (double)sum / (double)(gp_flowtable_flows(t) ? gp_flowtable_flows(t) : 1);
}

static gp_counters counters_of(const uint64_t *flow, unsigned words)
{
    const uint64_t *c = flow + words;
    return (gp_counters){c[0], c[1], c[2], c[3]};
}

static void sum_half(const half *h, unsigned words, gp_counters *sum)
{
    for (size_t i = 0; i < h->n; i++) {
        gp_counters c = counters_of(flow_at(h, i, words), words);
        gp_counters_add(sum, &c);
    }
}

gp_counters gp_flowtable_lane_overflow(const gp_flowtable *t, unsigned at)
{
    gp_counters sum = t->lanes[at].v4.overflow;
    gp_counters_add(&sum, &t->lanes[at].v6.overflow);
    return sum;
}

gp_counters gp_flowtable_totals(const gp_flowtable *t)
{
    gp_counters sum = {0};
    for (unsigned i = 0; i < t->n_lanes; i++) {
        gp_counters overflow = gp_flowtable_lane_overflow(t, i);
        gp_counters_add(&sum, &overflow);
        sum_half(&t->lanes[i].v4, V4_WORDS, &sum);
        sum_half(&t->lanes[i].v6, V6_WORDS, &sum);
    }
    return sum;
}

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

static gp_flow flow_of(const uint64_t *flow, unsigned words)
{
    uint64_t last = flow[words - 1];
    bool swapped = last & SWAPPED;
    gp_addr first = words == V4_WORDS ? addr_v4((uint32_t)(flow[0] >> 32)) : addr_v6(flow);
    gp_addr second = words == V4_WORDS ? addr_v4((uint32_t)flow[0]) : addr_v6(flow + 2);
    return (gp_flow){
        .sip = swapped ? second : first,
        .dip = swapped ? first : second,
        .dport = swapped ? (uint16_t)(last >> 48) : (uint16_t)(last >> 32),
        .proto = (uint8_t)(last >> 8),
        .c = counters_of(flow, words),
    };
}

static bool has_overflow(const half *h)
{
    return h->overflow.pkts_rcvd + h->overflow.pkts_sent > 0;
}

static const uint8_t unspecified[16]; /* 0.0.0.0 and :: */

static bool is_overflow(const gp_session *s)
{
    return s->proto == GP_OVERFLOW_PROTO && memcmp(s->sip.bytes, unspecified, sizeof unspecified) == 0 &&
           memcmp(s->dip.bytes, unspecified, sizeof unspecified) == 0;
}

static gp_flow overflow_of(const half *h, unsigned words)
{
    gp_addr any = gp_addr_from_bytes(unspecified, words == V4_WORDS ? 4 : 16);
    return (gp_flow){.sip = any, .dip = any, .proto = GP_OVERFLOW_PROTO, .c = h->overflow};
}

/* The overflow stands behind the flows of its half. */
static bool half_flow(const half *h, unsigned words, size_t number, gp_flow *out)
{
    if (number < h->n)
        *out = flow_of(flow_at(h, number, words), words);
    else if (number == h->n && has_overflow(h))
        *out = overflow_of(h, words);
    else
        return false;
    return true;
}

static void next_stage(unsigned n_lanes, gp_flowtable_walk *w)
{
    w->at = 0;
    if (w->stage == 0 || w->lane + 1 == n_lanes) {
        w->stage++;
    } else {
        w->stage = 0;
        w->lane++;
    }
}

size_t gp_flowtable_export_some(const gp_flowtable *t, gp_flowtable_walk *w, gp_flow *out, size_t max)
{
    size_t n = 0;
    for (const unsigned at = w->lane; n < max && w->lane == at && w->stage < GP_WALK_END;) {
        unsigned words = w->stage == 0 ? V4_WORDS : V6_WORDS;
        if (half_flow(half_of(&t->lanes[at], words), words, w->at, &out[n])) {
            n++;
            w->at++;
        } else {
            next_stage(t->n_lanes, w);
        }
    }
    return n;
}

gp_code gp_flowtable_export(const gp_flowtable *t, gp_flow **out, size_t *n, gp_error *err)
{
    size_t total = gp_flowtable_flows(t) + (size_t)OVERFLOWS * t->n_lanes + 1;
    gp_flow *flows = total < SIZE_MAX / sizeof *flows ? malloc(total * sizeof *flows) : NULL;
    if (!flows)
        return gp_fail(err, GP_ENOMEM, "out of memory for %zu flows", total);
    *n = 0;
    for (gp_flowtable_walk w = {0}; w.stage < GP_WALK_END;)
        *n += gp_flowtable_export_some(t, &w, flows + *n, total - *n);
    *out = flows;
    return GP_OK;
}

/* ---- sessions: what the journal takes and gives back --------------------------------------------------- */

static gp_session session_of(const uint64_t *flow, unsigned words)
{
    uint64_t last = flow[words - 1];
    gp_flow f = flow_of(flow, words);
    return (gp_session){
        .sip = f.sip,
        .dip = f.dip,
        .sport = last & SWAPPED ? (uint16_t)(last >> 32) : (uint16_t)(last >> 48),
        .dport = f.dport,
        .proto = f.proto,
        .c = f.c,
    };
}

static gp_session overflow_session(const gp_flow *f)
{
    return (gp_session){.sip = f->sip, .dip = f->dip, .proto = f->proto, .c = f->c};
}

static bool take_overflow(half *h, unsigned words, bool all, gp_session *out)
{
    if (!has_overflow(h) || !(all || h->overflow_changed))
        return false;
    gp_flow f = overflow_of(h, words);
    *out = overflow_session(&f);
    h->overflow_changed = false;
    return true;
}

/* True if the next flow of a walk is one to take. */
static bool take_next(unsigned n_lanes, half *h, unsigned words, gp_flowtable_walk *w, gp_session *out)
{
    if (w->at >= h->n) {
        next_stage(n_lanes, w);
        return take_overflow(h, words, w->all, out);
    }
    uint64_t *flow = flow_at(h, w->at++, words);
    if (!w->all && !(flow[words - 1] & CHANGED))
        return false;
    flow[words - 1] &= ~(uint64_t)CHANGED;
    *out = session_of(flow, words);
    return true;
}

size_t gp_flowtable_take(gp_flowtable *t, gp_flowtable_walk *w, gp_session *out, size_t max)
{
    const unsigned at = w->lane;
    lane *l = &t->lanes[at];
    size_t n = 0;
    for (size_t looked = 0; looked < WALK_FLOWS && n < max && w->lane == at && w->stage < GP_WALK_END;
         looked++)
        n += w->stage == 0 ? take_next(t->n_lanes, &l->v4, V4_WORDS, w, &out[n])
                           : take_next(t->n_lanes, &l->v6, V6_WORDS, w, &out[n]);
    return n;
}

/* The next session of a walk over a table that stays as it is. */
static bool list_next(const gp_flowtable *t, gp_flowtable_walk *w, gp_session *out)
{
    unsigned words = w->stage == 0 ? V4_WORDS : V6_WORDS;
    const half *h = half_of(&t->lanes[w->lane], words);
    gp_flow overflow;
    if (w->at < h->n) {
        *out = session_of(flow_at(h, w->at++, words), words);
        return true;
    }
    bool found = half_flow(h, words, w->at, &overflow);
    if (found)
        *out = overflow_session(&overflow);
    next_stage(t->n_lanes, w);
    return found;
}

size_t gp_flowtable_list(const gp_flowtable *t, gp_flowtable_walk *w, gp_session *out, size_t max)
{
    const unsigned at = w->lane;
    size_t n = 0;
    while (n < max && w->lane == at && w->stage < GP_WALK_END)
        n += list_next(t, w, &out[n]);
    return n;
}

static void set_counters(uint64_t *to, const gp_counters *c, bool add_up)
{
    const uint64_t counts[COUNTER_WORDS] = {c->bytes_rcvd, c->bytes_sent, c->pkts_rcvd, c->pkts_sent};
    for (unsigned i = 0; i < COUNTER_WORDS; i++)
        to[i] = add_up ? to[i] + counts[i] : counts[i];
}

static void put_overflow(half *h, const gp_session *s, bool add_up)
{
    gp_counters sum = s->c;
    if (add_up)
        gp_counters_add(&sum, &h->overflow);
    h->overflow = sum;
    h->overflow_changed = true;
}

bool gp_flowtable_put_lane(gp_flowtable *t, unsigned at, const gp_session *s, bool add_up)
{
    const gp_packet p = {.sip = s->sip.bytes,
                         .dip = s->dip.bytes,
                         .sport = s->sport,
                         .dport = s->dport,
                         .proto = s->proto,
                         .v6 = s->sip.len == 16};
    unsigned words = p.v6 ? V6_WORDS : V4_WORDS;
    lane *l = &t->lanes[at];
    half *h = p.v6 ? &l->v6 : &l->v4;
    if (is_overflow(s)) {
        put_overflow(h, s, add_up);
        return true;
    }
    key k = p.v6 ? key_v6(&p) : key_v4(&p);
    uint64_t hash = hash_key(l->seed, k.w, words);
    uint64_t *flow = lookup(h, hash, k.w, words);
    if (!flow) {
        size_t flows = l->v4.n + l->v6.n;
        l->max_flows = l->max_flows > flows ? l->max_flows : flows + 1;
        flow = new_flow(l, NULL, h, &k, hash, &p, words);
        if (!flow)
            return false;
        flow[words - 1] &= ~(uint64_t)SWAPPED;
        flow[words - 1] |= k.backwards ? SWAPPED : 0;
    }
    set_counters(flow + words, &s->c, add_up);
    flow[words - 1] |= CHANGED;
    return true;
}

bool gp_flowtable_put(gp_flowtable *t, const gp_session *s, bool add_up)
{
    return gp_flowtable_put_lane(t, 0, s, add_up);
}

/* ---- merging ------------------------------------------------------------------------------------------- */

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

size_t gp_flows_merge(gp_flow *flows, size_t n)
{
    size_t kept = 0;
    if (n)
        qsort(flows, n, sizeof *flows, compare_keys);
    for (size_t i = 0; i < n; i++) {
        if (kept && compare_keys(&flows[kept - 1], &flows[i]) == 0)
            gp_counters_add(&flows[kept - 1].c, &flows[i].c);
        else
            flows[kept++] = flows[i];
    }
    return kept;
}

#include "sensor/capture/flowtable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

enum { V4_WORDS = 2, V6_WORDS = 5, COUNTER_WORDS = 4, MAX_WORDS = V6_WORDS, FIRST_CAPACITY = 256 };

/* Low byte of the last key word. */
enum { OCCUPIED = 1, SWAPPED = 2, MOVED = 4, CHANGED = 8, FLAGS = SWAPPED | MOVED | CHANGED };

/* Slots that one step of a walk looks at: well below a millisecond. */
enum { WALK_SLOTS = 16384 };

/* Old slots that each new flow moves: twice as many as needed to be through before the next growth. */
enum { MOVES_PER_FLOW = 4 };

/* Arrays of this size and more live in huge pages where the system has them: fewer TLB misses. */
enum { HUGE_PAGE = 2 << 20 };

/* Slots of (key words, bytes received, bytes sent, packets received, packets sent). */
typedef struct array {
    uint64_t *slots; /* NULL: none */
    size_t mask;
} array;

/* The flows of one address family. A flow is in `now`, or, while the table grows, still in `old`. */
typedef struct half {
    array now, old;
    size_t moved; /* slots of old before this one are done */
    size_t n;
    unsigned grown; /* how often */
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

/* ---- arrays -------------------------------------------------------------------------------------------- */

static inline size_t slot_words(unsigned words)
{
    return words + COUNTER_WORDS;
}

static inline uint64_t *slot_at(const array *a, size_t i, unsigned words)
{
    return a->slots + i * slot_words(words);
}

static size_t array_bytes(const array *a, unsigned words)
{
    return a->slots ? (a->mask + 1) * slot_words(words) * sizeof(uint64_t) : 0;
}

/* Zeroed, by the kernel and page by page where it is large: nobody waits for it. */
static bool array_make(array *a, size_t capacity, unsigned words)
{
    *a = (array){.mask = capacity - 1};
    size_t slot = slot_words(words) * sizeof(uint64_t);
    if (capacity > SIZE_MAX / slot)
        return false;
    size_t bytes = capacity * slot;
    if (bytes < HUGE_PAGE) {
        a->slots = calloc(1, bytes);
        return a->slots != NULL;
    }
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return false;
    (void)madvise(p, bytes, MADV_HUGEPAGE); /* a wish */
    a->slots = p;
    return true;
}

static void array_free(array *a, unsigned words)
{
    size_t bytes = array_bytes(a, words);
    if (bytes < HUGE_PAGE)
        free(a->slots);
    else
        munmap(a->slots, bytes);
    *a = (array){0};
}

static void half_free(half *h, unsigned words)
{
    array_free(&h->now, words);
    array_free(&h->old, words);
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
    return fold(h ^ (w[words - 1] & ~(uint64_t)FLAGS), seed[1] ^ UINT64_C(0xe7037ed1a0b428db));
}

static inline bool key_equal(const uint64_t *slot, const uint64_t *w, unsigned words)
{
    uint64_t diff = (slot[words - 1] ^ w[words - 1]) & ~(uint64_t)FLAGS;
    for (unsigned i = 0; i + 1 < words; i++)
        diff |= slot[i] ^ w[i];
    return diff == 0;
}

/* The slot of a key, or the empty one where it belongs. */
static inline uint64_t *find(const array *a, uint64_t hash, const uint64_t *w, unsigned words)
{
    for (size_t i = (size_t)hash & a->mask;; i = (i + 1) & a->mask) {
        uint64_t *slot = slot_at(a, i, words);
        if (!slot[words - 1] || key_equal(slot, w, words))
            return slot;
    }
}

/* ---- growing ------------------------------------------------------------------------------------------- */

static inline void copy_slot(uint64_t *to, const uint64_t *from, unsigned words)
{
    memcpy(to, from, slot_words(words) * sizeof *to);
}

static inline bool is_waiting(const uint64_t *old_slot, unsigned words)
{
    return old_slot[words - 1] && !(old_slot[words - 1] & MOVED);
}

static void move_some(const gp_flowtable *t, half *h, size_t slots, unsigned words)
{
    for (; slots && h->moved <= h->old.mask; slots--, h->moved++) {
        const uint64_t *from = slot_at(&h->old, h->moved, words);
        if (is_waiting(from, words))
            copy_slot(find(&h->now, hash_key(t->seed, from, words), from, words), from, words);
    }
    if (h->moved > h->old.mask)
        array_free(&h->old, words);
}

static bool grow(const gp_flowtable *t, half *h, unsigned words)
{
    array bigger;
    if (h->old.slots)
        move_some(t, h, SIZE_MAX, words); /* never in practice, see MOVES_PER_FLOW */
    if (!array_make(&bigger, h->now.slots ? (h->now.mask + 1) * 2 : FIRST_CAPACITY, words))
        return false;
    h->old = h->now;
    h->now = bigger;
    h->moved = 0;
    h->grown++;
    return true;
}

/* Room for one more at a load of three quarters at most. */
static inline bool is_full(const half *h)
{
    return !h->now.slots || h->n + 1 > h->now.mask - h->now.mask / 4;
}

/* ---- adding -------------------------------------------------------------------------------------------- */

static const uint64_t *lookup(const gp_flowtable *t, const uint64_t *w, unsigned words)
{
    const half *h = words == V4_WORDS ? &t->v4 : &t->v6;
    uint64_t hash = hash_key(t->seed, w, words);
    const uint64_t *slot = h->now.slots ? find(&h->now, hash, w, words) : NULL;
    if (slot && !slot[words - 1] && h->old.slots)
        slot = find(&h->old, hash, w, words);
    return slot && slot[words - 1] ? slot : NULL;
}

/* SWAPPED if the flow runs from the key's second endpoint to its first. */
static uint64_t direction_of(const gp_flowtable *previous, const gp_packet *p, const key *k, unsigned words)
{
    const uint64_t *known = previous ? lookup(previous, k->w, words) : NULL;
    if (known)
        return known[words - 1] & SWAPPED;
    return k->backwards != gp_packet_is_reply(p) ? SWAPPED : 0;
}

/* Fills the empty slot where a key belongs: from the old array, or as a new flow. */
static void occupy(gp_flowtable *t, const gp_flowtable *previous, half *h, uint64_t *slot, uint64_t hash,
                   const key *k, const gp_packet *p, unsigned words)
{
    uint64_t *old = h->old.slots ? find(&h->old, hash, k->w, words) : NULL;
    if (old && old[words - 1]) {
        copy_slot(slot, old, words);
        old[words - 1] |= MOVED;
    } else {
        memcpy(slot, k->w, words * sizeof *slot);
        slot[words - 1] |= direction_of(previous, p, k, words);
        h->n++;
    }
    if (h->old.slots)
        move_some(t, h, MOVES_PER_FLOW, words);
}

static inline __attribute__((always_inline)) bool add(gp_flowtable *t, const gp_flowtable *previous, half *h,
                                                      const key *k, uint64_t hash, const gp_counted *p,
                                                      unsigned words)
{
    if (is_full(h) && !grow(t, h, words))
        return false;
    uint64_t *slot = find(&h->now, hash, k->w, words);
    if (!slot[words - 1])
        occupy(t, previous, h, slot, hash, k, &p->packet, words);
    slot[words - 1] |= CHANGED; /* in a cache line that is written anyway */
    slot[words + p->outgoing] += p->len;
    slot[words + 2 + p->outgoing]++;
    return true;
}

/* Fetches the slot of a hash ahead of its use; it may lie in two cache lines. */
static inline void prefetch(const half *h, uint64_t hash, unsigned words)
{
    if (!h->now.slots)
        return;
    const uint64_t *slot = slot_at(&h->now, (size_t)hash & h->now.mask, words);
    __builtin_prefetch(slot, 1);
    __builtin_prefetch(slot + slot_words(words) - 1, 1);
}

size_t gp_flowtable_add(gp_flowtable *t, const gp_flowtable *previous, const gp_counted *packets, size_t n)
{
    enum { BATCH = 32 };
    key keys[BATCH];
    uint64_t hashes[BATCH];
    size_t counted = 0;
    for (; n; packets += BATCH) {
        size_t batch = n < BATCH ? n : BATCH;
        for (size_t i = 0; i < batch; i++) {
            bool v6 = packets[i].packet.v6;
            keys[i] = v6 ? key_v6(&packets[i].packet) : key_v4(&packets[i].packet);
            hashes[i] = hash_key(t->seed, keys[i].w, v6 ? V6_WORDS : V4_WORDS);
            prefetch(v6 ? &t->v6 : &t->v4, hashes[i], v6 ? V6_WORDS : V4_WORDS);
        }
        for (size_t i = 0; i < batch; i++)
            counted += packets[i].packet.v6
                           ? add(t, previous, &t->v6, &keys[i], hashes[i], &packets[i], V6_WORDS)
                           : add(t, previous, &t->v4, &keys[i], hashes[i], &packets[i], V4_WORDS);
        n -= batch;
    }
    return counted;
}

/* ---- making ---------------------------------------------------------------------------------------------
 */

/* A half of the size that `like` flows need; smaller where memory does not allow for that. */
static void reserve(half *h, size_t like, unsigned words)
{
    size_t capacity = FIRST_CAPACITY;
    while (like > capacity / 2)
        capacity *= 2;
    if (like && !array_make(&h->now, capacity, words))
        h->now = (array){0};
}

gp_code gp_flowtable_new(gp_flowtable **out, const gp_flowtable *like, gp_error *err)
{
    gp_flowtable *t = calloc(1, sizeof *t);
    if (!t)
        return gp_fail(err, GP_ENOMEM, "out of memory for a flow table");
    if (getrandom(t->seed, sizeof t->seed, 0) != (ssize_t)sizeof t->seed) {
        free(t);
        return gp_fail_errno(err, errno, "cannot get random numbers for a flow table");
    }
    if (like) {
        reserve(&t->v4, like->v4.n, V4_WORDS);
        reserve(&t->v6, like->v6.n, V6_WORDS);
    }
    *out = t;
    return GP_OK;
}

void gp_flowtable_free(gp_flowtable *t)
{
    if (!t)
        return;
    half_free(&t->v4, V4_WORDS);
    half_free(&t->v6, V6_WORDS);
    free(t);
}

/* ---- reading --------------------------------------------------------------------------------------------
 */

size_t gp_flowtable_flows(const gp_flowtable *t)
{
    return t->v4.n + t->v6.n;
}

size_t gp_flowtable_bytes(const gp_flowtable *t)
{
    return array_bytes(&t->v4.now, V4_WORDS) + array_bytes(&t->v4.old, V4_WORDS) +
           array_bytes(&t->v6.now, V6_WORDS) + array_bytes(&t->v6.old, V6_WORDS);
}

/* Walks over the flows: *at begins at 0. NULL at the end. */
static const uint64_t *next_slot(const half *h, size_t *at, unsigned words)
{
    size_t n_now = h->now.slots ? h->now.mask + 1 : 0;
    size_t n_old = h->old.slots ? h->old.mask + 1 : 0;
    for (; *at < n_now; ++*at) {
        const uint64_t *slot = slot_at(&h->now, *at, words);
        if (slot[words - 1]) {
            ++*at;
            return slot;
        }
    }
    for (; *at < n_now + n_old; ++*at) {
        size_t i = *at - n_now;
        const uint64_t *slot = slot_at(&h->old, i, words);
        if (i >= h->moved && is_waiting(slot, words)) {
            ++*at;
            return slot;
        }
    }
    return NULL;
}

static void sum_half(const half *h, unsigned words, gp_counters *sum)
{
    size_t at = 0;
    for (const uint64_t *s; (s = next_slot(h, &at, words)) != NULL;) {
        const uint64_t *c = s + words;
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

static size_t export_half(const half *h, unsigned words, gp_flow *out)
{
    size_t n = 0;
    size_t at = 0;
    for (const uint64_t *s; (s = next_slot(h, &at, words)) != NULL;)
        out[n++] = flow_of(s, words);
    return n;
}

gp_code gp_flowtable_export(const gp_flowtable *t, gp_flow **out, size_t *n, gp_error *err)
{
    size_t total = gp_flowtable_flows(t);
    gp_flow *flows = total < SIZE_MAX / sizeof *flows ? malloc((total + 1) * sizeof *flows) : NULL;
    if (!flows)
        return gp_fail(err, GP_ENOMEM, "out of memory for %zu flows", total);
    *n = export_half(&t->v4, V4_WORDS, flows);
    *n += export_half(&t->v6, V6_WORDS, flows + *n);
    *out = flows;
    return GP_OK;
}

/* ---- sessions: what the journal takes and gives back -----------------------------------------------------
 */

static gp_session session_of(const uint64_t *slot, unsigned words)
{
    uint64_t last = slot[words - 1];
    gp_flow f = flow_of(slot, words);
    return (gp_session){
        .sip = f.sip,
        .dip = f.dip,
        .sport = last & SWAPPED ? (uint16_t)(last >> 32) : (uint16_t)(last >> 48),
        .dport = f.dport,
        .proto = f.proto,
        .c = f.c,
    };
}

/* The stages of a walk: old and new array of IPv4, then of IPv6. The old one comes first: what moves to the
 * new one meanwhile is then still met there. */
static bool is_old_stage(unsigned stage)
{
    return stage % 2 == 0;
}

/* Puts the walk where the next slot to look at is; NULL at the end. */
static uint64_t *walk_on(const gp_flowtable *t, gp_flowtable_walk *w, unsigned *words)
{
    while (w->stage < GP_WALK_END) {
        const half *h = w->stage < 2 ? &t->v4 : &t->v6;
        *words = w->stage < 2 ? V4_WORDS : V6_WORDS;
        if (w->grown != h->grown) /* everything is elsewhere now */
            *w = (gp_flowtable_walk){.stage = w->stage & ~1u, .grown = h->grown, .all = w->all};
        const array *a = is_old_stage(w->stage) ? &h->old : &h->now;
        if (is_old_stage(w->stage) && w->at < h->moved)
            w->at = h->moved;
        if (a->slots && w->at <= a->mask)
            return slot_at(a, w->at++, *words);
        w->stage++;
        w->at = 0;
    }
    return NULL;
}

size_t gp_flowtable_take(gp_flowtable *t, gp_flowtable_walk *w, gp_session *out, size_t max)
{
    size_t n = 0;
    for (size_t looked = 0; looked < WALK_SLOTS && n < max; looked++) {
        unsigned words;
        uint64_t *slot = walk_on(t, w, &words);
        if (!slot)
            break;
        if (!is_waiting(slot, words) || !(w->all || slot[words - 1] & CHANGED))
            continue;
        slot[words - 1] &= ~(uint64_t)CHANGED;
        out[n++] = session_of(slot, words);
    }
    return n;
}

bool gp_flowtable_put(gp_flowtable *t, const gp_session *s, bool add_up)
{
    const gp_packet p = {.sip = s->sip.bytes,
                         .dip = s->dip.bytes,
                         .sport = s->sport,
                         .dport = s->dport,
                         .proto = s->proto,
                         .v6 = s->sip.len == 16};
    unsigned words = p.v6 ? V6_WORDS : V4_WORDS;
    half *h = p.v6 ? &t->v6 : &t->v4;
    key k = p.v6 ? key_v6(&p) : key_v4(&p);
    uint64_t hash = hash_key(t->seed, k.w, words);
    if (is_full(h) && !grow(t, h, words))
        return false;
    uint64_t *slot = find(&h->now, hash, k.w, words);
    if (!slot[words - 1]) {
        occupy(t, NULL, h, slot, hash, &k, &p, words);
        slot[words - 1] &= ~(uint64_t)SWAPPED;
        slot[words - 1] |= k.backwards ? SWAPPED : 0;
    }
    const uint64_t counts[COUNTER_WORDS] = {s->c.bytes_rcvd, s->c.bytes_sent, s->c.pkts_rcvd, s->c.pkts_sent};
    for (unsigned i = 0; i < COUNTER_WORDS; i++)
        slot[words + i] = add_up ? slot[words + i] + counts[i] : counts[i];
    slot[words - 1] |= CHANGED;
    return true;
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

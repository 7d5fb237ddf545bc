/* The flow table against a naive model of goProbe v4's rules: one list, searched for both directions of a
 * key. */
#include "sensor/capture/flowtable.h"
#include "tests/support/packets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_NAIVE = 8192, TCP = 6, UDP = 17 };

typedef struct endpoint {
    uint8_t addr[16];
    uint16_t port;
} endpoint;

typedef struct naive_flow {
    endpoint from, to;
    uint8_t proto;
    bool v6;
    gp_counters c;
} naive_flow;

typedef struct naive_table {
    naive_flow flows[MAX_NAIVE];
    size_t n;
} naive_table;

static endpoint endpoint_of(const uint8_t *addr, bool v6, uint16_t port)
{
    endpoint e = {.port = port};
    memcpy(e.addr, addr, v6 ? 16 : 4);
    return e;
}

static bool same(const endpoint *a, const endpoint *b)
{
    return a->port == b->port && memcmp(a->addr, b->addr, sizeof a->addr) == 0;
}

static naive_flow *naive_find(naive_table *t, const naive_flow *k)
{
    for (size_t i = 0; i < t->n; i++) {
        naive_flow *f = &t->flows[i];
        if (f->proto != k->proto || f->v6 != k->v6)
            continue;
        if ((same(&f->from, &k->from) && same(&f->to, &k->to)) ||
            (same(&f->from, &k->to) && same(&f->to, &k->from)))
            return f;
    }
    return NULL;
}

static void naive_add(naive_table *t, const gp_counted *p)
{
    naive_flow k = {
        .from = endpoint_of(p->packet.sip, p->packet.v6, p->packet.sport),
        .to = endpoint_of(p->packet.dip, p->packet.v6, p->packet.dport),
        .proto = p->packet.proto,
        .v6 = p->packet.v6,
    };
    naive_flow *f = naive_find(t, &k);
    if (!f) {
        assert_true(t->n < MAX_NAIVE);
        f = &t->flows[t->n++];
        *f = k;
        if (gp_packet_is_reply(&p->packet)) {
            f->from = k.to;
            f->to = k.from;
        }
    }
    const gp_counters one = {p->outgoing ? 0 : p->len, p->outgoing ? p->len : 0, !p->outgoing, p->outgoing};
    gp_counters_add(&f->c, &one);
}

/* Idle flows are forgotten, the others stay with zero counters. */
static void naive_rotate(naive_table *t)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->n; i++) {
        if (!t->flows[i].c.pkts_rcvd && !t->flows[i].c.pkts_sent)
            continue;
        t->flows[kept] = t->flows[i];
        t->flows[kept++].c = (gp_counters){0};
    }
    t->n = kept;
}

static size_t naive_export(const naive_table *t, gp_flow *out)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        const naive_flow *f = &t->flows[i];
        if (!f->c.pkts_rcvd && !f->c.pkts_sent)
            continue;
        out[n++] = (gp_flow){.sip = gp_addr_from_bytes(f->from.addr, f->v6 ? 16 : 4),
                             .dip = gp_addr_from_bytes(f->to.addr, f->v6 ? 16 : 4),
                             .dport = f->to.port,
                             .proto = f->proto,
                             .c = f->c};
    }
    return gp_flows_merge(out, n);
}

static uint32_t next_random(uint32_t *state, uint32_t n)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % n;
}

/* Packets of few hosts and ports, so that both directions of a conversation meet; bytes backs the
 * addresses. */
static gp_counted random_packet(uint32_t *seed, uint8_t bytes[32], uint32_t ports)
{
    static const uint8_t protos[] = {TCP, TCP, UDP, 1, 58, 50};
    static const uint8_t aux[] = {0, 0x02, 0x12, 0x10, 129, 8};
    bool v6 = next_random(seed, 3) == 0;
    size_t len = v6 ? 16 : 4;
    memset(bytes, v6 ? 0x20 : 0x0a, 32);
    bytes[len - 1] = (uint8_t)next_random(seed, 6);
    bytes[2 * len - 1] = (uint8_t)next_random(seed, 6);
    bytes[0] = next_random(seed, 2) ? bytes[0] : 0xfe; /* the first byte decides the order, too */
    uint8_t proto = protos[next_random(seed, sizeof protos)];
    bool has_ports = proto == TCP || proto == UDP;
    return (gp_counted){
        .packet = {.sip = bytes,
                   .dip = bytes + len,
                   .sport = has_ports ? (uint16_t)(32700 + next_random(seed, ports)) : 0,
                   .dport = has_ports ? (uint16_t)(32700 + next_random(seed, ports)) : 0,
                   .proto = proto,
                   .aux = aux[next_random(seed, sizeof aux)],
                   .v6 = v6},
        .len = 60 + next_random(seed, 1400),
        .outgoing = next_random(seed, 2),
    };
}

static void check_equal(const gp_flowtable *t, const naive_table *naive)
{
    static gp_flow want[MAX_NAIVE];
    gp_flow *got = NULL;
    size_t n = 0;
    size_t n_want = naive_export(naive, want);
    assert_int_equal(gp_flowtable_export(t, &got, &n, NULL), GP_OK);
    assert_int_equal(n, gp_flowtable_flows(t));
    n = gp_flows_merge(got, n);
    assert_int_equal(n, n_want);
    gp_counters sum = {0};
    for (size_t i = 0; i < n; i++) {
        assert_memory_equal(&got[i].sip, &want[i].sip, sizeof got[i].sip);
        assert_memory_equal(&got[i].dip, &want[i].dip, sizeof got[i].dip);
        assert_int_equal(got[i].dport, want[i].dport);
        assert_int_equal(got[i].proto, want[i].proto);
        assert_memory_equal(&got[i].c, &want[i].c, sizeof got[i].c);
        gp_counters_add(&sum, &got[i].c);
    }
    gp_counters total = gp_flowtable_totals(t);
    assert_memory_equal(&total, &sum, sizeof sum);
    free(got);
}

/* Over five intervals of different size and port spread; tables are looked at while they grow. */
static void a_table_agrees_with_the_naive_model(void **state)
{
    (void)state;
    static naive_table naive;
    static const struct {
        unsigned packets;
        uint32_t ports;
    } intervals[] = {{3000, 40}, {9000, 130}, {500, 40}, {0, 1}, {4000, 60}};
    uint32_t seed = 4711;
    gp_flowtable *previous = NULL;
    naive.n = 0;
    for (size_t i = 0; i < sizeof intervals / sizeof intervals[0]; i++) {
        gp_flowtable *t = NULL;
        assert_int_equal(gp_flowtable_new(&t, previous, 0, NULL), GP_OK);
        for (unsigned done = 0; done < intervals[i].packets;) {
            enum { BATCH = 50 };
            uint8_t bytes[BATCH][32];
            gp_counted batch[BATCH];
            for (unsigned k = 0; k < BATCH; k++) {
                batch[k] = random_packet(&seed, bytes[k], intervals[i].ports);
                naive_add(&naive, &batch[k]);
            }
            gp_flowtable_add(t, 0, previous, batch, BATCH);
            done += BATCH;
            if (done % 1500 == 0)
                check_equal(t, &naive);
        }
        check_equal(t, &naive);
        naive_rotate(&naive);
        gp_flowtable_free(previous);
        previous = t;
    }
    gp_flowtable_free(previous);
}

/* Far beyond what the model could follow, into arrays that are mapped. */
static void nothing_is_lost_while_a_table_grows(void **state)
{
    (void)state;
    enum { FLOWS = 150000, ROUNDS = 3 };
    gp_flowtable *t = NULL;
    assert_int_equal(gp_flowtable_new(&t, NULL, 0, NULL), GP_OK);
    for (uint32_t i = 0; i < ROUNDS * FLOWS; i++) {
        uint32_t host = i % FLOWS;
        uint8_t addresses[8] = {10, 0, 0, 1};
        memcpy(addresses + 4, &host, sizeof host);
        const gp_counted c = {
            .packet = {.sip = addresses, .dip = addresses + 4, .sport = 50000, .dport = 22, .proto = TCP},
            .len = host,
            .outgoing = i & 1,
        };
        gp_flowtable_add(t, 0, NULL, &c, 1);
    }
    assert_int_equal(gp_flowtable_flows(t), FLOWS);
    gp_counters sum = gp_flowtable_totals(t);
    assert_int_equal(sum.bytes_rcvd + sum.bytes_sent, ROUNDS * (uint64_t)FLOWS * (FLOWS - 1) / 2);
    assert_int_equal(sum.pkts_rcvd + sum.pkts_sent, ROUNDS * FLOWS);
    gp_flow *flows = NULL;
    size_t n = 0;
    assert_int_equal(gp_flowtable_export(t, &flows, &n, NULL), GP_OK);
    assert_int_equal(gp_flows_merge(flows, n), FLOWS);
    for (size_t i = 0; i < FLOWS; i++)
        assert_int_equal(flows[i].c.pkts_rcvd + flows[i].c.pkts_sent, ROUNDS);
    free(flows);
    /* The next table has room for as many from the start. */
    gp_flowtable *next = NULL;
    assert_int_equal(gp_flowtable_new(&next, t, 0, NULL), GP_OK);
    assert_true(gp_flowtable_bytes(next) >= FLOWS * 4u);
    gp_flowtable_free(next);
    gp_flowtable_free(t);
}

/* ---- sessions: another table is kept equal by what changed --------------------------------------------- */

/* One step of a walk; a new one begins where one has ended. */
static void follow(gp_flowtable *t, gp_flowtable_walk *w, gp_flowtable *mirror, size_t max)
{
    gp_session taken[64];
    size_t n = gp_flowtable_take(t, w, taken, max);
    assert_true(n <= max);
    for (size_t i = 0; i < n; i++)
        assert_true(gp_flowtable_put(mirror, &taken[i], false));
}

static void follow_to_the_end(gp_flowtable *t, bool all, gp_flowtable *mirror)
{
    gp_flowtable_walk w = {.all = all};
    while (w.stage < GP_WALK_END)
        follow(t, &w, mirror, 64);
}

static void check_same(const gp_flowtable *a, const gp_flowtable *b)
{
    gp_flow *x = NULL;
    gp_flow *y = NULL;
    size_t n = 0;
    size_t m = 0;
    assert_int_equal(gp_flowtable_export(a, &x, &n, NULL), GP_OK);
    assert_int_equal(gp_flowtable_export(b, &y, &m, NULL), GP_OK);
    assert_int_equal(n, m);
    n = gp_flows_merge(x, n);
    assert_int_equal(n, gp_flows_merge(y, m));
    assert_memory_equal(x, y, n * sizeof *x);
    free(x);
    free(y);
}

static void add_random(gp_flowtable *t, uint32_t *seed, uint32_t ports)
{
    enum { BATCH = 50 };
    uint8_t bytes[BATCH][32];
    gp_counted batch[BATCH];
    for (unsigned k = 0; k < BATCH; k++)
        batch[k] = random_packet(seed, bytes[k], ports);
    gp_flowtable_add(t, 0, NULL, batch, BATCH);
}

static void what_changed_can_be_followed(void **state)
{
    (void)state;
    enum { ROUNDS = 400 };
    uint32_t seed = 99;
    gp_flowtable *t = NULL;
    gp_flowtable *mirror = NULL;
    gp_flowtable *from_scratch = NULL;
    assert_int_equal(gp_flowtable_new(&t, NULL, 0, NULL), GP_OK);
    assert_int_equal(gp_flowtable_new(&mirror, NULL, 0, NULL), GP_OK);
    for (unsigned start = 0; start < ROUNDS; start += 40) {
        gp_flowtable_walk w = {0};
        for (unsigned i = 0; i < 40 || w.stage < GP_WALK_END; i++) {
            add_random(t, &seed, 10 + start + i);
            follow(t, &w, mirror, 1 + next_random(&seed, 63));
        }
        follow_to_the_end(t, false, mirror);
        check_same(t, mirror);
        gp_session none;
        gp_flowtable_walk idle = {0};
        while (idle.stage < GP_WALK_END)
            assert_int_equal(gp_flowtable_take(t, &idle, &none, 1), 0);
        /* Whoever begins now with all of them misses nothing either, whatever moves meanwhile. */
        assert_int_equal(gp_flowtable_new(&from_scratch, NULL, 0, NULL), GP_OK);
        for (w = (gp_flowtable_walk){.all = true}; w.stage < GP_WALK_END;) {
            add_random(t, &seed, 50 + start);
            follow(t, &w, from_scratch, 64);
        }
        follow_to_the_end(t, false, from_scratch);
        check_same(t, from_scratch);
        gp_flowtable_free(mirror);
        mirror = from_scratch;
    }
    gp_flowtable_free(mirror);
    gp_flowtable_free(t);
}

static void sessions_are_set_or_added(void **state)
{
    (void)state;
    gp_flowtable *t = NULL;
    gp_session s = {.sport = 40000, .dport = 22, .proto = TCP, .c = {10, 20, 1, 2}};
    gp_session got;
    assert_true(gp_addr_parse("10.0.0.9", 8, &s.sip));
    assert_true(gp_addr_parse("10.0.0.1", 8, &s.dip));
    assert_int_equal(gp_flowtable_new(&t, NULL, 0, NULL), GP_OK);
    assert_true(gp_flowtable_put(t, &s, false));
    assert_true(gp_flowtable_put(t, &s, false));
    gp_flowtable_walk w = {0};
    size_t n = 0;
    while (w.stage < GP_WALK_END)
        n += gp_flowtable_take(t, &w, &got, 1);
    assert_int_equal(n, 1);
    assert_int_equal(got.sport, 40000);
    assert_int_equal(got.dport, 22);
    assert_memory_equal(&got.sip, &s.sip, sizeof s.sip);
    assert_memory_equal(&got.c, &s.c, sizeof s.c);
    assert_true(gp_flowtable_put(t, &s, true));
    assert_int_equal(gp_flowtable_totals(t).bytes_sent, 40);
    assert_int_equal(gp_flowtable_flows(t), 1);
    gp_flowtable_free(t);
}

/* A packet of flow i: one of four ways in which an attacker may number his flows. */
static gp_counted attack_packet(unsigned kind, uint32_t i, uint8_t bytes[32])
{
    memset(bytes, 0, 32);
    bytes[0] = bytes[4] = 10;
    gp_counted c = {.packet = {.sip = bytes, .dip = bytes + 4, .sport = 40000, .dport = 22, .proto = TCP},
                    .len = 60};
    switch (kind) {
    case 0: /* a scan of hosts */
        bytes[5] = (uint8_t)(i >> 16);
        bytes[6] = (uint8_t)(i >> 8);
        bytes[7] = (uint8_t)i;
        break;
    case 1: /* a scan of ports from many ports */
        c.packet.sport = (uint16_t)(32768 + (i & 0x7fff));
        c.packet.dport = (uint16_t)(1024 + (i >> 15));
        break;
    case 2: /* only high bits differ */
        bytes[0] = (uint8_t)i;
        bytes[4] = (uint8_t)(i >> 8);
        bytes[1] = (uint8_t)(i >> 16);
        break;
    default: /* IPv6, the last bytes all the same */
        c.packet.v6 = true;
        c.packet.dip = bytes + 16;
        memcpy(bytes + 1, &i, sizeof i);
        break;
    }
    return c;
}

static void no_numbering_of_flows_makes_searches_long(void **state)
{
    (void)state;
    enum { FLOWS = 60000 };
    for (unsigned kind = 0; kind < 4; kind++) {
        gp_flowtable *t = NULL;
        assert_int_equal(gp_flowtable_new(&t, NULL, 0, NULL), GP_OK);
        for (uint32_t i = 0; i < 2 * FLOWS; i++) { /* twice: growth is over then */
            uint8_t bytes[32];
            const gp_counted c = attack_packet(kind, i % FLOWS, bytes);
            gp_flowtable_add(t, 0, NULL, &c, 1);
        }
        assert_int_equal(gp_flowtable_flows(t), FLOWS);
        assert_true(gp_flowtable_probes(t) < 1.6);
        gp_flowtable_free(t);
    }
}

/* The index that a key belongs to differs from table to table: what collides in one does not in another. So a
 * table that an attacker fills with what collided elsewhere is like any other. */
static void what_collides_in_one_table_does_not_in_another(void **state)
{
    (void)state;
    enum { TABLES = 3, FLOWS = 3000 };
    double probes[TABLES];
    for (unsigned k = 0; k < TABLES; k++) {
        gp_flowtable *t = NULL;
        assert_int_equal(gp_flowtable_new(&t, NULL, 0, NULL), GP_OK);
        for (uint32_t i = 0; i < 2 * FLOWS; i++) {
            uint8_t bytes[32];
            const gp_counted c = attack_packet(0, i % FLOWS, bytes);
            gp_flowtable_add(t, 0, NULL, &c, 1);
        }
        probes[k] = gp_flowtable_probes(t);
        gp_flowtable_free(t);
    }
    assert_true(probes[0] < probes[1] || probes[0] > probes[1] || probes[0] < probes[2] ||
                probes[0] > probes[2]);
}

/* 10^7 distinct flows in one interval: memory is bounded, the sums are whole. */
static void a_scan_of_ten_million_flows_is_survived(void **state)
{
    (void)state;
    enum { FLOWS = 10000000, LIMIT = 200000, BATCH = 50 };
    gp_flowtable *t = NULL;
    assert_int_equal(gp_flowtable_new(&t, NULL, LIMIT, NULL), GP_OK);
    for (uint32_t i = 0; i < FLOWS; i += BATCH) {
        uint8_t bytes[BATCH][32];
        gp_counted batch[BATCH];
        for (uint32_t k = 0; k < BATCH; k++) {
            batch[k] = attack_packet(0, i + k, bytes[k]);
            batch[k].outgoing = k & 1;
        }
        gp_flowtable_add(t, 0, NULL, batch, BATCH);
    }
    gp_counters sum = gp_flowtable_totals(t);
    gp_counters overflow = gp_flowtable_lane_overflow(t, 0);
    assert_int_equal(gp_flowtable_flows(t), LIMIT);
    assert_true(gp_flowtable_bytes(t) < LIMIT * 64u);
    assert_int_equal(sum.pkts_rcvd + sum.pkts_sent, FLOWS);
    assert_int_equal(sum.bytes_rcvd + sum.bytes_sent, FLOWS * UINT64_C(60));
    assert_int_equal(overflow.pkts_rcvd + overflow.pkts_sent, FLOWS - LIMIT);
    /* Known flows go on to be counted on their own. */
    uint8_t bytes[32];
    const gp_counted known = attack_packet(0, 5, bytes);
    gp_flowtable_add(t, 0, NULL, &known, 1);
    overflow = gp_flowtable_lane_overflow(t, 0);
    assert_int_equal(overflow.pkts_rcvd + overflow.pkts_sent, FLOWS - LIMIT);
    gp_flow *flows = NULL;
    size_t n = 0;
    assert_int_equal(gp_flowtable_export(t, &flows, &n, NULL), GP_OK);
    assert_int_equal(n, LIMIT + 1);
    assert_int_equal(flows[LIMIT].proto, GP_OVERFLOW_PROTO);
    assert_int_equal(flows[LIMIT].sip.len, 4);
    free(flows);
    gp_flowtable_free(t);
}

/* The overflow is a session, too: it is taken when it changed, and can be put back. */
static void the_overflow_can_be_taken_and_put(void **state)
{
    (void)state;
    gp_flowtable *t = NULL;
    gp_flowtable *copy = NULL;
    gp_session got[8];
    assert_int_equal(gp_flowtable_new(&t, NULL, 1, NULL), GP_OK);
    assert_int_equal(gp_flowtable_new(&copy, NULL, 0, NULL), GP_OK);
    for (uint32_t i = 0; i < 3; i++) {
        uint8_t bytes[32];
        const gp_counted c = attack_packet(0, i, bytes);
        gp_flowtable_add(t, 0, NULL, &c, 1);
    }
    size_t n = 0;
    for (gp_flowtable_walk w = {0}; w.stage < GP_WALK_END;)
        n += gp_flowtable_take(t, &w, got + n, 8 - n);
    assert_int_equal(n, 2);
    for (size_t i = 0; i < n; i++)
        assert_true(gp_flowtable_put(copy, &got[i], false));
    assert_int_equal(gp_flowtable_flows(copy), 1);
    gp_counters a = gp_flowtable_totals(t);
    gp_counters b = gp_flowtable_totals(copy);
    assert_memory_equal(&a, &b, sizeof a);
    n = 0;
    for (gp_flowtable_walk w = {0}; w.stage < GP_WALK_END;)
        n += gp_flowtable_take(t, &w, got, 8);
    assert_int_equal(n, 0);
    gp_flowtable_free(t);
    gp_flowtable_free(copy);
}

/* Each lane is a table of its own; walks and sums go over all of them, also while packets are added. */
static void lanes_make_up_one_table(void **state)
{
    (void)state;
    enum { LANES = 3, FLOWS = 3000, STEP = 100 };
    gp_flowtable *t = NULL;
    static gp_flow flows[2 * FLOWS];
    assert_int_equal(gp_flowtable_new_lanes(&t, NULL, LANES, 0, NULL), GP_OK);
    for (uint32_t i = 0; i < FLOWS; i++) {
        uint8_t bytes[32];
        const gp_counted c = attack_packet(i % 2 ? 3 : 0, i, bytes);
        gp_flowtable_add(t, i % LANES, NULL, &c, 1);
    }
    assert_int_equal(gp_flowtable_lanes(t), LANES);
    assert_int_equal(gp_flowtable_flows(t), FLOWS);
    assert_int_equal(gp_flowtable_lane_flows(t, 1), FLOWS / LANES);
    assert_int_equal(gp_flowtable_totals(t).pkts_rcvd, FLOWS);
    size_t n = 0;
    uint32_t more = FLOWS;
    for (gp_flowtable_walk w = {0}; w.stage < GP_WALK_END; more++) {
        uint8_t bytes[32];
        const gp_counted c = attack_packet(0, more, bytes);
        n += gp_flowtable_export_some(t, &w, flows + n, STEP);
        gp_flowtable_add(t, 0, NULL, &c, 1); /* to where the walk is, or behind it */
    }
    size_t merged = gp_flows_merge(flows, n);
    assert_int_equal(merged, n); /* none twice */
    assert_true(n >= FLOWS);
    gp_flowtable *next = NULL;
    assert_int_equal(gp_flowtable_new(&next, t, 0, NULL), GP_OK);
    assert_int_equal(gp_flowtable_lanes(next), LANES);
    gp_flowtable_free(next);
    gp_flowtable_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_agrees_with_the_naive_model),
        cmocka_unit_test(nothing_is_lost_while_a_table_grows),
        cmocka_unit_test(what_changed_can_be_followed),
        cmocka_unit_test(sessions_are_set_or_added),
        cmocka_unit_test(no_numbering_of_flows_makes_searches_long),
        cmocka_unit_test(what_collides_in_one_table_does_not_in_another),
        cmocka_unit_test(a_scan_of_ten_million_flows_is_survived),
        cmocka_unit_test(the_overflow_can_be_taken_and_put),
        cmocka_unit_test(lanes_make_up_one_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/support/gendb.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LOCAL_HOSTS = 4000, REMOTE_HOSTS = 200000, V6_PERCENT = 12, SCAN_PERCENT = 6 };

/* splitmix64 (Vigna, public domain). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static double unit(uint64_t *rng)
{
    return (double)(next_random(rng) >> 11) / 9007199254740992.0;
}

/* A rank below n with roughly Zipf frequencies: few ranks take most draws. */
static uint64_t zipf(uint64_t *rng, uint64_t n)
{
    return (uint64_t)(exp(unit(rng) * log((double)n))) - 1;
}

/* Spreads ranks over addresses, the same way every time. */
static uint32_t scatter(uint64_t rank, uint64_t salt)
{
    uint64_t s = rank * UINT64_C(0x9e3779b97f4a7c15) ^ salt;
    return (uint32_t)next_random(&s);
}

static void put_v4(gp_addr *a, uint32_t v)
{
    const uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    *a = gp_addr_from_bytes(b, sizeof b);
}

static void put_v6(gp_addr *a, uint16_t prefix, uint32_t host)
{
    uint8_t b[16] = {0x20, 0x01, (uint8_t)(prefix >> 8), (uint8_t)prefix};
    for (unsigned i = 0; i < 4; i++) {
        b[4 + i] = (uint8_t)(host >> (8 * i));
        b[12 + i] = (uint8_t)(host >> (8 * (3 - i)));
    }
    *a = gp_addr_from_bytes(b, sizeof b);
}

static void choose_service(gp_flow *f, uint64_t *rng)
{
    static const struct {
        uint16_t port;
        uint8_t proto;
        unsigned weight;
    } services[] = {{443, 6, 38}, {443, 17, 14}, {53, 17, 18}, {80, 6, 8},   {22, 6, 4},
                    {123, 17, 4}, {0, 1, 3},     {993, 6, 2},  {3306, 6, 2}, {8080, 6, 2}};
    unsigned draw = (unsigned)(next_random(rng) % 100);
    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++) {
        if (draw < services[i].weight) {
            f->dport = services[i].port;
            f->proto = services[i].proto;
            return;
        }
        draw -= services[i].weight;
    }
    f->dport = (uint16_t)(1024 + next_random(rng) % 40000);
    f->proto = 6;
}

static void choose_volume(gp_flow *f, bool scan, uint64_t *rng)
{
    uint64_t bytes = (uint64_t)exp(4.0 + 11.0 * unit(rng) * unit(rng));
    f->c.pkts_rcvd = 1 + bytes / 900;
    f->c.bytes_rcvd = bytes + 40;
    if (scan) {
        f->c.pkts_rcvd = 1;
        f->c.bytes_rcvd = 60;
        return;
    }
    f->c.pkts_sent = 1 + f->c.pkts_rcvd * (next_random(rng) % 3) / 2;
    f->c.bytes_sent = f->c.pkts_sent * (60 + next_random(rng) % 400);
}

static void make_flow(gp_flow *f, uint64_t *rng)
{
    bool scan = next_random(rng) % 100 < SCAN_PERCENT;
    bool v6 = !scan && next_random(rng) % 100 < V6_PERCENT;
    uint32_t local = (uint32_t)zipf(rng, LOCAL_HOSTS);
    uint64_t remote = zipf(rng, REMOTE_HOSTS);
    memset(f, 0, sizeof *f);
    if (scan) {
        put_v4(&f->sip, (uint32_t)next_random(rng));
        put_v4(&f->dip, 0x0a000000u | local);
        f->dport = (uint16_t)next_random(rng);
        f->proto = 6;
    } else if (v6) {
        put_v6(&f->sip, 0x0db8, local);
        put_v6(&f->dip, 0x4860, scatter(remote, 6));
        choose_service(f, rng);
    } else {
        put_v4(&f->sip, 0x0a000000u | local);
        put_v4(&f->dip, scatter(remote, 4));
        choose_service(f, rng);
    }
    choose_volume(f, scan, rng);
}

static int by_key(const void *a, const void *b)
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

size_t gp_gendb_block(uint64_t seed, int64_t ts, gp_flow *flows, size_t n)
{
    uint64_t rng = seed ^ (uint64_t)ts * UINT64_C(0xd6e8feb86659fd93);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        make_flow(&flows[i], &rng);
    if (n)
        qsort(flows, n, sizeof *flows, by_key);
    for (size_t i = 0; i < n; i++) {
        if (kept && by_key(&flows[kept - 1], &flows[i]) == 0)
            gp_counters_add(&flows[kept - 1].c, &flows[i].c);
        else
            flows[kept++] = flows[i];
    }
    return kept;
}

static gp_code write_day(const gp_gendb_options *o, gp_writer *w, uint64_t seed, unsigned day, gp_flow *flows,
                         gp_error *err)
{
    gp_code code = GP_OK;
    for (unsigned b = 0; b < o->blocks && code == GP_OK; b++) {
        int64_t ts = o->first_day + (int64_t)day * 86400 + (int64_t)b * 300;
        size_t n = gp_gendb_block(seed, ts, flows, o->flows);
        code = gp_writer_write(w, ts, flows, n, 0, NULL, err);
    }
    return code;
}

gp_code gp_gendb_write(const gp_gendb_options *o, gp_error *err)
{
    gp_flow *flows = calloc(o->flows ? o->flows : 1, sizeof *flows);
    gp_code code =
        flows ? GP_OK : gp_fail(err, GP_ENOMEM, "out of memory for a block of %zu flows", o->flows);
    for (size_t i = 0; i < o->n_ifaces && code == GP_OK; i++) {
        gp_writer *w = NULL;
        const gp_writer_config cfg = {.db = o->db, .iface = o->ifaces[i], .codec = o->codec, .no_sync = true};
        code = gp_writer_new(&w, &cfg, err);
        for (unsigned day = 0; day < o->days && code == GP_OK; day++) {
            code = write_day(o, w, o->seed + i, day, flows, err);
            if (o->progress)
                o->progress(o->ctx, day + 1, o->days);
        }
        gp_writer_free(w);
    }
    free(flows);
    return code;
}

#include "sensor/godb/topports.h"

#include "proto/wire/varint.h"
#include "sensor/godb/bigendian.h"
#include "sensor/godb/daypath.h"
#include "sensor/godb/topn.h"

#include <stdlib.h>
#include <string.h>

enum {
    VERSION = 1,
    CHECK_SIZE = 8,
    HEADER = CHECK_SIZE + 4, /* and the length of what is compressed */
    LEVEL = 3,               /* of zstd */
    PORT_BYTES = GP_PORTS / 8,
    N_PROTOS = 256,
    N_COUNTERS = 4,
    MOST_LISTED = 256,   /* by each of two ranks */
    LEAST_LISTED = 100,  /* a smaller day is scanned soon, and the list would be too large a part of it */
    STORED_EACH = 80000, /* bytes of a day, for each one that is listed */
    MOST_RAW = N_PROTOS * (PORT_BYTES + 64) + 2 * MOST_LISTED * 64 /* what is compressed, at most */,
    MOST_FILE = 2 * MOST_RAW /* zstd adds little to what it cannot compress */
};

uint64_t gp_rank_value(const gp_counters *c, gp_rank r)
{
    switch (r) {
    case GP_RANK_BYTES_RCVD:
        return c->bytes_rcvd;
    case GP_RANK_BYTES_SENT:
        return c->bytes_sent;
    case GP_RANK_PKTS_RCVD:
        return c->pkts_rcvd;
    case GP_RANK_PKTS_SENT:
        return c->pkts_sent;
    case GP_RANK_PKTS:
        return c->pkts_rcvd + c->pkts_sent;
    default:
        return c->bytes_rcvd + c->bytes_sent;
    }
}

static uint64_t fingerprint_of(const gp_blockmeta *m)
{
    uint64_t fingerprint = GP_FINGERPRINT_START;
    for (size_t i = 0; i < m->n_blocks; i++)
        fingerprint = gp_block_fingerprint(fingerprint, &m->blocks[i]);
    return fingerprint;
}

static bool add_without_overflow(gp_counters *to, const gp_counters *c)
{
    return !(__builtin_add_overflow(to->bytes_rcvd, c->bytes_rcvd, &to->bytes_rcvd) ||
             __builtin_add_overflow(to->bytes_sent, c->bytes_sent, &to->bytes_sent) ||
             __builtin_add_overflow(to->pkts_rcvd, c->pkts_rcvd, &to->pkts_rcvd) ||
             __builtin_add_overflow(to->pkts_sent, c->pkts_sent, &to->pkts_sent));
}

/* ---- making -------------------------------------------------------------------------------------------- */

unsigned gp_topports_worth(const gp_blockmeta *m)
{
    uint64_t stored = 0;
    for (unsigned col = 0; col < GP_COL_COUNT; col++)
        stored += m->col_end[col];
    const uint64_t n = stored / STORED_EACH;
    if (n < LEAST_LISTED)
        return 0;
    return n < MOST_LISTED ? (unsigned)n : MOST_LISTED;
}

static void put_counters(gp_buf *out, const gp_counters *c)
{
    for (gp_rank r = GP_RANK_BYTES_RCVD; r <= GP_RANK_PKTS_SENT; r++)
        gp_varint_write(out, gp_rank_value(c, r));
}

/* Calls see the groups of [from, to) that are present, by rising place. */
static void for_each_group(const gp_portsums *p, uint32_t from, uint32_t to,
                           void (*see)(void *ctx, uint32_t place, const gp_counters *sum), void *ctx)
{
    for (uint32_t place = from; place < to; place++) {
        const gp_portsums_chunk *c = p->chunks[place / GP_PORTSUMS_CHUNK];
        if (!c)
            place |= GP_PORTSUMS_CHUNK - 1;
        else if (gp_portsums_has(c, place % GP_PORTSUMS_CHUNK))
            see(ctx, place, &c->sums[place % GP_PORTSUMS_CHUNK]);
    }
}

/* What is being made. */
typedef struct maker {
    gp_topn bytes, pkts;
    uint32_t *listed; /* places, rising */
    size_t n_listed;
    size_t next; /* of them, while groups are gone through in order */
    uint64_t bounds[GP_RANK_COUNT];
    gp_counters proto_sum;
    gp_counters day_sum;
    uint8_t ports[PORT_BYTES]; /* of a protocol */
    bool any_port, overflows;
} maker;

static void rank_group(void *ctx, uint32_t place, const gp_counters *sum)
{
    maker *m = ctx;
    gp_topn_offer(&m->bytes, gp_rank_value(sum, GP_RANK_BYTES), place);
    gp_topn_offer(&m->pkts, gp_rank_value(sum, GP_RANK_PKTS), place);
}

static int compare_places(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a;
    const uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void list_heaviest(maker *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->bytes.n; i++)
        m->listed[n++] = m->bytes.items[i].id;
    for (size_t i = 0; i < m->pkts.n; i++)
        m->listed[n++] = m->pkts.items[i].id;
    if (n)
        qsort(m->listed, n, sizeof *m->listed, compare_places);
    for (size_t i = 0; i < n; i++)
        if (m->n_listed == 0 || m->listed[m->n_listed - 1] != m->listed[i])
            m->listed[m->n_listed++] = m->listed[i];
}

static void bound_group(void *ctx, uint32_t place, const gp_counters *sum)
{
    maker *m = ctx;
    if (m->next < m->n_listed && m->listed[m->next] == place) {
        m->next++;
        return;
    }
    for (gp_rank r = 0; r < GP_RANK_COUNT; r++)
        if (gp_rank_value(sum, r) > m->bounds[r])
            m->bounds[r] = gp_rank_value(sum, r);
}

static void note_port(void *ctx, uint32_t place, const gp_counters *sum)
{
    maker *m = ctx;
    const uint32_t port = place % GP_PORTS;
    m->ports[port / 8] |= (uint8_t)(1u << port % 8);
    m->any_port = true;
    m->overflows |= !add_without_overflow(&m->proto_sum, sum);
}

/* Its number, sums, and the bits of its ports without the zero bytes at both ends. */
static size_t put_proto(maker *m, const gp_portsums *p, unsigned proto, gp_buf *raw)
{
    size_t first = 0;
    size_t end = PORT_BYTES;
    memset(m->ports, 0, sizeof m->ports);
    m->any_port = false;
    m->proto_sum = (gp_counters){0};
    for_each_group(p, proto * GP_PORTS, (proto + 1) * GP_PORTS, note_port, m);
    if (!m->any_port)
        return 0;
    while (m->ports[first] == 0)
        first++;
    while (m->ports[end - 1] == 0)
        end--;
    gp_varint_write(raw, proto);
    put_counters(raw, &m->proto_sum);
    gp_varint_write(raw, first);
    gp_varint_write(raw, end - first);
    gp_buf_add(raw, m->ports + first, end - first);
    m->overflows |= !add_without_overflow(&m->day_sum, &m->proto_sum);
    return 1;
}

static void put_protos(maker *m, const gp_portsums *p, gp_buf *raw)
{
    gp_buf protos = GP_BUF_INIT;
    size_t n = 0;
    for (unsigned proto = 0; proto < N_PROTOS; proto++)
        n += put_proto(m, p, proto, &protos);
    gp_varint_write(raw, n);
    gp_buf_add(raw, protos.data, protos.len);
    raw->failed = raw->failed || protos.failed;
    gp_buf_free(&protos);
}

static void put_raw(maker *m, const gp_portsums *p, unsigned worth, gp_buf *raw)
{
    const uint32_t all = N_PROTOS * GP_PORTS;
    uint32_t before = 0;
    for_each_group(p, 0, all, rank_group, m);
    list_heaviest(m);
    for_each_group(p, 0, all, bound_group, m);
    gp_varint_write(raw, worth);
    for (gp_rank r = 0; r < GP_RANK_COUNT; r++)
        gp_varint_write(raw, m->bounds[r]);
    put_protos(m, p, raw);
    gp_varint_write(raw, m->n_listed);
    for (size_t i = 0; i < m->n_listed; i++) {
        const uint32_t place = m->listed[i];
        gp_varint_write(raw, place - before);
        put_counters(raw, &p->chunks[place / GP_PORTSUMS_CHUNK]->sums[place % GP_PORTSUMS_CHUNK]);
        before = place;
    }
    uint64_t both;
    m->overflows |= __builtin_add_overflow(m->day_sum.bytes_rcvd, m->day_sum.bytes_sent, &both) ||
                    __builtin_add_overflow(m->day_sum.pkts_rcvd, m->day_sum.pkts_sent, &both);
}

gp_code gp_topports_seal(const gp_buf *raw, const gp_blockmeta *m, gp_codec *codec, gp_buf *out,
                         gp_error *err)
{
    const size_t bound = gp_codec_bound(GP_CODEC_ZSTD, raw->len);
    size_t len = 0;
    if (raw->failed || !gp_buf_reserve(out, HEADER + bound))
        return gp_fail(err, GP_ENOMEM, "out of memory for the ports of a day");
    uint8_t *file = (uint8_t *)out->data + out->len;
    gp_code code = gp_codec_compress(codec, GP_CODEC_ZSTD, LEVEL, (const uint8_t *)raw->data, raw->len,
                                     file + HEADER, bound, &len, err);
    if (code != GP_OK)
        return code;
    gp_store_be32(file + CHECK_SIZE, (uint32_t)raw->len);
    gp_store_be64(file,
                  gp_block_check(fingerprint_of(m), VERSION, file + CHECK_SIZE, HEADER - CHECK_SIZE + len));
    out->len += HEADER + len;
    return GP_OK;
}

gp_code gp_topports_encode(const gp_portsums *p, unsigned worth, const gp_blockmeta *meta, gp_codec *codec,
                           gp_buf *out, gp_error *err)
{
    gp_buf raw = GP_BUF_INIT;
    maker *m = calloc(1, sizeof *m);
    gp_code code = GP_OK;
    worth = worth < MOST_LISTED ? worth : MOST_LISTED;
    if (!m || !gp_topn_init(&m->bytes, worth) || !gp_topn_init(&m->pkts, worth) ||
        !(m->listed = calloc(2 * (size_t)worth, sizeof *m->listed)))
        code = gp_fail(err, GP_ENOMEM, "out of memory for the ports of a day");
    if (code == GP_OK)
        put_raw(m, p, worth, &raw);
    if (code == GP_OK && m->overflows)
        code = gp_fail(err, GP_ELIMIT, "the counters of the day are too large to be summed up");
    if (code == GP_OK && memcmp(&m->day_sum, &meta->sum.c, sizeof m->day_sum) != 0)
        code =
            gp_fail(err, GP_ECORRUPT, "the counters of its flows do not add up to the totals in .blockmeta");
    if (code == GP_OK)
        code = gp_topports_seal(&raw, meta, codec, out, err);
    if (m) {
        gp_topn_free(&m->bytes);
        gp_topn_free(&m->pkts);
        free(m->listed);
    }
    free(m);
    gp_buf_free(&raw);
    return code;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

struct gp_topports {
    size_t stored; /* bytes of the file */
    gp_buf raw;    /* decompressed */
    unsigned worth;
    uint64_t bounds[GP_RANK_COUNT];
    gp_topports_proto *protos;
    size_t n_protos;
    size_t listed; /* where the listed groups begin in raw */
};

static gp_counters take_counters(gp_wire_reader *c)
{
    gp_counters v;
    v.bytes_rcvd = gp_varint_read(c);
    v.bytes_sent = gp_varint_read(c);
    v.pkts_rcvd = gp_varint_read(c);
    v.pkts_sent = gp_varint_read(c);
    return v;
}

static void take_proto(gp_wire_reader *c, gp_topports_proto *p)
{
    const uint64_t proto = gp_varint_read(c);
    p->proto = (uint8_t)proto;
    p->sum = take_counters(c);
    const uint64_t first = gp_varint_read(c);
    const uint64_t n = gp_varint_read(c);
    c->bad = c->bad || proto >= N_PROTOS || first >= PORT_BYTES || n == 0 || n > PORT_BYTES - first;
    p->ports = gp_wire_take(c, n);
    p->first = (size_t)first;
    p->n = (size_t)n;
}

static gp_code take_protos(gp_topports *t, gp_wire_reader *c, gp_error *err)
{
    const uint64_t n = gp_varint_read(c);
    c->bad = c->bad || n > N_PROTOS;
    if (c->bad)
        return GP_OK;
    t->protos = calloc((size_t)n + 1, sizeof *t->protos);
    if (!t->protos)
        return gp_fail(err, GP_ENOMEM, "out of memory for the ports of a day");
    for (t->n_protos = 0; t->n_protos < n && !c->bad; t->n_protos++) {
        take_proto(c, &t->protos[t->n_protos]);
        c->bad =
            c->bad || (t->n_protos > 0 && t->protos[t->n_protos].proto <= t->protos[t->n_protos - 1].proto);
    }
    return GP_OK;
}

static bool has_port(const gp_topports_proto *p, uint32_t port)
{
    const size_t at = port / 8;
    return at >= p->first && at < p->first + p->n && (p->ports[at - p->first] >> port % 8 & 1);
}

static bool take_off(gp_counters *from, const gp_counters *c)
{
    return !(__builtin_sub_overflow(from->bytes_rcvd, c->bytes_rcvd, &from->bytes_rcvd) ||
             __builtin_sub_overflow(from->bytes_sent, c->bytes_sent, &from->bytes_sent) ||
             __builtin_sub_overflow(from->pkts_rcvd, c->pkts_rcvd, &from->pkts_rcvd) ||
             __builtin_sub_overflow(from->pkts_sent, c->pkts_sent, &from->pkts_sent));
}

/* Listed groups come in order, are present, and have no more than their protocol. */
static void check_listed(const gp_topports *t, gp_wire_reader *c)
{
    const gp_topports_proto *p = t->protos;
    const gp_topports_proto *end = t->protos + t->n_protos;
    gp_counters left = p < end ? p->sum : (gp_counters){0};
    uint64_t place = 0;
    const uint64_t n = gp_varint_read(c);
    for (uint64_t i = 0; i < n && !c->bad; i++) {
        const uint64_t gap = gp_varint_read(c);
        const gp_counters sum = take_counters(c);
        if ((gap == 0 && i > 0) || gap >= (uint64_t)N_PROTOS * GP_PORTS) {
            c->bad = true;
            return;
        }
        place += gap;
        for (; p < end && p->proto < place / GP_PORTS; left = p < end ? p->sum : left)
            p++;
        c->bad = c->bad || p == end || p->proto != place / GP_PORTS ||
                 !has_port(p, (uint32_t)(place % GP_PORTS)) || !take_off(&left, &sum);
    }
    c->bad = c->bad || c->at != c->end;
}

static gp_code parse(gp_topports *t, gp_error *err)
{
    gp_wire_reader c = {(const uint8_t *)t->raw.data, (const uint8_t *)t->raw.data + t->raw.len, false};
    const uint64_t worth = gp_varint_read(&c);
    c.bad = c.bad || worth == 0 || worth > MOST_LISTED;
    t->worth = (unsigned)worth;
    for (gp_rank r = 0; r < GP_RANK_COUNT; r++)
        t->bounds[r] = gp_varint_read(&c);
    gp_code code = take_protos(t, &c, err);
    if (code != GP_OK)
        return code;
    t->listed = (size_t)(c.at - (const uint8_t *)t->raw.data);
    if (!c.bad)
        check_listed(t, &c);
    return c.bad ? gp_fail(err, GP_ECORRUPT, "the list of ports contradicts itself") : GP_OK;
}

static gp_code unpack(gp_topports *t, const uint8_t *data, size_t len, const gp_blockmeta *m, gp_codec *codec,
                      gp_error *err)
{
    if (len <= HEADER ||
        gp_block_check(fingerprint_of(m), VERSION, data + CHECK_SIZE, len - CHECK_SIZE) != gp_load_be64(data))
        return gp_fail(err, GP_ECORRUPT, "the list of ports is damaged or of other blocks");
    const uint32_t raw_len = gp_load_be32(data + CHECK_SIZE);
    if (raw_len == 0 || raw_len > MOST_RAW || !gp_codec_can_hold(GP_CODEC_ZSTD, len - HEADER, raw_len))
        return gp_fail(err, GP_ECORRUPT, "a list of ports cannot have %u bytes", raw_len);
    if (!gp_buf_reserve(&t->raw, raw_len))
        return gp_fail(err, GP_ENOMEM, "out of memory for the ports of a day");
    t->raw.len = raw_len;
    t->stored = len;
    return gp_codec_decompress(codec, GP_CODEC_ZSTD, data + HEADER, len - HEADER, (uint8_t *)t->raw.data,
                               raw_len, err);
}

static bool has_totals(const gp_topports *t, const gp_counters *day)
{
    gp_counters sum = {0};
    for (size_t i = 0; i < t->n_protos; i++)
        if (!add_without_overflow(&sum, &t->protos[i].sum))
            return false;
    return memcmp(&sum, day, sizeof sum) == 0;
}

gp_code gp_topports_decode(const uint8_t *data, size_t len, const gp_blockmeta *m, gp_codec *codec,
                           gp_topports **out, gp_error *err)
{
    gp_topports *t = calloc(1, sizeof *t);
    if (!t)
        return gp_fail(err, GP_ENOMEM, "out of memory for the ports of a day");
    gp_code code = unpack(t, data, len, m, codec, err);
    if (code == GP_OK)
        code = parse(t, err);
    if (code == GP_OK && !has_totals(t, &m->sum.c))
        code = gp_fail(err, GP_ECORRUPT, "the list of ports contradicts the totals of the day");
    if (code != GP_OK) {
        gp_topports_free(t);
        return code;
    }
    *out = t;
    return GP_OK;
}

void gp_topports_free(gp_topports *t)
{
    if (!t)
        return;
    gp_buf_free(&t->raw);
    free(t->protos);
    free(t);
}

size_t gp_topports_memory(const gp_topports *t)
{
    return sizeof *t + t->raw.cap + (t->n_protos + 1) * sizeof *t->protos;
}

size_t gp_topports_stored(const gp_topports *t)
{
    return t->stored;
}

size_t gp_topports_raw(const gp_topports *t)
{
    return t->raw.len;
}

unsigned gp_topports_listed_for(const gp_topports *t)
{
    return t->worth;
}

bool gp_topports_same(const gp_topports *a, const gp_topports *b)
{
    return a->raw.len == b->raw.len && memcmp(a->raw.data, b->raw.data, a->raw.len) == 0;
}

uint64_t gp_topports_bound(const gp_topports *t, gp_rank r)
{
    return t->bounds[r];
}

size_t gp_topports_n_protos(const gp_topports *t)
{
    return t->n_protos;
}

const gp_topports_proto *gp_topports_protos(const gp_topports *t)
{
    return t->protos;
}

gp_topports_iter gp_topports_listed(const gp_topports *t)
{
    gp_wire_reader c = {(const uint8_t *)t->raw.data + t->listed, (const uint8_t *)t->raw.data + t->raw.len,
                        false};
    (void)gp_varint_read(&c); /* how many: up to the end */
    return (gp_topports_iter){.at = c.at, .end = c.end};
}

bool gp_topports_next(gp_topports_iter *it)
{
    gp_wire_reader c = {it->at, it->end, false};
    if (c.at == c.end)
        return false;
    it->place += (uint32_t)gp_varint_read(&c);
    it->sum = take_counters(&c);
    it->at = c.at;
    return !c.bad;
}

gp_topports *gp_day_topports(gp_day *d, gp_codec *codec)
{
    gp_buf file = GP_BUF_INIT;
    gp_topports *t = NULL;
    gp_day_read_additional(d, GP_TOPPORTS_FILE, MOST_FILE, &file);
    if (file.len)
        (void)gp_topports_decode((const uint8_t *)file.data, file.len, gp_day_meta(d), codec, &t, NULL);
    gp_buf_free(&file);
    return t;
}

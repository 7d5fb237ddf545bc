/*
 * gp-netflow DB IFACE PORT [FLOWS-PER-SECOND]: exports a database as NetFlow version 9 (RFC 3954) to a
 * collector on 127.0.0.1, so that other tools can be measured on the same flows. Not installed.
 */
#include "sensor/godb/reader.h"

#include "sensor/godb/bitpack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    PACKET = 8 << 10, /* bytes; loopback carries more, collectors may not */
    TEMPLATE_V4 = 256,
    TEMPLATE_V6 = 257,
    TEMPLATES_EVERY = 500, /* packets */
    UPTIME_MS = 3600000    /* of the exporter that we pretend to be */
};

typedef struct exporter {
    int fd;
    uint8_t packet[PACKET];
    size_t len;
    size_t set; /* where the open flow set starts; 0: none */
    unsigned records;
    uint32_t sequence;
    int64_t ts; /* of the flows at hand */
    unsigned long long flows;
    double per_second;
    struct timespec start;
} exporter;

static void put(exporter *e, uint64_t v, unsigned bytes)
{
    while (bytes-- > 0)
        e->packet[e->len++] = (uint8_t)(v >> (8 * bytes));
}

static void poke16(exporter *e, size_t at, size_t v)
{
    e->packet[at] = (uint8_t)(v >> 8);
    e->packet[at + 1] = (uint8_t)v;
}

static void close_set(exporter *e)
{
    while (e->set && e->len % 4 != 0)
        e->packet[e->len++] = 0;
    if (e->set)
        poke16(e, e->set + 2, e->len - e->set);
    e->set = 0;
}

static void put_template(exporter *e, unsigned id, unsigned addr, unsigned from, unsigned to)
{
    const unsigned fields[][2] = {{from, addr}, {to, addr}, {11, 2}, {4, 1},  {1, 8},
                                  {2, 8},       {23, 8},    {24, 8}, {22, 4}, {21, 4}};
    put(e, id, 2);
    put(e, sizeof fields / sizeof fields[0], 2);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        put(e, fields[i][0], 2);
        put(e, fields[i][1], 2);
    }
    e->records++;
}

static void begin_packet(exporter *e)
{
    e->len = e->set = 0;
    e->records = 0;
    put(e, 9, 2);
    put(e, 0, 2); /* records, once known */
    put(e, UPTIME_MS, 4);
    put(e, (uint64_t)e->ts, 4);
    put(e, e->sequence, 4);
    put(e, 1, 4); /* source */
    if (e->sequence % TEMPLATES_EVERY == 0) {
        e->set = e->len;
        put(e, 0, 4);
        put_template(e, TEMPLATE_V4, 4, 8, 12);
        put_template(e, TEMPLATE_V6, 16, 27, 28);
        close_set(e);
    }
    e->sequence++;
}

/* Not faster than asked for: a collector that cannot follow loses packets. */
static void pace(const exporter *e)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double passed = (double)(now.tv_sec - e->start.tv_sec) + 1e-9 * (double)(now.tv_nsec - e->start.tv_nsec);
    double ahead = (double)e->flows / e->per_second - passed;
    if (ahead > 0.002)
        usleep((useconds_t)(ahead * 1e6));
}

static gp_code send_packet(exporter *e, gp_error *err)
{
    if (e->records == 0)
        return GP_OK;
    close_set(e);
    poke16(e, 2, e->records);
    if (send(e->fd, e->packet, e->len, 0) != (ssize_t)e->len)
        return gp_fail_errno(err, errno, "cannot send to the collector");
    pace(e);
    begin_packet(e);
    return GP_OK;
}

typedef struct block_columns {
    gp_buf raw[GP_COL_COUNT];
    gp_packed_column counters[4];
} block_columns;

static void put_flow(exporter *e, const block_columns *c, const gp_block_info *info, size_t row)
{
    static const unsigned order[4] = {0, 2, 1, 3}; /* bytes and packets in, bytes and packets out */
    bool v6 = row >= info->n_v4;
    size_t len = v6 ? 16 : 4;
    size_t at = v6 ? (size_t)info->n_v4 * 4 + (row - (size_t)info->n_v4) * 16 : row * 4;
    memcpy(e->packet + e->len, c->raw[GP_COL_SIP].data + at, len);
    memcpy(e->packet + e->len + len, c->raw[GP_COL_DIP].data + at, len);
    e->len += 2 * len;
    memcpy(e->packet + e->len, c->raw[GP_COL_DPORT].data + 2 * row, 2);
    e->len += 2;
    put(e, (uint8_t)c->raw[GP_COL_PROTO].data[row], 1);
    for (unsigned k = 0; k < 4; k++)
        put(e, gp_packed_at(&c->counters[order[k]], row), 8);
    put(e, UPTIME_MS - 300000, 4);
    put(e, UPTIME_MS, 4);
    e->records++;
    e->flows++;
}

static gp_code export_block(exporter *e, block_columns *c, const gp_block_info *info, gp_error *err)
{
    enum { LARGEST = 96 }; /* bytes of a record, and a new flow set */
    gp_code code = GP_OK;
    e->ts = info->ts;
    begin_packet(e);
    for (size_t row = 0; row < info->n_v4 + info->n_v6 && code == GP_OK; row++) {
        if (row == info->n_v4)
            close_set(e);
        if (e->len + LARGEST > PACKET)
            code = send_packet(e, err);
        if (!e->set) {
            e->set = e->len;
            put(e, row < info->n_v4 ? TEMPLATE_V4 : TEMPLATE_V6, 2);
            put(e, 0, 2); /* length, once known */
        }
        put_flow(e, c, info, row);
    }
    if (code == GP_OK)
        code = send_packet(e, err);
    e->sequence--; /* of the packet that was begun, but holds nothing */
    return code;
}

static gp_code export_day(exporter *e, gp_day *day, gp_codec *codec, block_columns *c, gp_error *err)
{
    const gp_blockmeta *m = gp_day_meta(day);
    gp_code code = GP_OK;
    for (size_t b = 0; b < m->n_blocks && code == GP_OK; b++) {
        for (unsigned col = 0; col < GP_COL_COUNT && code == GP_OK; col++) {
            code = gp_day_read_column(day, codec, b, (gp_column)col, &c->raw[col], err);
            if (code == GP_OK)
                code = gp_block_check_column(&m->blocks[b], (gp_column)col, (uint8_t *)c->raw[col].data,
                                             c->raw[col].len, err);
            if (code == GP_OK && col >= GP_COL_ATTR_COUNT)
                c->counters[col - GP_COL_ATTR_COUNT] = gp_packed((uint8_t *)c->raw[col].data);
        }
        if (code == GP_OK)
            code = export_block(e, c, &m->blocks[b], err);
    }
    return code;
}

static gp_code export_all(exporter *e, const char *db, const char *iface, gp_error *err)
{
    gp_day_ref *days = NULL;
    size_t n = 0;
    gp_codec *codec = NULL;
    block_columns c = {0};
    gp_code code = gp_codec_new(&codec, err);
    if (code == GP_OK)
        code = gp_db_list_days(db, iface, INT64_MIN, INT64_MAX, &days, &n, err);
    for (size_t i = 0; i < n && code == GP_OK; i++) {
        gp_day *day = NULL;
        code = gp_day_open(&day, db, iface, days[i].day, err);
        if (code == GP_OK)
            code = export_day(e, day, codec, &c, err);
        gp_day_close(day);
    }
    for (unsigned col = 0; col < GP_COL_COUNT; col++)
        gp_buf_free(&c.raw[col]);
    gp_codec_free(codec);
    free(days);
    return code;
}

int main(int argc, char **argv)
{
    static exporter e;
    gp_error err = GP_ERROR_INIT;
    if (argc < 4) {
        fprintf(stderr, "usage: gp-netflow DB IFACE PORT [FLOWS-PER-SECOND]\n");
        return 2;
    }
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                   .sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10))};
    e.per_second = argc > 4 ? strtod(argv[4], NULL) : 200000;
    clock_gettime(CLOCK_MONOTONIC, &e.start);
    e.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    gp_code code = GP_OK;
    if (e.fd < 0 || connect(e.fd, (const struct sockaddr *)&to, sizeof to) != 0)
        code = gp_fail_errno(&err, errno, "cannot reach the collector");
    if (code == GP_OK)
        code = export_all(&e, argv[1], argv[2], &err);
    if (e.fd >= 0)
        close(e.fd);
    if (code != GP_OK)
        fprintf(stderr, "gp-netflow: %s\n", err.msg);
    else
        printf("%llu\n", e.flows);
    return code == GP_OK ? 0 : 1;
}

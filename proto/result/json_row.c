#include "proto/result/json_row.h"

#include "proto/query/timeparse.h"
#include "proto/result/strpool.h"

#include <string.h>

/* Where reading stands. Once a step does not fit, `at` is NULL and every further step does nothing. */
typedef struct cursor {
    const char *at, *end;
} cursor;

/* The text comes next, and is passed over. */
#define NEXT_IS(c, text) next_is(c, text, sizeof(text) - 1)

static inline bool next_is(cursor *c, const char *text, size_t len)
{
    if (!c->at || (size_t)(c->end - c->at) < len || memcmp(c->at, text, len) != 0)
        return false;
    c->at += len;
    return true;
}

static inline void expect(cursor *c, const char *text, size_t len)
{
    if (!next_is(c, text, len))
        c->at = NULL;
}

/* Up to the closing quote, which is passed over. Escapes are not for us. */
static inline const char *plain_string(cursor *c, size_t *len)
{
    const char *start = c->at;
    const char *p = start;
    if (!p)
        return NULL;
    while (p < c->end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
        p++;
    *len = (size_t)(p - start);
    c->at = p < c->end && *p == '"' ? p + 1 : NULL;
    return c->at ? start : NULL;
}

/* Between two members. */
static inline void separator(cursor *c)
{
    if (c->at && (c->at == c->end || *c->at != '}'))
        expect(c, ",", 1);
}

/* Digits of a number below 10^19, without leading zeros, signs and fractions. */
static inline uint64_t number(cursor *c)
{
    enum { MAX_DIGITS = 19 };
    const char *p = c->at;
    uint64_t v = 0;
    if (!p)
        return 0;
    while (p < c->end && *p >= '0' && *p <= '9' && p - c->at < MAX_DIGITS)
        v = v * 10 + (uint64_t)(*p++ - '0');
    bool more = p < c->end && ((*p >= '0' && *p <= '9') || *p == '.' || *p == 'e' || *p == 'E');
    bool leading_zero = p - c->at > 1 && *c->at == '0';
    c->at = p == c->at || more || leading_zero ? NULL : p;
    return v;
}

static const char *label(cursor *c, gp_row_reader *r, gp_label_text *last)
{
    size_t len;
    const char *text = plain_string(c, &len);
    if (!text)
        return NULL;
    if (last->interned && last->len == len && memcmp(last->interned, text, len) == 0)
        return last->interned;
    if (!r->result->pool)
        r->result->pool = gp_strpool_new();
    last->interned = r->result->pool ? gp_strpool_add(r->result->pool, text, len) : NULL;
    last->len = len;
    if (!last->interned)
        c->at = NULL;
    return last->interned;
}

static int64_t timestamp(cursor *c, gp_row_reader *r)
{
    size_t len;
    const char *text = plain_string(c, &len);
    gp_time t = {0};
    if (!text)
        return 0;
    if (len == r->timestamp_len && memcmp(text, r->timestamp, len) == 0)
        return r->ts;
    if (len >= sizeof r->timestamp) {
        c->at = NULL;
        return 0;
    }
    memcpy(r->timestamp, text, len);
    r->timestamp[len] = '\0';
    r->timestamp_len = len;
    if (text[0] == '0' || !gp_time_parse_rfc3339(r->timestamp, &t.sec, &t.nsec)) {
        r->timestamp_len = 0;
        c->at = NULL;
    }
    r->ts = t.sec;
    return t.sec;
}

/* A dotted quad and the closing quote, as inet_pton takes it; otherwise nothing is passed over. */
static inline bool dotted_quad(cursor *c, gp_addr *out)
{
    const char *p = c->at;
    uint8_t bytes[4];
    for (unsigned i = 0; i < sizeof bytes; i++) {
        unsigned v = 0;
        const char *start = p;
        while (p < c->end && (unsigned char)(*p - '0') < 10 && p - start < 3)
            v = v * 10 + (unsigned)(*p++ - '0');
        if (p == start || p == c->end || v > 255 || (p - start > 1 && *start == '0') ||
            *p++ != (i < 3 ? '.' : '"'))
            return false;
        bytes[i] = (uint8_t)v;
    }
    *out = (gp_addr){.len = 4};
    memcpy(out->bytes, bytes, sizeof bytes);
    c->at = p;
    return true;
}

static void address(cursor *c, gp_addr *out)
{
    size_t len;
    if (c->at && dotted_quad(c, out))
        return;
    const char *text = plain_string(c, &len);
    if (text && !gp_addr_parse(text, len, out))
        c->at = NULL;
}

static uint64_t bounded(cursor *c, uint64_t max)
{
    uint64_t v = number(c);
    if (v > max)
        c->at = NULL;
    return v;
}

static void labels(cursor *c, gp_row_reader *r, gp_row *row)
{
    if (NEXT_IS(c, "\"timestamp\":\"")) {
        row->ts = timestamp(c, r);
        separator(c);
    }
    if (NEXT_IS(c, "\"iface\":\"")) {
        row->iface = label(c, r, &r->iface);
        separator(c);
    }
    if (NEXT_IS(c, "\"host\":\"")) {
        row->host = label(c, r, &r->host);
        separator(c);
    }
    if (NEXT_IS(c, "\"host_id\":\""))
        row->hostid = label(c, r, &r->hostid);
}

static void attributes(cursor *c, gp_row *row)
{
    if (NEXT_IS(c, "\"sip\":\"")) {
        address(c, &row->sip);
        separator(c);
    }
    if (NEXT_IS(c, "\"dip\":\"")) {
        address(c, &row->dip);
        separator(c);
    }
    if (NEXT_IS(c, "\"proto\":")) {
        row->proto = (uint8_t)bounded(c, UINT8_MAX);
        separator(c);
    }
    if (NEXT_IS(c, "\"dport\":"))
        row->dport = (uint16_t)bounded(c, UINT16_MAX);
}

static void counters(cursor *c, gp_counters *to)
{
    if (NEXT_IS(c, "\"br\":")) {
        to->bytes_rcvd = number(c);
        separator(c);
    }
    if (NEXT_IS(c, "\"bs\":")) {
        to->bytes_sent = number(c);
        separator(c);
    }
    if (NEXT_IS(c, "\"pr\":")) {
        to->pkts_rcvd = number(c);
        separator(c);
    }
    if (NEXT_IS(c, "\"ps\":"))
        to->pkts_sent = number(c);
}

/* A comma before a brace is no JSON; it is noticed because the byte before the brace is looked at. */
static void close_object(cursor *c, const char *text, size_t len)
{
    if (c->at && c->at[-1] == ',')
        c->at = NULL;
    expect(c, text, len);
}
#define CLOSE(c, text) close_object(c, text, sizeof(text) - 1)

const char *gp_row_read(gp_row_reader *r, const char *at, const char *end, gp_row *row)
{
    cursor c = {at, end};
    *row = (gp_row){0};
    expect(&c, "{\"labels\":{", sizeof "{\"labels\":{" - 1);
    labels(&c, r, row);
    CLOSE(&c, "},\"attributes\":{");
    attributes(&c, row);
    CLOSE(&c, "},\"counters\":{");
    counters(&c, &row->c);
    CLOSE(&c, "}}");
    return c.at;
}

#include "client/gpdb/schema.h"

#include "proto/base/strlist.h"
#include "proto/query/protocols.h"
#include "sensor/godb/blockmeta.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const names[GP_CSV_FIELDS] = {
    [GP_CSV_TIME] = "time",
    [GP_CSV_IFACE] = "iface",
    [GP_CSV_SIP] = "sip",
    [GP_CSV_DIP] = "dip",
    [GP_CSV_DPORT] = "dport",
    [GP_CSV_PROTO] = "proto",
    [GP_CSV_PKTS_RCVD] = "packets received",
    [GP_CSV_PKTS_SENT] = "packets sent",
    [GP_CSV_BYTES_RCVD] = "data vol. received",
    [GP_CSV_BYTES_SENT] = "data vol. sent",
};

const char *gp_csv_field_name(gp_csv_field f)
{
    return names[f];
}

static char *trim(char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    size_t len = strlen(s);
    while (len && isspace((unsigned char)s[len - 1]))
        len--;
    s[len] = '\0';
    return s;
}

/* ---- schema -------------------------------------------------------------------------------------------- */

gp_code gp_schema_from_names(char *const *fields, size_t n, gp_schema *out, gp_error *err)
{
    bool any = false;
    for (size_t f = 0; f < GP_CSV_FIELDS; f++)
        out->at[f] = -1;
    out->min_fields = 0;
    if (n > GP_SCHEMA_MAX)
        return gp_fail(err, GP_EINVAL, "%zu fields are too many", n);
    for (size_t i = 0; i < n; i++) {
        const char *name = trim(fields[i]);
        for (size_t f = 0; f < GP_CSV_FIELDS; f++) {
            if (strcasecmp(name, names[f]) != 0)
                continue;
            any = true;
            out->at[f] = (int)i;
            out->min_fields = i + 1;
        }
    }
    if (!any)
        return gp_fail(err, GP_EINVAL,
                       "not a single field can be parsed in the provided schema (known are time, iface, "
                       "sip, dip, dport, proto, packets received, packets sent, data vol. received, "
                       "data vol. sent)");
    if (out->at[GP_CSV_TIME] < 0)
        return gp_fail(err, GP_EINVAL, "schema does not contain required `time` field");
    return GP_OK;
}

gp_code gp_schema_parse(const char *text, gp_schema *out, gp_error *err)
{
    char **list = NULL;
    size_t n = 0;
    gp_code code = GP_OK;
    char *copy = strdup(text);
    if (!copy)
        return gp_fail(err, GP_ENOMEM, "out of memory for a schema");
    char *rest = copy;
    for (char *name; code == GP_OK && (name = strsep(&rest, ","));)
        code = gp_strlist_add(&list, &n, name, err);
    if (code == GP_OK)
        code = gp_schema_from_names(list, n, out, err);
    gp_strlist_free(list, n);
    free(copy);
    return code;
}

/* ---- a record ------------------------------------------------------------------------------------------ */

static bool parse_number(const char *text, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(v, UINT64_C(10), &v) ||
            __builtin_add_overflow(v, (uint64_t)(*text - '0'), &v))
            return false;
    }
    *out = v;
    return v <= max;
}

/* UNIX seconds after 1970, as blocks may have them. */
static bool parse_time(const char *text, int64_t *out)
{
    uint64_t v;
    if (*text == '+')
        text++;
    if (!parse_number(text, GP_BLOCK_TS_MAX, &v) || v == 0)
        return false;
    *out = (int64_t)v;
    return true;
}

/* A mapped address written with dots (::ffff:10.0.0.1) is the IPv4 address, as in v4; one in hexadecimal
 * stays an IPv6 address, which is how gpdb exports it. */
static bool parse_addr(const char *text, gp_addr *out)
{
    size_t len = strlen(text);
    if (!gp_addr_parse(text, len, out))
        return false;
    if (gp_addr_is_mapped(out) && memchr(text, '.', len))
        *out = gp_addr_from_bytes(out->bytes + 12, 4);
    return true;
}

static bool parse_proto(const char *text, uint8_t *out)
{
    uint64_t v;
    if (!parse_number(text, UINT8_MAX, &v))
        return gp_protocol_number(text, out);
    *out = (uint8_t)v;
    return true;
}

static bool parse_port(const char *text, uint16_t *out)
{
    uint64_t v;
    if (!parse_number(text, UINT16_MAX, &v))
        return false;
    *out = (uint16_t)v;
    return true;
}

static bool parse_field(gp_csv_field f, const char *text, gp_csv_row *row)
{
    gp_flow *flow = &row->flow;
    switch (f) {
    case GP_CSV_TIME:
        return parse_time(text, &row->ts);
    case GP_CSV_IFACE:
        row->iface = text;
        return true;
    case GP_CSV_SIP:
        return parse_addr(text, &flow->sip);
    case GP_CSV_DIP:
        return parse_addr(text, &flow->dip);
    case GP_CSV_DPORT:
        return parse_port(text, &flow->dport);
    case GP_CSV_PROTO:
        return parse_proto(text, &flow->proto);
    case GP_CSV_PKTS_RCVD:
        return parse_number(text, UINT64_MAX, &flow->c.pkts_rcvd);
    case GP_CSV_PKTS_SENT:
        return parse_number(text, UINT64_MAX, &flow->c.pkts_sent);
    case GP_CSV_BYTES_RCVD:
        return parse_number(text, UINT64_MAX, &flow->c.bytes_rcvd);
    default:
        return parse_number(text, UINT64_MAX, &flow->c.bytes_sent);
    }
}

/* An address that the schema lacks is that of all zeros, of the other one's family. */
static gp_code complete_addrs(const gp_schema *s, gp_flow *flow, gp_error *err)
{
    if (s->at[GP_CSV_SIP] < 0)
        flow->sip.len = s->at[GP_CSV_DIP] < 0 ? 4 : flow->dip.len;
    if (s->at[GP_CSV_DIP] < 0)
        flow->dip.len = flow->sip.len;
    if (flow->sip.len != flow->dip.len)
        return gp_fail(err, GP_EINVAL, "sip and dip are of different IP versions");
    return GP_OK;
}

static gp_code check_iface(const char *iface, gp_error *err)
{
    if (!*iface)
        return gp_fail(err, GP_EINVAL, "the interface is empty");
    if (strpbrk(iface, "/\\") || iface[0] == '.')
        return gp_fail(err, GP_EINVAL, "iface: '%.80s' cannot be the name of an interface", iface);
    return GP_OK;
}

gp_code gp_schema_row(const gp_schema *s, char *const *fields, size_t n, const char *default_iface,
                      gp_csv_row *out, gp_error *err)
{
    *out = (gp_csv_row){.iface = default_iface};
    if (n < s->min_fields)
        return gp_fail(err, GP_EINVAL, "%zu fields instead of %zu", n, s->min_fields);
    for (size_t f = 0; f < GP_CSV_FIELDS; f++) {
        if (s->at[f] < 0)
            continue;
        const char *text = trim(fields[s->at[f]]);
        if (!parse_field((gp_csv_field)f, text, out))
            return gp_fail(err, GP_EINVAL, "%s: '%.*s' cannot be read", names[f], (int)strcspn(text, "\r\n"),
                           text);
    }
    gp_code code = check_iface(out->iface, err);
    return code == GP_OK ? complete_addrs(s, &out->flow, err) : code;
}

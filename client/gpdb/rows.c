#include "client/gpdb/rows.h"

#include "client/gpdb/schema.h"
#include "proto/query/protocols.h"

#include <string.h>

/* ---- CSV: what gpdb import reads ----------------------------------------------------------------------- */

static void csv_begin(gp_buf *out)
{
    for (unsigned f = 0; f < GP_CSV_FIELDS; f++) {
        gp_buf_puts(out, f ? "," : "");
        gp_buf_puts(out, gp_csv_field_name((gp_csv_field)f));
    }
    gp_buf_putc(out, '\n');
}

/* Names of interfaces are whatever the system allows. */
static void csv_text(gp_buf *out, const char *s)
{
    if (!strpbrk(s, "\",\r\n")) {
        gp_buf_puts(out, s);
        return;
    }
    gp_buf_putc(out, '"');
    for (; *s; s++) {
        gp_buf_puts(out, *s == '"' ? "\"" : "");
        gp_buf_putc(out, *s);
    }
    gp_buf_putc(out, '"');
}

/* Mapped addresses in hexadecimal: gpdb import would take those with dots for IPv4. */
static void put_addr(gp_buf *out, const gp_addr *a)
{
    char text[GP_ADDR_STRLEN];
    gp_buf_add(out, text, gp_addr_format_hex(a, text));
}

static void csv_number(gp_buf *out, uint64_t v)
{
    gp_buf_putc(out, ',');
    gp_buf_u64(out, v);
}

static void csv_row(gp_buf *out, int64_t ts, const char *iface, const gp_flow *f)
{
    gp_buf_i64(out, ts);
    gp_buf_putc(out, ',');
    csv_text(out, iface);
    gp_buf_putc(out, ',');
    put_addr(out, &f->sip);
    gp_buf_putc(out, ',');
    put_addr(out, &f->dip);
    csv_number(out, f->dport);
    csv_number(out, f->proto);
    csv_number(out, f->c.pkts_rcvd);
    csv_number(out, f->c.pkts_sent);
    csv_number(out, f->c.bytes_rcvd);
    csv_number(out, f->c.bytes_sent);
    gp_buf_putc(out, '\n');
}

/* ---- JSON lines ---------------------------------------------------------------------------------------- */

static void no_begin(gp_buf *out)
{
    (void)out;
}

static void json_number(gp_buf *out, const char *name, uint64_t v)
{
    gp_buf_puts(out, name);
    gp_buf_u64(out, v);
}

static void json_row(gp_buf *out, int64_t ts, const char *iface, const gp_flow *f)
{
    gp_buf_puts(out, "{\"time\":");
    gp_buf_i64(out, ts);
    gp_buf_puts(out, ",\"iface\":");
    gp_buf_json_str(out, iface);
    gp_buf_puts(out, ",\"sip\":\"");
    put_addr(out, &f->sip);
    gp_buf_puts(out, "\",\"dip\":\"");
    put_addr(out, &f->dip);
    json_number(out, "\",\"dport\":", f->dport);
    json_number(out, ",\"proto\":", f->proto);
    json_number(out, ",\"bytes_rcvd\":", f->c.bytes_rcvd);
    json_number(out, ",\"bytes_sent\":", f->c.bytes_sent);
    json_number(out, ",\"pkts_rcvd\":", f->c.pkts_rcvd);
    json_number(out, ",\"pkts_sent\":", f->c.pkts_sent);
    gp_buf_puts(out, "}\n");
}

/* ---- RowBinaryWithNamesAndTypes (ClickHouse, "Formats for input and output data") ---------------------- */

/* LEB128, unsigned. */
static void put_varint(gp_buf *out, uint64_t v)
{
    for (; v > 0x7f; v >>= 7)
        gp_buf_putc(out, (char)(v | 0x80));
    gp_buf_putc(out, (char)v);
}

static void put_string(gp_buf *out, const char *s)
{
    put_varint(out, strlen(s));
    gp_buf_puts(out, s);
}

static void binary_begin(gp_buf *out)
{
    static const char *const columns[][2] = {{"time", "DateTime('UTC')"},
                                             {"iface", "String"},
                                             {"sip", "IPv6"},
                                             {"dip", "IPv6"},
                                             {"dport", "UInt16"},
                                             {"proto", "UInt8"},
                                             {"bytes_rcvd", "UInt64"},
                                             {"bytes_sent", "UInt64"},
                                             {"pkts_rcvd", "UInt64"},
                                             {"pkts_sent", "UInt64"}};
    enum { N = sizeof columns / sizeof columns[0] };
    put_varint(out, N);
    for (size_t i = 0; i < N; i++)
        put_string(out, columns[i][0]);
    for (size_t i = 0; i < N; i++)
        put_string(out, columns[i][1]);
}

/* IPv4 addresses as IPv6 ones that they are mapped to (RFC 4291, 2.5.5.2). */
static void binary_addr(gp_buf *out, const gp_addr *a)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (a->len == 4)
        gp_buf_add(out, mapped, sizeof mapped);
    gp_buf_add(out, a->bytes, a->len);
}

static void binary_row(gp_buf *out, int64_t ts, const char *iface, const gp_flow *f)
{
    uint32_t seconds = (uint32_t)ts;
    gp_buf_add(out, &seconds, sizeof seconds);
    put_string(out, iface);
    binary_addr(out, &f->sip);
    binary_addr(out, &f->dip);
    gp_buf_add(out, &f->dport, sizeof f->dport);
    gp_buf_add(out, &f->proto, sizeof f->proto);
    gp_buf_add(out, &f->c, sizeof f->c); /* in this order, little-endian */
}

gp_code gp_row_format_find(const char *name, const gp_row_format **out, gp_error *err)
{
    static const gp_row_format formats[] = {
        {"csv", csv_begin, csv_row}, {"json", no_begin, json_row}, {"rowbinary", binary_begin, binary_row}};
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (strcmp(formats[i].name, name) == 0) {
            *out = &formats[i];
            return GP_OK;
        }
    return gp_fail(err, GP_EINVAL, "--format: '%s' is none of csv, json and rowbinary", name);
}

/* CSV of gpdb: records, schemas, rows. Answers marked v4 are those of goProbe v4's gpdb to the same
 * input, run beside ours. */
#include "client/gpdb/csv.h"
#include "client/gpdb/flowset.h"
#include "client/gpdb/rows.h"
#include "client/gpdb/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static int file_of(const char *data, size_t len)
{
    int fd = memfd_create("csv", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

/* All records as "field|field;field;", or the error. */
static char *read_text(const char *text)
{
    gp_buf out = GP_BUF_INIT;
    gp_csv *csv = NULL;
    gp_error err = GP_ERROR_INIT;
    char *const *fields = NULL;
    size_t n = 0;
    int fd = file_of(text, strlen(text));
    assert_int_equal(gp_csv_new(&csv, fd, NULL), GP_OK);
    gp_code code = gp_csv_next(csv, &fields, &n, &err);
    for (; code == GP_OK && n; code = gp_csv_next(csv, &fields, &n, &err)) {
        for (size_t i = 0; i < n; i++)
            gp_buf_printf(&out, "%s%s", i ? "|" : "", fields[i]);
        gp_buf_putc(&out, ';');
    }
    if (code != GP_OK)
        gp_buf_printf(&out, "!%s", err.msg);
    gp_csv_free(csv);
    close(fd);
    return gp_buf_detach(&out);
}

static void records(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"a,b\n", "a|b;"},
        {"a,b", "a|b;"},
        {"a,,\n,\n", "a||;|;"},
        {"\n\r\na\r\n\r\nb\r", "a;b;"},
        {"\"a\",\"b,c\",\"\"\n", "a|b,c|;"},
        {"\"a\"\"b\",c\n", "a\"b|c;"},
        {"\"a\nb\r\n\nc\"\nd", "a\nb\n\nc;d;"},
        {" \"a\"\n", "!parse error on line 1, column 2: bare \" in a field that is not quoted"}, /* v4 */
        {"x\na,b\"c\n", "x;!parse error on line 2, column 4: bare \" in a field that is not quoted"},
        {"\"a\"b\n", "!parse error on line 1, column 3: extraneous or missing \" in a quoted field"},
        {"\"a\nb\"c\n",
         "!record on line 1; parse error on line 2, column 2: extraneous or missing \" in a quoted field"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *got = read_text(cases[i][0]);
        assert_string_equal(got ? got : "", cases[i][1]);
        free(got);
    }
}

static void long_records(void **state)
{
    (void)state;
    enum { BIG = 300000 };
    char *text = malloc(2 * GP_CSV_RECORD_MAX + 64);
    assert_non_null(text);
    memset(text, 'x', BIG);
    strcpy(text + BIG, ",y\nz\n"); /* far more than one read */
    char *got = read_text(text);
    assert_int_equal(strlen(got), BIG + 5);
    assert_string_equal(got + BIG, "|y;z;");
    free(got);
    memset(text, 'x', 2 * GP_CSV_RECORD_MAX);
    text[2 * GP_CSV_RECORD_MAX] = '\0';
    got = read_text(text);
    assert_string_equal(got, "!line 1 is longer than 1048576 bytes");
    free(got);
    text[0] = '"';
    for (size_t i = 1000; i < 2 * GP_CSV_RECORD_MAX; i += 1000)
        text[i] = '\n';
    got = read_text(text);
    assert_string_equal(got, "!the record on line 1 is longer than 1048576 bytes");
    free(got);
    free(text);
}

static void schemas(void **state)
{
    (void)state;
    gp_schema s;
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(gp_schema_parse("x, Time ,SIP,,packets sent,time", &s, &err), GP_OK);
    assert_int_equal(s.at[GP_CSV_TIME], 5);
    assert_int_equal(s.at[GP_CSV_SIP], 2);
    assert_int_equal(s.at[GP_CSV_PKTS_SENT], 4);
    assert_int_equal(s.at[GP_CSV_DIP], -1);
    assert_int_equal(s.min_fields, 6);
    assert_int_equal(gp_schema_parse("sip,dip", &s, &err), GP_EINVAL);
    assert_string_equal(err.msg, "schema does not contain required `time` field"); /* v4 */
    assert_int_equal(gp_schema_parse("a,b", &s, &err), GP_EINVAL);
    assert_non_null(strstr(err.msg, "not a single field can be parsed in the provided schema")); /* v4 */
}

typedef struct row_case {
    const char *row;  /* of time,iface,sip,dip,dport,proto,packets sent; fields split at blanks */
    const char *want; /* as CSV, or the error */
} row_case;

static void rows(void **state)
{
    (void)state;
    static const row_case cases[] = {
        {"1700000100 eth0 10.0.0.1 10.0.0.2 443 6 7", "1700000100,eth0,10.0.0.1,10.0.0.2,443,6,0,7,0,0\n"},
        {"+5 e 2001:db8::1 ::1 65535 udp 18446744073709551615",
         "5,e,2001:db8::1,::1,65535,17,0,18446744073709551615,0,0\n"},
        {"5 e ::ffff:1.2.3.4 1.1.1.1 0 TCP 0", "5,e,1.2.3.4,1.1.1.1,0,6,0,0,0,0\n"},
        {"5 e ::ffff:102:304 ::ffff:16 0 TCP 0", "5,e,::ffff:102:304,::ffff:16,0,6,0,0,0,0\n"},
        {"5 e 64:ff9b::1.2.3.4 ::1.2.3.4 0 TCP 0", "5,e,64:ff9b::102:304,::102:304,0,6,0,0,0,0\n"},
        {"5 e 1.2.3.4 ::1 0 6 0", "!sip and dip are of different IP versions"},
        {"5 e 1.2.3.4 1.1.1.1 65536 6 0", "!dport: '65536' cannot be read"},
        {"5 e 1.2.3.4 1.1.1.1 1 256 0", "!proto: '256' cannot be read"},
        {"5 e 1.2.3.4 1.1.1.1 1 nosuch 0", "!proto: 'nosuch' cannot be read"},
        {"5 e 1.2.3.4 1.1.1.1 1 1 18446744073709551616",
         "!packets sent: '18446744073709551616' cannot be read"},
        {"5 e 1.2.3.4 1.1.1.1 1 1 -1", "!packets sent: '-1' cannot be read"},
        {"5 e 01.2.3.4 1.1.1.1 1 1 1", "!sip: '01.2.3.4' cannot be read"},
        {"0 e 1.2.3.4 1.1.1.1 1 1 1", "!time: '0' cannot be read"},
        {"9223372036854775808 e 1.2.3.4 1.1.1.1 1 1 1", "!time: '9223372036854775808' cannot be read"},
        {"5 a/b 1.2.3.4 1.1.1.1 1 1 1", "!iface: 'a/b' cannot be the name of an interface"},
        {"5 .. 1.2.3.4 1.1.1.1 1 1 1", "!iface: '..' cannot be the name of an interface"},
        {"5 e 1.2.3.4 1.1.1.1 1 1", "!6 fields instead of 7"},
    };
    gp_schema s;
    const gp_row_format *csv = NULL;
    assert_int_equal(gp_schema_parse("time,iface,sip,dip,dport,proto,packets sent", &s, NULL), GP_OK);
    assert_int_equal(gp_row_format_find("csv", &csv, NULL), GP_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *copy = strdup(cases[i].row);
        char *fields[16];
        char *rest = copy;
        size_t n = 0;
        gp_csv_row row;
        gp_error err = GP_ERROR_INIT;
        gp_buf out = GP_BUF_INIT;
        assert_non_null(copy);
        for (char *f; n < 16 && (f = strsep(&rest, " "));)
            fields[n++] = f;
        if (gp_schema_row(&s, fields, n, NULL, &row, &err) == GP_OK)
            csv->row(&out, row.ts, row.iface, &row.flow);
        else
            gp_buf_printf(&out, "!%s", err.msg);
        assert_string_equal(out.data, cases[i].want);
        gp_buf_free(&out);
        free(copy);
    }
}

/* What the schema lacks is zero, an address of the other one's family. */
static void rows_without_addresses(void **state)
{
    (void)state;
    gp_schema s;
    gp_csv_row row;
    assert_int_equal(gp_schema_parse("time,dip", &s, NULL), GP_OK);
    char *v6[] = {(char[]){"5"}, (char[]){" fe80::1 "}};
    assert_int_equal(gp_schema_row(&s, v6, 2, "eth0", &row, NULL), GP_OK);
    assert_int_equal(row.flow.sip.len, 16);
    assert_string_equal(row.iface, "eth0");
    assert_int_equal(gp_schema_parse("time", &s, NULL), GP_OK);
    char *none[] = {(char[]){"5"}};
    assert_int_equal(gp_schema_row(&s, none, 1, "eth0", &row, NULL), GP_OK);
    assert_int_equal(row.flow.sip.len, 4);
}

static void the_last_row_of_a_key_counts(void **state)
{
    (void)state;
    gp_flowset set = {0};
    for (unsigned round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 5000; i++) {
            const uint8_t a[4] = {10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
            gp_flow f = {
                .sip = gp_addr_from_bytes(a, 4), .dip = gp_addr_from_bytes(a, 4), .c.pkts_sent = round + i};
            assert_int_equal(gp_flowset_put(&set, &f, NULL), GP_OK);
        }
        assert_int_equal(set.n, 5000);
    }
    for (size_t i = 0; i < set.n; i++)
        assert_int_equal(set.flows[i].c.pkts_sent, 2 + i);
    gp_flowset_clear(&set);
    assert_int_equal(set.n, 0);
    gp_flowset_free(&set);
}

static void other_formats(void **state)
{
    (void)state;
    const gp_row_format *f = NULL;
    gp_buf out = GP_BUF_INIT;
    gp_error err = GP_ERROR_INIT;
    gp_flow flow = {.dport = 0x1234, .proto = 6, .c = {1, 2, 3, 0x0102030405060708}};
    assert_true(gp_addr_parse("10.0.0.1", 8, &flow.sip));
    assert_true(gp_addr_parse("10.0.0.2", 8, &flow.dip));
    assert_int_equal(gp_row_format_find("json", &f, NULL), GP_OK);
    f->begin(&out);
    f->row(&out, 1700000100, "e\"0", &flow);
    assert_string_equal(out.data,
                        "{\"time\":1700000100,\"iface\":\"e\\\"0\",\"sip\":\"10.0.0.1\",\"dip\":\"10.0.0.2\","
                        "\"dport\":4660,\"proto\":6,\"bytes_rcvd\":1,\"bytes_sent\":2,\"pkts_rcvd\":3,"
                        "\"pkts_sent\":72623859790382856}\n");
    gp_buf_clear(&out);
    assert_int_equal(gp_row_format_find("rowbinary", &f, NULL), GP_OK);
    f->row(&out, 0x65540064, "eth0", &flow);
    static const char want[] =
        "\x64\x00\x54\x65\x04"
        "eth0\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\x01\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\x02"
        "\x34\x12\x06\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0"
        "\x08\x07\x06\x05\x04\x03\x02\x01";
    assert_int_equal(out.len, sizeof want - 1);
    assert_memory_equal(out.data, want, out.len);
    gp_buf_clear(&out);
    f->begin(&out);
    assert_memory_equal(out.data, "\x0a\x04time\x05iface\x03sip", 15);
    gp_buf_free(&out);
    assert_int_equal(gp_row_format_find("xml", &f, &err), GP_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records),
        cmocka_unit_test(long_records),
        cmocka_unit_test(schemas),
        cmocka_unit_test(rows),
        cmocka_unit_test(rows_without_addresses),
        cmocka_unit_test(the_last_row_of_a_key_counts),
        cmocka_unit_test(other_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

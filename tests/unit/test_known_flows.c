/* Capture files must give exactly the flows that goProbe v4 makes of them (tests/data/capture/README.md). */
#include "sensor/capture/import.h"
#include "tests/support/mixed_capture.h"
#include "tests/support/tempdir.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

typedef struct line_list {
    char **lines;
    size_t n;
} line_list;

static void add_line(line_list *l, const char *line)
{
    l->lines = realloc(l->lines, (l->n + 1) * sizeof *l->lines);
    assert_non_null(l->lines);
    l->lines[l->n] = strdup(line);
    assert_non_null(l->lines[l->n]);
    l->n++;
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_lines(line_list *l)
{
    if (l->n)
        qsort(l->lines, l->n, sizeof *l->lines, compare_lines);
}

static void free_lines(line_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->lines[i]);
    free(l->lines);
    *l = (line_list){0};
}

static gp_code record(void *ctx, const char *iface, int64_t ts, gp_flow *flows, size_t n,
                      const gp_capture_stats *stats, gp_error *err)
{
    (void)iface;
    (void)stats;
    (void)err;
    for (size_t i = 0; i < n; i++) {
        char line[256];
        char sip[GP_ADDR_STRLEN];
        char dip[GP_ADDR_STRLEN];
        const gp_flow *f = &flows[i];
        gp_addr_format(&f->sip, sip);
        gp_addr_format(&f->dip, dip);
        snprintf(line, sizeof line, "%" PRId64 ",%s,%s,%u,%u,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64,
                 ts, sip, dip, f->dport, f->proto, f->c.bytes_rcvd, f->c.bytes_sent, f->c.pkts_rcvd,
                 f->c.pkts_sent);
        add_line(ctx, line);
    }
    return GP_OK;
}

/* What file_done was told. */
typedef struct told {
    gp_import_stats *stats;
    gp_error problem;
} told;

static void file_done(void *ctx, const char *path, const gp_import_stats *stats, const gp_error *problem)
{
    told *t = ctx;
    (void)path;
    *t->stats = *stats;
    if (problem)
        t->problem = *problem;
}

static gp_code import_file(const char *path, line_list *got, gp_import_stats *stats, gp_error *err)
{
    told t = {.stats = stats, .problem = GP_ERROR_INIT};
    gp_import_totals totals;
    const gp_import_job job = {.iface = "pcap0",
                               .files = &path,
                               .n_files = 1,
                               .store = {.write = record, .ctx = got},
                               .file_done = file_done,
                               .ctx = &t};
    gp_code code = gp_capture_import(&job, &totals, err);
    if (code != GP_OK || t.problem.code == GP_OK)
        return code;
    *err = t.problem;
    return err->code;
}

static line_list read_csv(const char *name)
{
    char path[512];
    char line[256];
    line_list l = {0};
    snprintf(path, sizeof path, "%s/tests/data/capture/%s.csv", GP_SOURCE_DIR, name);
    FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("cannot open %s", path);
    assert_non_null(fgets(line, sizeof line, f)); /* names of the columns */
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        add_line(&l, line);
    }
    fclose(f);
    return l;
}

static void check_file(const char *path, const char *name, gp_import_stats *stats)
{
    gp_error err = GP_ERROR_INIT;
    line_list got = {0};
    line_list want = read_csv(name);
    if (import_file(path, &got, stats, &err) != GP_OK)
        fail_msg("%s", err.msg);
    sort_lines(&got);
    sort_lines(&want);
    for (size_t i = 0; i < got.n && i < want.n; i++)
        if (strcmp(got.lines[i], want.lines[i]) != 0)
            fail_msg("%s, line %zu: got %s, want %s", name, i, got.lines[i], want.lines[i]);
    assert_int_equal(got.n, want.n);
    free_lines(&got);
    free_lines(&want);
}

static void a_file_with_everything_gives_the_reference_flows(void **state)
{
    (void)state;
    char dir[GP_TEMPDIR_LEN];
    char path[128];
    gp_import_stats stats;
    gp_tempdir_make(dir);
    snprintf(path, sizeof path, "%s/mixed.pcap", dir);
    assert_true(gp_test_mixed_capture(path));
    check_file(path, "mixed", &stats);
    static const uint64_t errors[GP_PARSE_ERRORS] = {141, 250, 101};
    assert_memory_equal(stats.parse_errors, errors, sizeof errors);
    gp_tempdir_remove(dir);
}

static void copy_compressed(const char *from, const char *to)
{
    char buf[4096];
    FILE *in = fopen(from, "rb");
    gzFile out = gzopen(to, "wb");
    assert_non_null(in);
    assert_non_null(out);
    for (size_t n; (n = fread(buf, 1, sizeof buf, in)) > 0;)
        assert_int_equal(gzwrite(out, buf, (unsigned)n), n);
    fclose(in);
    assert_int_equal(gzclose(out), Z_OK);
}

static void compressed_files_are_read_alike(void **state)
{
    (void)state;
    char dir[GP_TEMPDIR_LEN];
    char path[128];
    char gz[128];
    gp_import_stats stats;
    line_list none = {0};
    gp_error err = GP_ERROR_INIT;
    gp_tempdir_make(dir);
    snprintf(path, sizeof path, "%s/mixed.pcap", dir);
    snprintf(gz, sizeof gz, "%s/mixed.pcap.gz", dir);
    assert_true(gp_test_mixed_capture(path));
    copy_compressed(path, gz);
    check_file(gz, "mixed", &stats);
    assert_int_equal(truncate(gz, 20000), 0);
    assert_int_equal(import_file(gz, &none, &stats, &err), GP_ECORRUPT);
    assert_true(none.n > 0); /* what came before the damage */
    free_lines(&none);
    gp_tempdir_remove(dir);
}

/* The newer format, which libpcap reads but does not write. */
static void pcapng_files_are_read(void **state)
{
    (void)state;
    char path[512];
    gp_import_stats stats;
    line_list got = {0};
    gp_error err = GP_ERROR_INIT;
    snprintf(path, sizeof path, "%s/tests/fuzz/corpus/fuzz_import/pcapng", GP_SOURCE_DIR);
    assert_int_equal(import_file(path, &got, &stats, &err), GP_OK);
    assert_int_equal(got.n, 1);
    assert_string_equal(got.lines[0], "1700000100,10.0.0.1,10.0.0.2,22,6,54,0,1,0");
    free_lines(&got);
}

static void the_reference_captures_give_its_flows(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t errors[GP_PARSE_ERRORS];
    } files[] = {
        {"c04-wap-r1", {0}}, {"fragmented", {1, 0, 0}},   {"truncated", {0, 0, 3}},
        {"udpflows", {0}},   {"default", {162, 6775, 0}},
    };
    unsigned found = 0;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[512];
        gp_import_stats stats;
        snprintf(path, sizeof path, "%s/../shared/reference/pcap/%s.pcap.gz", GP_SOURCE_DIR, files[i].name);
        if (access(path, R_OK) != 0)
            continue;
        found++;
        check_file(path, files[i].name, &stats);
        assert_memory_equal(stats.parse_errors, files[i].errors, sizeof stats.parse_errors);
    }
    if (!found) {
        print_message("the captures are not here: skipped\n");
        skip();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_with_everything_gives_the_reference_flows),
        cmocka_unit_test(compressed_files_are_read_alike),
        cmocka_unit_test(pcapng_files_are_read),
        cmocka_unit_test(the_reference_captures_give_its_flows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

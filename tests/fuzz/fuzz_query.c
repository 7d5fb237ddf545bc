/* Queries of a database that may be anything: none crashes, takes memory for what is not there, or counts a
 * flow twice. All four attributes read every column; so where that finds nothing damaged, any other grouping
 * of the same flows has to find the same totals. With a list of its heaviest ports the day gives the same
 * answer. The first two bytes choose the grouping, the condition and how much is listed, the rest is the
 * database. */
#include "proto/query/args.h"
#include "sensor/godb/daypath.h"
#include "sensor/godb/engine.h"
#include "sensor/godb/topports.h"
#include "tests/fuzz/dayfiles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW = GP_DAYFILES_DAY + 2 * 86400 };

static const char *const groupings[] = {"sip",   "dip,sip",   "dport,proto",
                                        "proto", "time",      "time,iface",
                                        "raw",   "talk_conv", "sip,dip,dport,proto"};
static const char *const conditions[] = {NULL,
                                         "dport = 443",
                                         "sip = 10.0.0.1",
                                         "host = 2001:db8::1 | proto != udp",
                                         "!(snet = 10.0.0.0/8 & dport < 1024)",
                                         "dnet = ::/1"};

static void prepare(const char *grouping, const char *condition, uint64_t limit, gp_stmt *stmt)
{
    gp_args a;
    gp_problem problem = GP_PROBLEM_INIT;
    gp_args_init(&a);
    a.num_results = limit;
    if (gp_args_set(&a.query, grouping, NULL) != GP_OK ||
        gp_args_set(&a.ifaces, GP_DAYFILES_IFACE, NULL) != GP_OK ||
        gp_args_set(&a.condition, condition, NULL) != GP_OK || gp_args_set(&a.first, "1", NULL) != GP_OK ||
        gp_args_set(&a.format, "json", NULL) != GP_OK || gp_args_set_defaults(&a, NOW, NULL) != GP_OK ||
        gp_args_prepare(&a, NOW, stmt, &problem) != GP_OK)
        abort();
    gp_problem_free(&problem);
    gp_args_free(&a);
}

static gp_code ask(gp_engine *engine, const char *grouping, const char *condition, uint64_t limit,
                   gp_result *out)
{
    gp_stmt stmt;
    gp_error err = GP_ERROR_INIT;
    prepare(grouping, condition, limit, &stmt);
    gp_code code = gp_engine_run(engine, &stmt, NULL, out, &err);
    if (code != GP_OK && !err.msg[0])
        abort();
    gp_stmt_free(&stmt);
    return code;
}

static void compare(gp_engine *engine, const char *grouping, const char *condition)
{
    gp_result all, some;
    gp_code code = ask(engine, "sip,dip,dport,proto", condition, 0, &all);
    if (ask(engine, grouping, condition, 0, &some) != code)
        abort();
    if (code == GP_OK && all.stats.blocks_corrupted == 0 &&
        (some.stats.blocks_corrupted != 0 || memcmp(&all.totals, &some.totals, sizeof all.totals) != 0))
        abort();
    gp_result_free(&all);
    gp_result_free(&some);
}

/* ---- lists --------------------------------------------------------------------------------------------- */

/* False: the day cannot have one. */
static bool make_list(const gp_dayfiles *files, unsigned worth, char path[static 256])
{
    gp_day *day = NULL;
    gp_codec *codec = NULL;
    gp_portsums *sums = NULL;
    gp_buf list = GP_BUF_INIT;
    if (gp_codec_new(&codec, NULL) != GP_OK)
        abort();
    snprintf(path, 256, "%s/" GP_TOPPORTS_FILE, files->folder);
    bool made = gp_day_open_path(&day, files->folder, NULL) == GP_OK &&
                gp_portsums_of_day(day, codec, &sums, NULL) == GP_OK &&
                gp_topports_encode(sums, worth, gp_day_meta(day), codec, &list, NULL) == GP_OK;
    FILE *f = made ? fopen(path, "we") : NULL;
    if (made && (!f || fwrite(list.data, 1, list.len, f) != list.len || fclose(f) != 0))
        abort();
    gp_portsums_free(sums);
    gp_day_close(day);
    gp_codec_free(codec);
    gp_buf_free(&list);
    return made;
}

static void expect_same(const gp_result *a, const gp_result *b)
{
    if (a->hits_total != b->hits_total || memcmp(&a->totals, &b->totals, sizeof a->totals) != 0 ||
        a->n_rows != b->n_rows || b->stats.blocks_corrupted != 0 ||
        a->stats.blocks_processed != b->stats.blocks_processed)
        abort();
    for (size_t i = 0; i < a->n_rows; i++)
        if (a->rows[i].dport != b->rows[i].dport || a->rows[i].proto != b->rows[i].proto ||
            memcmp(&a->rows[i].c, &b->rows[i].c, sizeof a->rows[i].c) != 0)
            abort();
}

static void compare_list(gp_engine *engine, const gp_dayfiles *files, uint8_t choice)
{
    static const char *const by_port[] = {"dport,proto", "dport", "proto"};
    const char *grouping = by_port[choice % 3];
    const uint64_t limit = 1 + choice / 3 % 4;
    gp_result scanned, listed;
    char path[256];
    if (ask(engine, grouping, NULL, limit, &scanned) != GP_OK)
        return;
    if (scanned.stats.blocks_corrupted == 0 && make_list(files, 1 + choice / 12 % 4, path)) {
        if (ask(engine, grouping, NULL, limit, &listed) != GP_OK)
            abort();
        expect_same(&scanned, &listed);
        gp_result_free(&listed);
        if (unlink(path) != 0)
            abort();
    }
    gp_result_free(&scanned);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gp_engine *engine = NULL;
    if (size < 2)
        return 0;
    const char *grouping = groupings[data[0] % (sizeof groupings / sizeof groupings[0])];
    const char *condition = conditions[data[1] % (sizeof conditions / sizeof conditions[0])];
    const gp_dayfiles files = gp_dayfiles_write(data + 2, size - 2);
    if (gp_engine_new(&engine, &(gp_engine_config){.db = files.db, .threads = 1}, NULL) != GP_OK)
        abort();
    compare(engine, grouping, condition);
    compare_list(engine, &files, data[1]);
    gp_engine_free(engine);
    return 0;
}

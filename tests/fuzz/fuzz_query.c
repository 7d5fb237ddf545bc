/* Queries of a database that may be anything: none crashes, takes memory for what is not there, or counts a
 * flow twice. All four attributes read every column; so where that finds nothing damaged, any other grouping
 * of the same flows has to find the same totals. The first two bytes choose the grouping and the condition,
 * the rest is the database. */
#include "proto/query/args.h"
#include "sensor/godb/engine.h"
#include "tests/fuzz/dayfiles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void prepare(const char *grouping, const char *condition, gp_stmt *stmt)
{
    gp_args a;
    gp_problem problem = GP_PROBLEM_INIT;
    gp_args_init(&a);
    if (gp_args_set(&a.query, grouping, NULL) != GP_OK ||
        gp_args_set(&a.ifaces, GP_DAYFILES_IFACE, NULL) != GP_OK ||
        gp_args_set(&a.condition, condition, NULL) != GP_OK || gp_args_set(&a.first, "1", NULL) != GP_OK ||
        gp_args_set(&a.format, "json", NULL) != GP_OK || gp_args_set_defaults(&a, NOW, NULL) != GP_OK ||
        gp_args_prepare(&a, NOW, stmt, &problem) != GP_OK)
        abort();
    gp_problem_free(&problem);
    gp_args_free(&a);
}

static gp_code ask(gp_engine *engine, const char *grouping, const char *condition, gp_result *out)
{
    gp_stmt stmt;
    gp_error err = GP_ERROR_INIT;
    prepare(grouping, condition, &stmt);
    gp_code code = gp_engine_run(engine, &stmt, NULL, out, &err);
    if (code != GP_OK && !err.msg[0])
        abort();
    gp_stmt_free(&stmt);
    return code;
}

static void compare(gp_engine *engine, const char *grouping, const char *condition)
{
    gp_result all, some;
    gp_code code = ask(engine, "sip,dip,dport,proto", condition, &all);
    if (ask(engine, grouping, condition, &some) != code)
        abort();
    if (code == GP_OK && all.stats.blocks_corrupted == 0 &&
        (some.stats.blocks_corrupted != 0 || memcmp(&all.totals, &some.totals, sizeof all.totals) != 0))
        abort();
    gp_result_free(&all);
    gp_result_free(&some);
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
    gp_engine_free(engine);
    return 0;
}

/* Query arguments of a client: a body is read, prepared and written; what was accepted is accepted again. */
#include "proto/query/args.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW = 1700000000 };

static void check_problem(gp_problem *p)
{
    gp_buf json = GP_BUF_INIT;
    gp_problem again = GP_PROBLEM_INIT;
    gp_problem_to_json(p, &json);
    if (p->status < 400 || !gp_problem_from_json(json.data, json.len, &again) || again.status != p->status ||
        again.n_errors != p->n_errors)
        abort();
    gp_buf_clear(&json);
    gp_problem_to_text(&again, &json);
    gp_problem_free(&again);
    gp_buf_free(&json);
}

/* No DNS from a fuzzer: only conditions without names are prepared. */
static void prepare(gp_args *a)
{
    gp_stmt s;
    gp_problem p = GP_PROBLEM_INIT;
    if (a->condition && strpbrk(a->condition, "sSiIhH"))
        (void)gp_args_set(&a->condition, "dport = 80", NULL);
    if (gp_args_prepare(a, NOW, &s, &p) != GP_OK)
        check_problem(&p);
    else if (s.first > s.last || s.bin_size < GP_DB_WRITE_INTERVAL || s.num_results == 0)
        abort();
    gp_stmt_free(&s);
    gp_problem_free(&p);
}

static void write_and_read(const gp_args *a)
{
    gp_buf json = GP_BUF_INIT;
    gp_args again;
    gp_problem p = GP_PROBLEM_INIT;
    gp_args_to_json(a, &json);
    if (gp_args_from_json(json.data, json.len, &again, &p) != GP_OK)
        abort();
    gp_args_free(&again);
    gp_buf_free(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gp_args a;
    gp_problem p = GP_PROBLEM_INIT;
    if (gp_args_from_json((const char *)data, size, &a, &p) == GP_OK) {
        write_and_read(&a);
        prepare(&a);
        gp_args_free(&a);
    } else
        check_problem(&p);
    gp_problem_free(&p);
    return 0;
}

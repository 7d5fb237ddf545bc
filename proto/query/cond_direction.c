#include "proto/query/cond_internal.h"

static const struct {
    const char *value;
    gp_direction_filter filter;
} directions[] = {
    {"in", GP_DIRF_IN},        {"inbound", GP_DIRF_IN},       {"out", GP_DIRF_OUT},
    {"outbound", GP_DIRF_OUT}, {"uni", GP_DIRF_UNI},          {"unidirectional", GP_DIRF_UNI},
    {"bi", GP_DIRF_BI},        {"bidirectional", GP_DIRF_BI},
};

static bool is_direction(const cond_ast *ast, uint32_t index)
{
    return ast->nodes[index].type == GP_COND_LEAF && ast->nodes[index].attr == COND_DIR;
}

static gp_code read_filter(const cond_ast_node *leaf, cond_direction *out, gp_error *err)
{
    if (leaf->op != GP_OP_EQ)
        return gp_fail(err, GP_EINVAL, "unsupported direction filter comparator: %s", cond_op_text(leaf->op));
    for (size_t i = 0; i < sizeof directions / sizeof directions[0]; i++) {
        if (cond_span_is(leaf->value, directions[i].value)) {
            out->filter = directions[i].filter;
            out->word = leaf->word;
            out->value = leaf->value;
            return GP_OK;
        }
    }
    int shown = (int)(leaf->value.len < 200 ? leaf->value.len : 200);
    return gp_fail(err, GP_EINVAL, "unsupported direction filter: %.*s (use one of 'in', 'out', 'uni', 'bi')",
                   shown, leaf->value.at);
}

/* Unlinks `index`, whose predecessor in the list of the conjunction is `before` (0: it is the first). */
static void unlink_operand(cond_ast *ast, uint32_t before, uint32_t index)
{
    cond_ast_node *list = &ast->nodes[ast->root];
    if (before)
        ast->nodes[before].next = ast->nodes[index].next;
    else
        list->first = ast->nodes[index].next;
    /* A list of one is its operand. */
    if (ast->nodes[list->first].next == 0)
        ast->root = list->first;
}

/* The first direction filter among the operands of the topmost conjunction; 0: none. */
static uint32_t find_operand(const cond_ast *ast, uint32_t *before)
{
    *before = 0;
    if (ast->nodes[ast->root].type != GP_COND_AND)
        return 0;
    for (uint32_t i = ast->nodes[ast->root].first; i; i = ast->nodes[i].next) {
        if (is_direction(ast, i))
            return i;
        *before = i;
    }
    return 0;
}

static size_t count_directions(const cond_ast *ast)
{
    size_t n = 0;
    for (uint32_t i = 1; i < ast->n; i++)
        n += is_direction(ast, i);
    return n;
}

gp_code cond_take_direction(cond_ast *ast, cond_direction *out, gp_error *err)
{
    *out = (cond_direction){.filter = GP_DIRF_NONE};
    size_t n = count_directions(ast);
    if (n == 0)
        return GP_OK;
    if (is_direction(ast, ast->root)) {
        gp_code code = read_filter(&ast->nodes[ast->root], out, err);
        ast->root = 0;
        return code;
    }
    uint32_t before;
    uint32_t index = find_operand(ast, &before);
    if (!index)
        return gp_fail(err, GP_EINVAL, "misplaced direction filter");
    if (n > 1)
        return gp_fail(err, GP_EINVAL, "multiple direction filters specified");
    gp_code code = read_filter(&ast->nodes[index], out, err);
    out->leads = before == 0;
    if (code == GP_OK)
        unlink_operand(ast, before, index);
    return code;
}

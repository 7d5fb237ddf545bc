#include "proto/query/cond_internal.h"

static bool is_equality(gp_cond_op op)
{
    return op == GP_OP_EQ || op == GP_OP_NE;
}

/* Turns "host = x" into "sip = x | dip = x" and "host != x" into "sip != x & dip != x", in place. */
static gp_code expand(cond_ast *ast, uint32_t index, cond_attr source, cond_attr destination, gp_error *err)
{
    cond_ast_node second = ast->nodes[index];
    cond_ast_node first = second;
    first.attr = source;
    second.attr = destination;
    second.next = 0;
    uint32_t to = 0;
    gp_code code = cond_ast_add(ast, &second, &first.next, err);
    if (code == GP_OK)
        code = cond_ast_add(ast, &first, &to, err);
    if (code != GP_OK)
        return code;
    ast->nodes[index].type = first.op == GP_OP_EQ ? GP_COND_OR : GP_COND_AND;
    ast->nodes[index].first = to;
    return GP_OK;
}

static gp_code desugar_leaf(cond_ast *ast, uint32_t index, gp_error *err)
{
    const cond_ast_node *leaf = &ast->nodes[index];
    const char *op = cond_op_text(leaf->op);
    static const char *const names[] = {
        [COND_SIP] = "sip", [COND_DIP] = "dip", [COND_SNET] = "snet", [COND_DNET] = "dnet"};
    switch (leaf->attr) {
    case COND_HOST:
    case COND_NET:
        if (!is_equality(leaf->op))
            return gp_fail(err, GP_EINVAL, "invalid comparison operator in %s condition: %s",
                           leaf->attr == COND_HOST ? "host" : "net", op);
        if (leaf->attr == COND_HOST)
            return expand(ast, index, COND_SIP, COND_DIP, err);
        return expand(ast, index, COND_SNET, COND_DNET, err);
    case COND_SIP:
    case COND_DIP:
    case COND_SNET:
    case COND_DNET:
        if (!is_equality(leaf->op))
            return gp_fail(err, GP_EINVAL, "comparator \"%s\" not allowed for attribute \"%s\"", op,
                           names[leaf->attr]);
        return GP_OK;
    case COND_DPORT:
    case COND_PROTO:
    case COND_DIR:
        break;
    }
    return GP_OK;
}

gp_code cond_desugar(cond_ast *ast, gp_error *err)
{
    uint32_t n = ast->n; /* what is added here needs no second look */
    for (uint32_t i = 1; i < n; i++) {
        if (ast->nodes[i].type != GP_COND_LEAF)
            continue;
        gp_code code = desugar_leaf(ast, i, err);
        if (code != GP_OK)
            return code;
    }
    return GP_OK;
}

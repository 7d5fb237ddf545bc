#include "sensor/godb/skip.h"

#include <stdlib.h>

struct gp_skip {
    const gp_cond_node *nodes;
    size_t n;  /* the root and all before it: operands come before their node */
    bool *may; /* for each node: it may be true */
};

static bool asks_for_address(const gp_cond_node *node)
{
    if (node->type != GP_COND_LEAF || node->op != GP_OP_EQ)
        return false;
    switch (node->field) {
    case GP_CF_SIP:
    case GP_CF_DIP:
        return true;
    case GP_CF_SNET:
    case GP_CF_DNET:
        return node->prefix == 8 * node->addr.len;
    default:
        return false;
    }
}

/* Without a filter: as if no address were in it. */
static bool leaf_may(const gp_cond_node *node, int64_t ts, const gp_blockfilter *f)
{
    if (!asks_for_address(node))
        return true;
    return f && gp_blockfilter_may_have(f, gp_addr_mark(ts, node->addr.bytes, node->addr.len));
}

static bool evaluate(gp_skip *s, int64_t ts, const gp_blockfilter *f)
{
    for (size_t i = 0; i < s->n; i++) {
        const gp_cond_node *node = &s->nodes[i];
        switch (node->type) {
        case GP_COND_AND:
            s->may[i] = s->may[node->left] && s->may[node->right];
            break;
        case GP_COND_OR:
            s->may[i] = s->may[node->left] || s->may[node->right];
            break;
        case GP_COND_LEAF:
            s->may[i] = leaf_may(node, ts, f);
            break;
        default: /* a negation of what may be true: may be true, too */
            s->may[i] = true;
        }
    }
    return s->may[s->n - 1];
}

gp_code gp_skip_new(gp_skip **out, const gp_cond *cond, gp_error *err)
{
    size_t n = 0;
    const gp_cond_node *nodes = gp_cond_nodes(cond, &n);
    const int root = gp_cond_root(cond);
    *out = NULL;
    if (root < 0)
        return GP_OK; /* only a direction filter */
    gp_skip *s = calloc(1, sizeof *s);
    bool *may = calloc((size_t)root + 1, sizeof *may);
    if (!s || !may) {
        free(s);
        free(may);
        return gp_fail(err, GP_ENOMEM, "out of memory for evaluating a condition");
    }
    *s = (gp_skip){nodes, (size_t)root + 1, may};
    if (evaluate(s, 0, NULL))
        gp_skip_free(s);
    else
        *out = s;
    return GP_OK;
}

void gp_skip_free(gp_skip *s)
{
    if (!s)
        return;
    free(s->may);
    free(s);
}

bool gp_skip_block(gp_skip *s, int64_t ts, const gp_blockfilter *f)
{
    return f->size > 0 && !evaluate(s, ts, f);
}

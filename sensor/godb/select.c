#include "sensor/godb/select.h"

#include <stdlib.h>
#include <string.h>

struct gp_selector {
    const gp_cond_node *nodes;
    int root;
    unsigned depth; /* masks needed at the same time */
    uint8_t *masks; /* depth * cap bytes */
    size_t cap;     /* rows */
};

/* Evaluation of a node holds its own mask while its second operand is computed in the next one. */
static unsigned node_depth(const gp_cond_node *nodes, size_t i)
{
    const gp_cond_node *n = &nodes[i];
    if (n->type == GP_COND_LEAF)
        return 1;
    unsigned left = node_depth(nodes, n->left);
    if (n->type == GP_COND_NOT)
        return left;
    unsigned right = node_depth(nodes, n->right) + 1;
    return left > right ? left : right;
}

gp_code gp_selector_new(gp_selector **out, const gp_cond *cond, gp_error *err)
{
    gp_selector *s = calloc(1, sizeof *s);
    if (!s)
        return gp_fail(err, GP_ENOMEM, "out of memory for evaluating a condition");
    size_t n;
    s->nodes = gp_cond_nodes(cond, &n);
    s->root = gp_cond_root(cond);
    s->depth = s->root >= 0 ? node_depth(s->nodes, (size_t)s->root) : 0;
    *out = s;
    return GP_OK;
}

void gp_selector_free(gp_selector *s)
{
    if (!s)
        return;
    free(s->masks);
    free(s);
}

/* The loops of a leaf are compiled twice, for what every processor has and for AVX2, so they are inlined. */
#define INLINED static inline __attribute__((always_inline))

INLINED void mask_proto(const uint8_t *v, size_t n, gp_cond_op op, uint8_t x, uint8_t *restrict m)
{
    switch (op) {
    case GP_OP_EQ:
        for (size_t i = 0; i < n; i++)
            m[i] = v[i] == x;
        break;
    case GP_OP_NE:
        for (size_t i = 0; i < n; i++)
            m[i] = v[i] != x;
        break;
    case GP_OP_LT:
        for (size_t i = 0; i < n; i++)
            m[i] = v[i] < x;
        break;
    case GP_OP_GT:
        for (size_t i = 0; i < n; i++)
            m[i] = v[i] > x;
        break;
    case GP_OP_LE:
        for (size_t i = 0; i < n; i++)
            m[i] = v[i] <= x;
        break;
    case GP_OP_GE:
        for (size_t i = 0; i < n; i++)
            m[i] = v[i] >= x;
        break;
    }
}

INLINED uint16_t port_at(const uint8_t *v, size_t i)
{
    uint16_t p;
    memcpy(&p, v + 2 * i, sizeof p);
    return __builtin_bswap16(p);
}

INLINED void mask_dport(const uint8_t *v, size_t n, gp_cond_op op, uint16_t x, uint8_t *restrict m)
{
    switch (op) {
    case GP_OP_EQ:
        for (size_t i = 0; i < n; i++)
            m[i] = port_at(v, i) == x;
        break;
    case GP_OP_NE:
        for (size_t i = 0; i < n; i++)
            m[i] = port_at(v, i) != x;
        break;
    case GP_OP_LT:
        for (size_t i = 0; i < n; i++)
            m[i] = port_at(v, i) < x;
        break;
    case GP_OP_GT:
        for (size_t i = 0; i < n; i++)
            m[i] = port_at(v, i) > x;
        break;
    case GP_OP_LE:
        for (size_t i = 0; i < n; i++)
            m[i] = port_at(v, i) <= x;
        break;
    case GP_OP_GE:
        for (size_t i = 0; i < n; i++)
            m[i] = port_at(v, i) >= x;
        break;
    }
}

/* Network masks as they lie in memory, so that columns need no byte swap. */
static void prefix_mask(uint8_t *mask, size_t bytes, unsigned bits)
{
    for (size_t i = 0; i < bytes; i++) {
        unsigned here = bits > 8 * i ? bits - (unsigned)(8 * i) : 0;
        mask[i] = (uint8_t)(here >= 8 ? 0xffu : 0xff00u >> here);
    }
}

INLINED void mask_v4(const uint8_t *v, size_t n, const gp_addr *addr, unsigned bits, bool ne,
                     uint8_t *restrict m)
{
    uint32_t mask;
    uint32_t want;
    uint8_t mask_bytes[4];
    prefix_mask(mask_bytes, sizeof mask_bytes, bits);
    memcpy(&mask, mask_bytes, sizeof mask);
    memcpy(&want, addr->bytes, sizeof want);
    want &= mask;
    for (size_t i = 0; i < n; i++) {
        uint32_t a;
        memcpy(&a, v + 4 * i, sizeof a);
        m[i] = (uint8_t)(((a & mask) == want) ^ ne);
    }
}

INLINED void mask_v6(const uint8_t *v, size_t n, const gp_addr *addr, unsigned bits, bool ne,
                     uint8_t *restrict m)
{
    uint64_t mask[2];
    uint64_t want[2];
    uint8_t mask_bytes[16];
    prefix_mask(mask_bytes, sizeof mask_bytes, bits);
    memcpy(mask, mask_bytes, sizeof mask);
    memcpy(want, addr->bytes, sizeof want);
    want[0] &= mask[0];
    want[1] &= mask[1];
    for (size_t i = 0; i < n; i++) {
        uint64_t a[2];
        memcpy(a, v + 16 * i, sizeof a);
        uint64_t diff = ((a[0] & mask[0]) ^ want[0]) | ((a[1] & mask[1]) ^ want[1]);
        m[i] = (uint8_t)((diff == 0) ^ ne);
    }
}

INLINED void mask_addr(const gp_cond_node *node, const gp_select_columns *c, size_t n, uint8_t *m)
{
    bool source = node->field == GP_CF_SIP || node->field == GP_CF_SNET;
    bool network = node->field == GP_CF_SNET || node->field == GP_CF_DNET;
    const uint8_t *v = source ? c->sip : c->dip;
    bool ne = node->op == GP_OP_NE;
    bool other_family = (node->addr.len == 16) != c->v6;
    if (other_family)
        memset(m, ne, n);
    else if (c->v6)
        mask_v6(v, n, &node->addr, network ? node->prefix : 128, ne, m);
    else
        mask_v4(v, n, &node->addr, network ? node->prefix : 32, ne, m);
}

INLINED void mask_by_field(const gp_cond_node *node, const gp_select_columns *c, size_t n, uint8_t *m)
{
    if (node->field == GP_CF_PROTO)
        mask_proto(c->proto, n, node->op, (uint8_t)node->number, m);
    else if (node->field == GP_CF_DPORT)
        mask_dport(c->dport, n, node->op, node->number, m);
    else
        mask_addr(node, c, n, m);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void mask_leaf_avx2(const gp_cond_node *node,
                                                           const gp_select_columns *c, size_t n, uint8_t *m)
{
    mask_by_field(node, c, n, m);
}
#endif

static void mask_leaf(const gp_cond_node *node, const gp_select_columns *c, size_t n, uint8_t *m)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        mask_leaf_avx2(node, c, n, m);
        return;
    }
#endif
    mask_by_field(node, c, n, m);
}

/* Evaluates node i into masks[level]; deeper levels are scratch. Depth is bounded by the parser. */
static void evaluate(const gp_selector *s, size_t i, const gp_select_columns *c, size_t n, unsigned level)
{
    const gp_cond_node *node = &s->nodes[i];
    uint8_t *m = s->masks + level * s->cap;
    if (node->type == GP_COND_LEAF) {
        mask_leaf(node, c, n, m);
        return;
    }
    evaluate(s, node->left, c, n, level);
    if (node->type == GP_COND_NOT) {
        for (size_t k = 0; k < n; k++)
            m[k] ^= 1;
        return;
    }
    /* A constant left side settles it: nothing more can match (AND) or everything does (OR). */
    if (!memchr(m, node->type == GP_COND_AND, n))
        return;
    evaluate(s, node->right, c, n, level + 1);
    const uint8_t *restrict other = s->masks + (level + 1) * s->cap;
    if (node->type == GP_COND_AND)
        for (size_t k = 0; k < n; k++)
            m[k] &= other[k];
    else
        for (size_t k = 0; k < n; k++)
            m[k] |= other[k];
}

static gp_code reserve(gp_selector *s, size_t n, gp_error *err)
{
    if (n <= s->cap)
        return GP_OK;
    size_t cap = (n + 4095) & ~(size_t)4095;
    uint8_t *masks = realloc(s->masks, cap * s->depth);
    if (!masks)
        return gp_fail(err, GP_ENOMEM, "out of memory for the selection of %zu flows", n);
    s->masks = masks;
    s->cap = cap;
    return GP_OK;
}

/* Eight rows at a time: most conditions leave few. */
static size_t list_rows(const uint8_t *mask, size_t n, uint32_t *rows)
{
    size_t out = 0;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t eight;
        memcpy(&eight, mask + i, sizeof eight);
        for (size_t k = i; eight != 0 && k < i + 8; k++) {
            rows[out] = (uint32_t)k;
            out += mask[k];
        }
    }
    for (; i < n; i++) {
        rows[out] = (uint32_t)i;
        out += mask[i];
    }
    return out;
}

gp_code gp_select(gp_selector *s, const gp_select_columns *cols, size_t n, uint32_t *rows, size_t *matched,
                  gp_error *err)
{
    *matched = 0;
    if (n == 0)
        return GP_OK;
    if (s->root < 0) { /* only a direction filter: every row counts here */
        for (size_t i = 0; i < n; i++)
            rows[i] = (uint32_t)i;
        *matched = n;
        return GP_OK;
    }
    gp_code code = reserve(s, n, err);
    if (code != GP_OK)
        return code;
    evaluate(s, (size_t)s->root, cols, n, 0);
    *matched = list_rows(s->masks, n, rows);
    return GP_OK;
}

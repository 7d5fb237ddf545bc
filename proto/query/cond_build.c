#include "proto/query/cond_internal.h"

#include "proto/base/buf.h"
#include "proto/query/column.h"
#include "proto/query/protocols.h"

#include <stdlib.h>
#include <string.h>

enum { SHOWN = 200 };

typedef struct builder {
    const cond_ast *ast;
    gp_cond *cond;
    gp_buf text;
    gp_error *err;
} builder;

static int shown(size_t len)
{
    return (int)(len < SHOWN ? len : SHOWN);
}

static gp_cond_op negated(gp_cond_op op)
{
    static const gp_cond_op opposite[] = {
        [GP_OP_EQ] = GP_OP_NE, [GP_OP_NE] = GP_OP_EQ, [GP_OP_LT] = GP_OP_GE,
        [GP_OP_GE] = GP_OP_LT, [GP_OP_GT] = GP_OP_LE, [GP_OP_LE] = GP_OP_GT,
    };
    return opposite[op];
}

/* ---- values -------------------------------------------------------------------------------------------- */

static bool take_number(gp_span s, unsigned max, uint16_t *out)
{
    unsigned v = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] < '0' || s.at[i] > '9')
            return false;
        v = v * 10 + (unsigned)(s.at[i] - '0');
        if (v > max)
            return false;
    }
    *out = (uint16_t)v;
    return s.len > 0;
}

static gp_code read_port(gp_span value, gp_cond_node *node, gp_error *err)
{
    if (take_number(value, UINT16_MAX, &node->number))
        return GP_OK;
    return gp_fail(err, GP_EINVAL, "could not parse dport value: \"%.*s\" is not a number from 0 to 65535",
                   shown(value.len), value.at);
}

static gp_code read_protocol(gp_span value, gp_cond_node *node, gp_error *err)
{
    char name[32] = "";
    uint8_t proto;
    if (take_number(value, UINT8_MAX, &node->number))
        return GP_OK;
    if (value.len < sizeof name)
        memcpy(name, value.at, value.len);
    if (gp_protocol_number(name, &proto)) {
        node->number = proto;
        return GP_OK;
    }
    return gp_fail(
        err, GP_EINVAL,
        "could not parse protocol value: \"%.*s\" is neither a protocol name nor a number from 0 to 255",
        shown(value.len), value.at);
}

/* "::ffff:1.2.3.4" in dotted form means the IPv4 address, as in v4. */
static void unmap(gp_span value, gp_addr *a)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (a->len == 16 && memchr(value.at, '.', value.len) && memcmp(a->bytes, mapped, sizeof mapped) == 0)
        *a = gp_addr_from_bytes(a->bytes + sizeof mapped, 4);
}

static gp_code read_address(gp_span value, gp_cond_node *node, gp_error *err)
{
    if (!gp_addr_parse(value.at, value.len, &node->addr))
        return gp_fail(err, GP_EINVAL, "could not parse IP address: %.*s", shown(value.len), value.at);
    unmap(value, &node->addr);
    return GP_OK;
}

static void mask(gp_addr *a, unsigned prefix)
{
    for (unsigned i = 0; i < a->len; i++) {
        unsigned bits = prefix > i * 8 ? prefix - i * 8 : 0;
        if (bits < 8)
            a->bytes[i] &= (uint8_t)(0xff00 >> bits);
    }
}

static gp_code read_network(gp_span value, gp_cond_node *node, gp_error *err)
{
    const char *slash = memchr(value.at, '/', value.len);
    if (!slash)
        return gp_fail(err, GP_EINVAL, "could not get netmask. Use CIDR notation. Example: 192.168.1.17/25");
    size_t len = (size_t)(slash - value.at);
    gp_span bits = {slash + 1, value.len - len - 1};
    uint16_t prefix;
    if (!take_number(bits, 9999, &prefix))
        return gp_fail(err, GP_EINVAL,
                       "failed to parse netmask %.*s. Use CIDR notation. Example: 192.168.1.17/25",
                       shown(bits.len), bits.at);
    bool v6 = memchr(value.at, ':', len) != NULL;
    if (prefix > (v6 ? 128 : 32))
        return gp_fail(err, GP_EINVAL, "incorrect netmask. Maximum possible value is %d for IPv%d networks",
                       v6 ? 128 : 32, v6 ? 6 : 4);
    if (!gp_addr_parse(value.at, len, &node->addr))
        return gp_fail(err, GP_EINVAL, "could not parse IP address: %.*s", shown(value.len), value.at);
    mask(&node->addr, prefix);
    node->prefix = (uint8_t)prefix;
    return GP_OK;
}

static gp_code read_value(const cond_ast_node *leaf, gp_cond_node *node, gp_error *err)
{
    switch (leaf->attr) {
    case COND_SIP:
    case COND_DIP:
        node->field = leaf->attr == COND_SIP ? GP_CF_SIP : GP_CF_DIP;
        return read_address(leaf->value, node, err);
    case COND_SNET:
    case COND_DNET:
        node->field = leaf->attr == COND_SNET ? GP_CF_SNET : GP_CF_DNET;
        return read_network(leaf->value, node, err);
    case COND_DPORT:
        node->field = GP_CF_DPORT;
        return read_port(leaf->value, node, err);
    case COND_PROTO:
        node->field = GP_CF_PROTO;
        return read_protocol(leaf->value, node, err);
    case COND_HOST:
    case COND_NET:
    case COND_DIR:
        break;
    }
    return gp_fail(err, GP_EINTERNAL, "the attribute of a condition was not replaced (%d)", (int)leaf->attr);
}

/* ---- nodes --------------------------------------------------------------------------------------------- */

static gp_code add_node(builder *b, const gp_cond_node *node, uint16_t *index)
{
    gp_cond *c = b->cond;
    if (c->n_nodes == COND_MAX_NODES)
        return gp_fail(b->err, GP_ELIMIT, "the condition has more than %d parts; split the query",
                       COND_MAX_NODES);
    /* Grown at powers of two, so the count tells the capacity. */
    if ((c->n_nodes & (c->n_nodes - 1)) == 0) {
        gp_cond_node *nodes = reallocarray(c->nodes, c->n_nodes ? c->n_nodes * 2 : 1, sizeof *nodes);
        if (!nodes)
            return gp_fail(b->err, GP_ENOMEM, "out of memory for a condition of %zu parts", c->n_nodes);
        c->nodes = nodes;
    }
    *index = (uint16_t)c->n_nodes;
    c->nodes[c->n_nodes++] = *node;
    return GP_OK;
}

/* Pairs up neighbours until one is left: a list of n gets a tree of depth log n, not n. */
static gp_code join(builder *b, gp_cond_type type, uint16_t *items, size_t n)
{
    while (n > 1) {
        size_t kept = 0;
        for (size_t i = 0; i < n; i += 2) {
            gp_code code = GP_OK;
            if (i + 1 == n)
                items[kept] = items[i];
            else
                code = add_node(b, &(gp_cond_node){.type = type, .left = items[i], .right = items[i + 1]},
                                &items[kept]);
            if (code != GP_OK)
                return code;
            kept++;
        }
        n = kept;
    }
    return GP_OK;
}

static void render_leaf(builder *b, const cond_ast_node *leaf, gp_cond_op op)
{
    static const char *const names[] = {[COND_SIP] = "sip",   [COND_DIP] = "dip",     [COND_SNET] = "snet",
                                        [COND_DNET] = "dnet", [COND_DPORT] = "dport", [COND_PROTO] = "proto"};
    gp_buf_puts(&b->text, names[leaf->attr]);
    gp_buf_putc(&b->text, ' ');
    gp_buf_puts(&b->text, cond_op_text(op));
    gp_buf_putc(&b->text, ' ');
    gp_buf_add(&b->text, leaf->value.at, leaf->value.len);
}

static gp_code build_leaf(builder *b, const cond_ast_node *leaf, bool negate, uint16_t *out)
{
    gp_cond_node node = {.type = GP_COND_LEAF, .op = negate ? negated(leaf->op) : leaf->op};
    gp_code code = read_value(leaf, &node, b->err);
    if (code != GP_OK)
        return code;
    render_leaf(b, leaf, node.op);
    return add_node(b, &node, out);
}

static gp_code build(builder *b, uint32_t index, bool negate, uint16_t *out);

/* The text is that of nested pairs, "(a & (b & c))". */
static gp_code build_operands(builder *b, uint32_t first, gp_cond_type type, bool negate, uint16_t *items)
{
    size_t n = 0;
    for (uint32_t i = first; i; i = b->ast->nodes[i].next) {
        bool last = b->ast->nodes[i].next == 0;
        if (!last)
            gp_buf_putc(&b->text, '(');
        gp_code code = build(b, i, negate, &items[n++]);
        if (code != GP_OK)
            return code;
        if (!last)
            gp_buf_puts(&b->text, type == GP_COND_AND ? " & " : " | ");
    }
    gp_buf_pad(&b->text, ')', n - 1);
    return GP_OK;
}

static gp_code build_list(builder *b, const cond_ast_node *list, bool negate, uint16_t *out)
{
    size_t n = 1; /* no list is empty */
    for (uint32_t i = b->ast->nodes[list->first].next; i; i = b->ast->nodes[i].next)
        n++;
    uint16_t *items = calloc(n, sizeof *items);
    if (!items)
        return gp_fail(b->err, GP_ENOMEM, "out of memory for a condition of %zu parts", n);
    bool conjunction = (list->type == GP_COND_AND) != negate;
    gp_cond_type type = conjunction ? GP_COND_AND : GP_COND_OR;
    gp_code code = build_operands(b, list->first, type, negate, items);
    if (code == GP_OK)
        code = join(b, type, items, n);
    *out = items[0];
    free(items);
    return code;
}

/* Negations move down to the comparisons (negation normal form). As deep as the user nested. */
static gp_code build(builder *b, uint32_t index, bool negate, uint16_t *out)
{
    const cond_ast_node *node = &b->ast->nodes[index];
    if (node->type == GP_COND_LEAF)
        return build_leaf(b, node, negate, out);
    if (node->type == GP_COND_NOT)
        return build(b, node->first, !negate, out);
    return build_list(b, node, negate, out);
}

/* ---- what the engine wants to know in advance ---------------------------------------------------------- */

static uint32_t column_of(gp_cond_field field)
{
    static const uint32_t columns[] = {
        [GP_CF_SIP] = GP_ATTR_SIP,  [GP_CF_DIP] = GP_ATTR_DIP,     [GP_CF_SNET] = GP_ATTR_SIP,
        [GP_CF_DNET] = GP_ATTR_DIP, [GP_CF_DPORT] = GP_ATTR_DPORT, [GP_CF_PROTO] = GP_ATTR_PROTO};
    return columns[field];
}

/* Bits: families that a flow may have and still match. */
enum { FAMILY_V4 = 1, FAMILY_V6 = 2, FAMILY_BOTH = 3 };

static uint8_t leaf_families(const gp_cond_node *leaf)
{
    bool address = leaf->field != GP_CF_DPORT && leaf->field != GP_CF_PROTO;
    if (!address || leaf->op != GP_OP_EQ)
        return FAMILY_BOTH;
    return leaf->addr.len == 4 ? FAMILY_V4 : FAMILY_V6;
}

static gp_code summarize(gp_cond *c, gp_error *err)
{
    uint8_t *families = calloc(c->n_nodes ? c->n_nodes : 1, 1);
    if (!families)
        return gp_fail(err, GP_ENOMEM, "out of memory for a condition of %zu parts", c->n_nodes);
    for (size_t i = 0; i < c->n_nodes; i++) { /* operands come before their node */
        const gp_cond_node *node = &c->nodes[i];
        if (node->type == GP_COND_LEAF) {
            families[i] = leaf_families(node);
            c->columns |= column_of(node->field);
        } else if (node->type == GP_COND_AND)
            families[i] = families[node->left] & families[node->right];
        else
            families[i] = families[node->left] | families[node->right];
    }
    if (c->n_nodes && families[c->root] == FAMILY_V4)
        c->ip_version = GP_IP_V4;
    if (c->n_nodes && families[c->root] == FAMILY_V6)
        c->ip_version = GP_IP_V6;
    free(families);
    return GP_OK;
}

static void render_direction(builder *b, const cond_direction *d)
{
    gp_buf_add(&b->text, d->word.at, d->word.len);
    gp_buf_puts(&b->text, " = ");
    gp_buf_add(&b->text, d->value.at, d->value.len);
}

static gp_code build_all(builder *b, const cond_direction *d)
{
    bool filtered = d->filter != GP_DIRF_NONE;
    bool both = filtered && b->ast->root;
    uint16_t root = 0;
    gp_code code = GP_OK;
    if (both)
        gp_buf_putc(&b->text, '(');
    if (filtered && (d->leads || !both))
        render_direction(b, d);
    if (both && d->leads)
        gp_buf_puts(&b->text, " & ");
    if (b->ast->root)
        code = build(b, b->ast->root, false, &root);
    if (both && !d->leads) {
        gp_buf_puts(&b->text, " & ");
        render_direction(b, d);
    }
    if (both)
        gp_buf_putc(&b->text, ')');
    b->cond->root = b->ast->root ? root : -1;
    b->cond->direction = d->filter;
    return code;
}

gp_code cond_build(const cond_ast *ast, const cond_direction *direction, gp_cond **out, gp_error *err)
{
    gp_cond *c = calloc(1, sizeof *c);
    if (!c)
        return gp_fail(err, GP_ENOMEM, "out of memory for a condition");
    builder b = {.ast = ast, .cond = c, .text = GP_BUF_INIT, .err = err};
    gp_code code = build_all(&b, direction);
    if (code == GP_OK)
        code = summarize(c, err);
    c->text = gp_buf_detach(&b.text);
    if (code == GP_OK && !c->text)
        code = gp_fail(err, GP_ENOMEM, "out of memory for the text of a condition");
    if (code == GP_OK)
        *out = c;
    else
        gp_cond_free(c);
    return code;
}

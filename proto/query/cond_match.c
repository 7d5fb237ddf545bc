#include "proto/query/cond_internal.h"

#include <string.h>

static bool same_network(const gp_addr *a, const gp_addr *net, unsigned prefix)
{
    unsigned whole = prefix / 8;
    unsigned rest = prefix % 8;
    if (a->len != net->len || memcmp(a->bytes, net->bytes, whole) != 0)
        return false;
    return rest == 0 || ((a->bytes[whole] ^ net->bytes[whole]) >> (8 - rest)) == 0;
}

static bool compare_number(unsigned a, gp_cond_op op, unsigned b)
{
    switch (op) {
    case GP_OP_EQ:
        return a == b;
    case GP_OP_NE:
        return a != b;
    case GP_OP_LT:
        return a < b;
    case GP_OP_GT:
        return a > b;
    case GP_OP_LE:
        return a <= b;
    case GP_OP_GE:
        return a >= b;
    }
    return false;
}

static bool match_leaf(const gp_cond_node *leaf, const gp_flow *flow)
{
    bool equal = false;
    switch (leaf->field) {
    case GP_CF_SIP:
        equal = gp_addr_cmp(&flow->sip, &leaf->addr) == 0;
        break;
    case GP_CF_DIP:
        equal = gp_addr_cmp(&flow->dip, &leaf->addr) == 0;
        break;
    case GP_CF_SNET:
        equal = same_network(&flow->sip, &leaf->addr, leaf->prefix);
        break;
    case GP_CF_DNET:
        equal = same_network(&flow->dip, &leaf->addr, leaf->prefix);
        break;
    case GP_CF_DPORT:
        return compare_number(flow->dport, leaf->op, leaf->number);
    case GP_CF_PROTO:
        return compare_number(flow->proto, leaf->op, leaf->number);
    }
    return equal == (leaf->op == GP_OP_EQ);
}

static bool match(const gp_cond_node *nodes, unsigned index, const gp_flow *flow)
{
    const gp_cond_node *node = &nodes[index];
    switch (node->type) {
    case GP_COND_AND:
        return match(nodes, node->left, flow) && match(nodes, node->right, flow);
    case GP_COND_OR:
        return match(nodes, node->left, flow) || match(nodes, node->right, flow);
    case GP_COND_NOT:
        return !match(nodes, node->left, flow);
    case GP_COND_LEAF:
        return match_leaf(node, flow);
    }
    return false;
}

bool gp_cond_match(const gp_cond *cond, const gp_flow *flow)
{
    return !cond || cond->root < 0 || match(cond->nodes, (unsigned)cond->root, flow);
}

bool gp_direction_match(gp_direction_filter filter, const gp_counters *c)
{
    bool rcvd = c->pkts_rcvd > 0;
    bool sent = c->pkts_sent > 0;
    switch (filter) {
    case GP_DIRF_NONE:
        return true;
    case GP_DIRF_IN:
        return rcvd && !sent;
    case GP_DIRF_OUT:
        return sent && !rcvd;
    case GP_DIRF_UNI:
        return rcvd != sent;
    case GP_DIRF_BI:
        return rcvd && sent;
    }
    return false;
}

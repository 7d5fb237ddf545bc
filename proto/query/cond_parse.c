#include "proto/query/cond_internal.h"

#include "proto/base/suggest.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct parser {
    const cond_tokens *tokens;
    size_t pos;
    unsigned depth;
    cond_ast *ast;
    gp_error *err;
} parser;

/* A list of operands while it grows. */
typedef struct operands {
    uint32_t first;
    uint32_t last;
    size_t n;
} operands;

static const struct {
    const char *word;
    cond_attr attr;
} attributes[] = {
    {"sip", COND_SIP},     {"src", COND_SIP},        {"dip", COND_DIP},       {"dst", COND_DIP},
    {"snet", COND_SNET},   {"dnet", COND_DNET},      {"dport", COND_DPORT},   {"port", COND_DPORT},
    {"proto", COND_PROTO}, {"protocol", COND_PROTO}, {"ipproto", COND_PROTO}, {"host", COND_HOST},
    {"net", COND_NET},     {"dir", COND_DIR},        {"direction", COND_DIR},
};

static const char *const operators[] = {
    [GP_OP_EQ] = "=", [GP_OP_NE] = "!=", [GP_OP_LT] = "<",
    [GP_OP_GT] = ">", [GP_OP_LE] = "<=", [GP_OP_GE] = ">=",
};

const char *cond_op_text(gp_cond_op op)
{
    return operators[op];
}

void cond_ast_free(cond_ast *ast)
{
    free(ast->nodes);
    *ast = (cond_ast){NULL, 0, 0, 0};
}

gp_code cond_ast_add(cond_ast *ast, const cond_ast_node *node, uint32_t *index, gp_error *err)
{
    if (ast->n == 0)
        ast->n = 1; /* index 0 means "none" */
    if (ast->n > COND_MAX_NODES)
        return gp_fail(err, GP_ELIMIT, "the condition has more than %d parts; split the query",
                       COND_MAX_NODES);
    if (ast->n >= ast->cap) {
        uint32_t cap = ast->cap ? ast->cap * 2 : 32;
        cond_ast_node *nodes = reallocarray(ast->nodes, cap, sizeof *nodes);
        if (!nodes)
            return gp_fail(err, GP_ENOMEM, "out of memory for a condition of %u parts", cap);
        ast->nodes = nodes;
        ast->cap = cap;
    }
    *index = ast->n++;
    ast->nodes[*index] = *node;
    return GP_OK;
}

static gp_code die(parser *p, const char *description)
{
    return gp_token_error(p->err, p->tokens->items, p->tokens->n, p->pos, " ", description);
}

static bool at_end(const parser *p)
{
    return p->pos >= p->tokens->n;
}

static bool accept(parser *p, const char *token)
{
    if (at_end(p) || !cond_span_is(p->tokens->items[p->pos], token))
        return false;
    p->pos++;
    return true;
}

/* v4's words, and behind them what a misspelt one was probably meant to be. */
static gp_code die_at_attribute(parser *p)
{
    static const char expected[] = "expected attribute";
    char text[64];
    gp_suggestion near = {0};
    const gp_span *word = at_end(p) ? NULL : &p->tokens->items[p->pos];
    for (size_t i = 0; word && i < sizeof attributes / sizeof attributes[0]; i++)
        gp_suggest(&near, word->at, word->len, attributes[i].word);
    if (!near.best)
        return die(p, expected);
    snprintf(text, sizeof text, "%s (did you mean %s?)", expected, near.best);
    return die(p, text);
}

static gp_code parse_attribute(parser *p, cond_ast_node *leaf)
{
    for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++) {
        if (accept(p, attributes[i].word)) {
            leaf->attr = attributes[i].attr;
            leaf->word = p->tokens->items[p->pos - 1];
            return GP_OK;
        }
    }
    return die_at_attribute(p);
}

static gp_code parse_operator(parser *p, cond_ast_node *leaf)
{
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        if (accept(p, operators[i])) {
            leaf->op = (gp_cond_op)i;
            return GP_OK;
        }
    }
    return die(p, "expected comparison operator");
}

static gp_code parse_comparison(parser *p, uint32_t *out)
{
    cond_ast_node leaf = {.type = GP_COND_LEAF};
    gp_code code = parse_attribute(p, &leaf);
    if (code == GP_OK)
        code = parse_operator(p, &leaf);
    if (code != GP_OK)
        return code;
    if (at_end(p))
        return die(p, "unexpected end of input");
    leaf.value = p->tokens->items[p->pos++];
    return cond_ast_add(p->ast, &leaf, out, p->err);
}

static gp_code parse_disjunction(parser *p, uint32_t *out);

static gp_code parse_primitive(parser *p, uint32_t *out)
{
    if (!accept(p, "("))
        return parse_comparison(p, out);
    gp_code code = parse_disjunction(p, out);
    if (code != GP_OK)
        return code;
    return accept(p, ")") ? GP_OK : die(p, "expected \")\", but didn't get it");
}

static gp_code parse_nested(parser *p, uint32_t *out);

static gp_code parse_not(parser *p, uint32_t *out)
{
    cond_ast_node node = {.type = GP_COND_NOT};
    gp_code code = parse_nested(p, &node.first);
    return code == GP_OK ? cond_ast_add(p->ast, &node, out, p->err) : code;
}

static gp_code parse_nested(parser *p, uint32_t *out)
{
    if (p->depth == COND_MAX_NESTING) {
        char text[80];
        snprintf(text, sizeof text, "nested more than %d levels deep", COND_MAX_NESTING);
        return die(p, text);
    }
    p->depth++;
    gp_code code = accept(p, "!") ? parse_not(p, out) : parse_primitive(p, out);
    p->depth--;
    return code;
}

static void append(parser *p, operands *list, uint32_t node)
{
    if (list->n++ == 0)
        list->first = node;
    else
        p->ast->nodes[list->last].next = node;
    list->last = node;
}

/* A list of one is its operand. */
static gp_code finish(parser *p, const operands *list, gp_cond_type type, uint32_t *out)
{
    *out = list->first;
    if (list->n == 1)
        return GP_OK;
    cond_ast_node node = {.type = type, .first = list->first};
    return cond_ast_add(p->ast, &node, out, p->err);
}

static gp_code parse_list(parser *p, gp_cond_type type, const char *connective,
                          gp_code (*operand)(parser *, uint32_t *), uint32_t *out)
{
    operands list = {0, 0, 0};
    do {
        uint32_t node = 0;
        gp_code code = operand(p, &node);
        if (code != GP_OK)
            return code;
        append(p, &list, node);
    } while (accept(p, connective));
    return finish(p, &list, type, out);
}

static gp_code parse_conjunction(parser *p, uint32_t *out)
{
    return parse_list(p, GP_COND_AND, "&", parse_nested, out);
}

static gp_code parse_disjunction(parser *p, uint32_t *out)
{
    return parse_list(p, GP_COND_OR, "|", parse_conjunction, out);
}

gp_code cond_parse_tokens(const cond_tokens *tokens, cond_ast *out, gp_error *err)
{
    *out = (cond_ast){NULL, 0, 0, 0};
    parser p = {.tokens = tokens, .ast = out, .err = err};
    gp_code code = parse_disjunction(&p, &out->root);
    if (code == GP_OK && !at_end(&p))
        code = die(&p, "input unexpectedly continues");
    if (code != GP_OK)
        cond_ast_free(out);
    return code;
}

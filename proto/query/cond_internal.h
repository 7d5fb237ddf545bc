/*
 * cond_internal.h - the stages of gp_cond_parse, not for use outside of proto/query and its tests:
 *
 *   text --cond_tokenize--> tokens --cond_parse_tokens--> tree --cond_take_direction-->
 *        --cond_desugar--> --cond_resolve--> tree of plain leaves --cond_build--> gp_cond
 *
 * The tree keeps conjunctions and disjunctions as lists, as the user wrote them; gp_cond has binary nodes.
 */
#ifndef GP_QUERY_COND_INTERNAL_H
#define GP_QUERY_COND_INTERNAL_H

#include "proto/query/cond.h"
#include "proto/query/token_error.h"

enum {
    COND_MAX_NODES = 65535, /* so that an index fits into 16 bits */
    COND_MAX_NESTING = 256, /* parentheses and negations around one comparison */
    COND_MAX_HOSTS = 32,    /* names to look up in one condition */
    COND_MAX_ADDRS = 64     /* addresses used of one name */
};

/* The user's text in the plain grammar (lower case, "and" -> "&", "[" -> "(", ...) and its tokens, which
 * point into it. Released by cond_tokens_free. */
typedef struct cond_tokens {
    char *text;
    gp_span *items;
    size_t n;
} cond_tokens;

gp_code cond_tokenize(const char *input, cond_tokens *out, gp_error *err);
void cond_tokens_free(cond_tokens *t);

typedef enum cond_attr {
    COND_SIP,
    COND_DIP,
    COND_SNET,
    COND_DNET,
    COND_DPORT,
    COND_PROTO,
    COND_HOST, /* sip or dip */
    COND_NET,  /* snet or dnet */
    COND_DIR
} cond_attr;

typedef struct cond_ast_node {
    gp_cond_type type;
    uint32_t first; /* AND, OR, NOT: first operand */
    uint32_t next;  /* next operand of the same list; 0: none */
    /* LEAF only: */
    cond_attr attr;
    gp_cond_op op;
    gp_span word; /* the attribute as the user wrote it */
    gp_span value;
} cond_ast_node;

/* Index 0 is not used, so that 0 means "none". */
typedef struct cond_ast {
    cond_ast_node *nodes;
    uint32_t n;
    uint32_t cap;
    uint32_t root;
} cond_ast;

void cond_ast_free(cond_ast *ast);
/* Appends a copy of node; *index is its place. GP_ELIMIT beyond COND_MAX_NODES. */
gp_code cond_ast_add(cond_ast *ast, const cond_ast_node *node, uint32_t *index, gp_error *err);
bool cond_span_is(gp_span s, const char *text);
const char *cond_op_text(gp_cond_op op);

gp_code cond_parse_tokens(const cond_tokens *tokens, cond_ast *out, gp_error *err);

/* The direction filter of a condition and where the user wrote it. */
typedef struct cond_direction {
    gp_direction_filter filter;
    gp_span word;
    gp_span value;
    bool leads; /* stood before the rest */
} cond_direction;

/* Takes the direction filter out of the tree; ast->root becomes 0 when nothing else is left. */
gp_code cond_take_direction(cond_ast *ast, cond_direction *out, gp_error *err);
/* Replaces host and net by what they stand for and refuses impossible comparisons. */
gp_code cond_desugar(cond_ast *ast, gp_error *err);

typedef struct cond_host {
    char name[256];
    gp_addr addrs[COND_MAX_ADDRS];
    size_t n_addrs;
} cond_host;

/* Fills in the addresses of n names, IPv4 first. */
typedef gp_code (*cond_resolver)(void *ctx, cond_host *hosts, size_t n, int64_t timeout_ns, gp_error *err);
/* The system's resolver, all names in parallel. */
gp_code cond_dns_resolver(void *ctx, cond_host *hosts, size_t n, int64_t timeout_ns, gp_error *err);

typedef struct cond_lookup {
    cond_resolver resolve;
    void *ctx;
    int64_t timeout_ns;
} cond_lookup;

/* Replaces host names by their addresses, whose texts are kept in *texts until the tree is released. */
gp_code cond_resolve(cond_ast *ast, const cond_lookup *lookup, char **texts, gp_error *err);

/* Removes negations, checks values and makes the condition. */
gp_code cond_build(const cond_ast *ast, const cond_direction *direction, gp_cond **out, gp_error *err);

/* gp_cond_parse with a resolver of one's own. */
gp_code cond_parse_with(const char *text, const cond_lookup *lookup, gp_cond **out, gp_error *err);

struct gp_cond {
    gp_cond_node *nodes;
    size_t n_nodes;
    int root;
    gp_direction_filter direction;
    uint32_t columns;
    gp_ip_version ip_version;
    char *text;
};

#endif

/*
 * cond.h - the condition language: which flows count.
 *
 *   disjunction := conjunction ('|' conjunction)*        also "||", "or"
 *   conjunction := negation ('&' negation)*              also "&&", "and"
 *   negation    := '!' negation | primitive              also "not"
 *   primitive   := '(' disjunction ')' | attribute comparator value
 *
 * Comparators may be words, too (eq, ne, lt, le, gt, ge, ...), and brackets and braces are parentheses.
 *
 * A condition is parsed into an arena of nodes (index-linked, no pointers), desugared (src -> sip,
 * host -> sip|dip, net -> snet|dnet, ...), with the direction filter ("dir = in & ...", one operand of the
 * topmost conjunction) split off, since that looks at aggregated counters, not at the key. Evaluation
 * belongs to the query engine.
 *
 * Guarantees to an evaluator: at most 65535 nodes; operands come before their node, so that one pass over
 * the array in order evaluates everything; negations are resolved (no GP_COND_NOT); the depth is at most
 * that of the user's nesting (256) plus the logarithms of the lists, so recursion is safe, too.
 *
 * Ownership: gp_cond is opaque, made by gp_cond_parse and released by gp_cond_free. Immutable after parse:
 * any number of threads may read it.
 */
#ifndef GP_QUERY_COND_H
#define GP_QUERY_COND_H

#include "proto/base/error.h"
#include "proto/flow/flow.h"

#include <stdint.h>

typedef enum gp_cond_op { GP_OP_EQ, GP_OP_NE, GP_OP_LT, GP_OP_GT, GP_OP_LE, GP_OP_GE } gp_cond_op;

typedef enum gp_cond_type { GP_COND_AND, GP_COND_OR, GP_COND_NOT, GP_COND_LEAF } gp_cond_type;

typedef enum gp_cond_field {
    GP_CF_SIP,
    GP_CF_DIP,
    GP_CF_SNET,
    GP_CF_DNET,
    GP_CF_DPORT,
    GP_CF_PROTO
} gp_cond_field;

typedef struct gp_cond_node {
    gp_cond_type type;
    uint16_t left;  /* AND, OR, NOT: index of the operand */
    uint16_t right; /* AND, OR: index of the second operand */
    /* LEAF only: */
    gp_cond_field field;
    gp_cond_op op;   /* addresses and networks: EQ and NE only */
    gp_addr addr;    /* SIP, DIP, SNET, DNET (network already masked) */
    uint8_t prefix;  /* SNET, DNET: prefix length in bits */
    uint16_t number; /* DPORT, PROTO */
} gp_cond_node;

typedef enum gp_direction_filter {
    GP_DIRF_NONE,
    GP_DIRF_IN,
    GP_DIRF_OUT,
    GP_DIRF_UNI,
    GP_DIRF_BI
} gp_direction_filter;

typedef enum gp_ip_version { GP_IP_ANY, GP_IP_V4, GP_IP_V6 } gp_ip_version;

typedef struct gp_cond gp_cond;

/*
 * Parses user input. An empty or blank text gives *out == NULL (no condition). Host names in sip, dip and
 * host are resolved by DNS within dns_timeout_ns (<= 0: the default of 1 s). On a syntax error GP_EINVAL with
 * the tokens, a '^' under the offending one and the description, as goProbe v4 words it; for an impossible
 * value with one line. GP_ETIMEOUT or GP_ENET where a name could not be looked up, GP_ELIMIT where the
 * condition is too large.
 */
gp_code gp_cond_parse(const char *text, int64_t dns_timeout_ns, gp_cond **out, gp_error *err);
void gp_cond_free(gp_cond *cond);

const gp_cond_node *gp_cond_nodes(const gp_cond *cond, size_t *n);
/* Index of the root, or -1 when only a direction filter was given. */
int gp_cond_root(const gp_cond *cond);
gp_direction_filter gp_cond_direction(const gp_cond *cond);
uint32_t gp_cond_columns(const gp_cond *cond); /* GP_ATTR_* that evaluation needs */
/* V4/V6 where no other family can match. Exact, unlike v4, which also limits "sip != 1.2.3.4" and
 * "sip = 1.2.3.4 | dport = 53" to IPv4. */
gp_ip_version gp_cond_ip_version(const gp_cond *cond);

/* The canonical text of the condition as it appears in results (v4's rendering). Owned by cond. */
const char *gp_cond_string(const gp_cond *cond);

/* The user's text in canonical tokens joined by blanks ("sip = 1.2.3.4 & dport = 80"), into dst; what v4
 * stores in a statement. GP_EINVAL if it cannot be tokenized. The result is malloc'ed. */
gp_code gp_cond_canonical(const char *text, char **out, gp_error *err);
/* The user's text with words and signs replaced by canonical ones and blanks kept; what v4 shows in errors.
 * The result is malloc'ed. */
gp_code gp_cond_plain(const char *text, char **out, gp_error *err);

/* Plain evaluation of one flow, for live flows and as the oracle of tests. The direction filter is not
 * part. */
bool gp_cond_match(const gp_cond *cond, const gp_flow *flow);
bool gp_direction_match(gp_direction_filter filter, const gp_counters *c);

#endif

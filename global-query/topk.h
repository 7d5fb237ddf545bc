/*
 * topk.h - the true first rows of a fleet, from hosts that each send a part of theirs.
 *
 * Where every row belongs to one host, the first rows of all hosts hold the first rows of the fleet. Where
 * rows of several hosts are summed (gp_stmt.sum_hosts), they do not: then it is asked again, in rounds, until
 * no row that was not seen, or was not seen everywhere, can be among the first. The rounds are those of TPUT
 * (P. Cao and Z. Wang, "Efficient top-K query calculation in distributed networks", PODC 2004):
 *
 *   1. every host sends its first n rows. The nth largest of the sums so far, tau, is a lower bound.
 *   2. hosts send every other row of at least tau / hosts, so that a row nobody sent is smaller than tau.
 *   3. rows whose upper bound is not below tau are looked up on the hosts that have not sent them.
 *
 * Each round is repeated as often as it takes: a host that is lost in between takes its rows with it. Hosts
 * send the fingerprints of all their rows in round 2, from which follows how many rows the fleet has. Where
 * the rest of the lists is small, the order is not one of sums from the largest, or a host does not
 * understand narrow.h, the rest of its list is asked for instead.
 *
 * This is arithmetic only; whoever uses it asks the hosts:
 *
 *   while (gp_topk_next(t, &n, err) == GP_OK && n > 0)
 *       for each host h with gp_topk_ask_of(t, h):
 *           gp_topk_add(t, h, answer, err), or gp_topk_lose(t, h)
 *
 * Not thread-safe.
 */
#ifndef GP_GLOBAL_QUERY_TOPK_H
#define GP_GLOBAL_QUERY_TOPK_H

#include "proto/result/result.h"

typedef struct gp_topk gp_topk;

/* What to ask of a host: the query with these members. */
typedef struct gp_topk_ask {
    uint64_t num_results;
    gp_narrow narrow; /* `only` belongs to the gp_topk until the answer is added */
} gp_topk_ask;

typedef struct gp_topk_stats {
    unsigned rounds;
    uint64_t rows_received;
    uint64_t rows_left; /* that the hosts have and were not asked for */
} gp_topk_stats;

/* max_bytes: memory that the query may take, 0: no limit. */
gp_code gp_topk_new(gp_topk **out, const gp_stmt *stmt, size_t n_hosts, size_t max_bytes, gp_error *err);
void gp_topk_free(gp_topk *t);

/* Begins the next round; *n hosts must be asked. 0: the answer is there. */
gp_code gp_topk_next(gp_topk *t, size_t *n, gp_error *err);
/* NULL: the host is not asked in this round. */
const gp_topk_ask *gp_topk_ask_of(const gp_topk *t, size_t host);
/* Takes the answer's content. GP_ECORRUPT or GP_EUNSUPPORTED: the host contradicts itself and is lost; other
 * codes (GP_ELIMIT: max_bytes) end the query. */
gp_code gp_topk_add(gp_topk *t, size_t host, gp_result *answer, gp_error *err);
/* The host is gone: nothing that it sent counts. */
void gp_topk_lose(gp_topk *t, size_t host);
/* What an answer says of the host beside its rows, NULL if there is none. */
const gp_result *gp_topk_summary(const gp_topk *t, size_t host);

size_t gp_topk_rows(const gp_topk *t); /* rows so far */
gp_topk_stats gp_topk_get_stats(const gp_topk *t);
/* The first `limit` rows of what is known, sorted, with all of the summary but the statuses of hosts;
 * hits_total is exact once gp_topk_next gave 0. */
gp_code gp_topk_result(const gp_topk *t, uint64_t limit, gp_result *out, gp_error *err);

#endif

/*
 * dns.h - names of addresses by reverse DNS (getnameinfo(3)), many at a time and within a time limit.
 *
 * What is not answered in time keeps its address. Lookups run in detached threads that outlive a call which
 * gave up on them; what they share is reference-counted. Thread-safe.
 */
#ifndef GP_RESULT_DNS_H
#define GP_RESULT_DNS_H

#include "proto/result/result.h"

typedef struct gp_dns_names gp_dns_names;

/* Looks up all of these. *out may be free of names, never NULL on success. */
gp_code gp_dns_lookup_addrs(const gp_addr *addrs, size_t n, int64_t timeout_ns, gp_dns_names **out,
                            gp_error *err);
/* Looks up the sip and dip of the first max_rows rows. */
gp_code gp_dns_lookup(const gp_result *r, int64_t max_rows, int64_t timeout_ns, gp_dns_names **out,
                      gp_error *err);
const char *gp_dns_name(const gp_dns_names *n, const gp_addr *a); /* NULL: none known */
void gp_dns_free(gp_dns_names *n);

#endif

/*
 * report.h - prints results for people (txt) and for spreadsheets (csv), in the layout of goProbe v4's
 * goQuery. (JSON is gp_result_to_json.)
 *
 * Everything appends to a gp_buf; out->failed tells of lack of memory. Stateless.
 */
#ifndef GP_CLIENT_REPORT_H
#define GP_CLIENT_REPORT_H

#include "proto/result/dns.h"
#include "proto/result/result.h"

typedef struct gp_report_options {
    const gp_query_type *type; /* attributes and labels to show */
    gp_direction direction;
    gp_sort sort_by;
    const gp_dns_names *names; /* NULL: addresses as they are */
    bool query_stats;          /* print how much of the database was read */
    bool color;                /* of txt */
} gp_report_options;

/* txt tells at its end which hosts answered, but not with all that was asked for; csv does not, so that it
 * can be read by programs. */
void gp_report_txt(const gp_result *r, const gp_report_options *opt, gp_buf *out);
void gp_report_csv(const gp_result *r, const gp_report_options *opt, gp_buf *out);

/* That alone: a line for each of the first `most` such hosts, with `first` before the first of them and
 * `more` before the others. Says how many there are. */
size_t gp_report_warnings(const gp_result *r, const char *first, const char *more, size_t most, gp_buf *out);

#endif

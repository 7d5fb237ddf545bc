/*
 * problem.h - RFC 9457 problem details ("application/problem+json") as goProbe v4 sends them:
 *   {"title":"Unprocessable Entity","status":422,"detail":"...","errors":[{"message","location","value"}]}
 *
 * Ownership: a zeroed gp_problem is empty; gp_problem_free releases it. Not thread-safe.
 */
#ifndef GP_QUERY_PROBLEM_H
#define GP_QUERY_PROBLEM_H

#include "proto/base/buf.h"
#include "proto/base/error.h"

typedef struct gp_problem_detail {
    char *message;
    char *location; /* "body.ifaces", "query.format", ... */
    char *value;    /* JSON text of the offending value, or NULL */
} gp_problem_detail;

typedef struct gp_problem {
    int status;
    char *title; /* NULL: the standard reason phrase of status */
    char *detail;
    gp_problem_detail *errors;
    size_t n_errors;
} gp_problem;

#define GP_PROBLEM_INIT                                                                                      \
    {                                                                                                        \
        0, NULL, NULL, NULL, 0                                                                               \
    }

/* Both copy their texts; out of memory drops the detail but never the status. */
void gp_problem_set(gp_problem *p, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void gp_problem_add(gp_problem *p, const char *location, const char *value_json, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void gp_problem_free(gp_problem *p);

void gp_problem_to_json(const gp_problem *p, gp_buf *out);
/* Parses a peer's error body; false (and *out untouched) if it is not a problem document. */
bool gp_problem_from_json(const char *text, size_t len, gp_problem *out);
/* For people: title and detail, then the errors as below. */
void gp_problem_to_text(const gp_problem *p, gp_buf *out);
/* The errors only, each as an empty line, the underlined location and value, and the message; every line
 * starts with a line feed and `indent` blanks. What goquery v4 shows after "failed to prepare query:" (4). */
void gp_problem_errors_to_text(const gp_problem *p, unsigned indent, gp_buf *out);
/* HTTP status that fits a code: 400, 404, 403, 429, 503, 504, 500, ... */
int gp_problem_status_of(gp_code code);

#endif

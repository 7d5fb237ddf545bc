/* goquery.h - the parts of the program goquery; not for anybody else. */
#ifndef GP_CLIENT_GOQUERY_H
#define GP_CLIENT_GOQUERY_H

#include "proto/base/error.h"
#include "proto/query/args.h"

#include <stdio.h>

typedef enum command { CMD_QUERY, CMD_LIST, CMD_HELP, CMD_EXAMPLES, CMD_VERSION, CMD_COMPLETION } command;

/* Everything that flags, environment and configuration file say. Strings point into argv or are malloc'ed. */
typedef struct options {
    command cmd;
    gp_args args;
    char *db;           /* local database */
    char *server;       /* query server; NULL or empty: local */
    char *stored_query; /* file with query arguments, "-" for standard input */
    char *query_log;
    char *token, *token_file; /* for the query server; NULL: none */
    char *tls_ca, *tls_cert, *tls_key;
    int64_t timeout_ns;
    bool query_stats;
    bool plot; /* traffic over time below the table */
    bool streaming;
    bool detailed; /* list -v */
    char **rest;   /* what follows a command */
    int n_rest;
} options;

/* GP_EINVAL with a message for the user. */
gp_code options_parse(int argc, char **argv, options *out, gp_error *err);
void options_free(options *o);

void print_usage(FILE *to);
void print_help(void);
void print_examples(void);

/* Runs the query of o->args and prints the answer. */
gp_code run_query(options *o, gp_error *err);
gp_code run_list(const options *o, gp_error *err);
/* Candidates for the completion of shells, one a line. */
gp_code run_completion(const options *o, gp_error *err);
void print_flags(void); /* options.c */

#endif

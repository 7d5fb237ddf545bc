/*
 * top_talkers.c - asks a sensor who moved most bytes in the last hour.
 *
 *   cc top_talkers.c $(pkg-config --cflags --libs gpclient) -o top_talkers
 *   ./top_talkers localhost:8145 eth0
 *   ./top_talkers unix:/run/goprobe.sock eth0,eth1 5
 */
#include "client/gpclient.h"

#include <stdio.h>
#include <stdlib.h>

static void print_rows(const gp_result *result)
{
    printf("%-39s %-39s %12s %12s\n", "source", "destination", "received", "sent");
    for (size_t i = 0; i < result->n_rows; i++) {
        const gp_row *row = &result->rows[i];
        char sip[GP_ADDR_STRLEN];
        char dip[GP_ADDR_STRLEN];
        gp_addr_format(&row->sip, sip);
        gp_addr_format(&row->dip, dip);
        printf("%-39s %-39s %12llu %12llu\n", sip, dip, (unsigned long long)row->c.bytes_rcvd,
               (unsigned long long)row->c.bytes_sent);
    }
}

static gp_code ask(const char *addr, const gp_args *args, gp_error *err)
{
    gp_client *client = NULL;
    gp_client_config config = {.addr = addr, .timeout_ns = INT64_C(30000000000)};
    gp_code code = gp_client_new(&client, &config, err);
    if (code != GP_OK)
        return code;
    gp_result result;
    gp_result_init(&result);
    code = gp_client_query(client, args, &result, NULL, err);
    if (code == GP_OK)
        print_rows(&result);
    gp_result_free(&result);
    gp_client_free(client);
    return code;
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: %s ADDRESS INTERFACES [ROWS]\n", argv[0]);
        return EXIT_FAILURE;
    }
    gp_error err = GP_ERROR_INIT;
    gp_args args;
    gp_args_init(&args);
    args.num_results = argc == 4 ? strtoull(argv[3], NULL, 10) : 10;
    gp_code code = gp_args_set(&args.query, "sip,dip", &err);
    if (code == GP_OK)
        code = gp_args_set(&args.ifaces, argv[2], &err);
    if (code == GP_OK)
        code = gp_args_set(&args.first, "-1h", &err);
    if (code == GP_OK)
        code = ask(argv[1], &args, &err);
    gp_args_free(&args);
    if (code != GP_OK) {
        fprintf(stderr, "top_talkers: %s\n", err.msg);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

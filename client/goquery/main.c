#include "client/goquery/goquery.h"

#include "proto/base/version.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

/* The only state that outlives a call: set by signals, read by the query's cancel hook. */
static volatile sig_atomic_t stop_signal;
static struct timespec deadline; /* CLOCK_MONOTONIC; 0: none; written once before the query */

static void on_signal(int sig)
{
    stop_signal = sig;
}

bool interrupted(void *ctx)
{
    (void)ctx;
    struct timespec now;
    if (stop_signal)
        return true;
    if (!deadline.tv_sec)
        return false;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > deadline.tv_sec || (now.tv_sec == deadline.tv_sec && now.tv_nsec >= deadline.tv_nsec);
}

static void set_deadline(int64_t timeout_ns)
{
    if (timeout_ns <= 0)
        return;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    int64_t ns = deadline.tv_nsec + timeout_ns % 1000000000;
    deadline.tv_sec += timeout_ns / 1000000000 + ns / 1000000000;
    deadline.tv_nsec = ns % 1000000000;
}

static gp_code run(options *o, gp_error *err)
{
    switch (o->cmd) {
    case CMD_HELP:
        print_help();
        return GP_OK;
    case CMD_EXAMPLES:
        print_examples();
        return GP_OK;
    case CMD_VERSION:
        printf("goquery %s (%s)\n", gp_version(), gp_version_commit());
        return GP_OK;
    case CMD_LIST:
        return run_list(o, err);
    case CMD_COMPLETION:
        return run_completion(o, err);
    default:
        set_deadline(o->timeout_ns);
        return run_query(o, err);
    }
}

int main(int argc, char **argv)
{
    options o;
    gp_error err = GP_ERROR_INIT;
    struct sigaction sa = {.sa_handler = on_signal};
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    gp_code code = options_parse(argc, argv, &o, &err);
    if (code == GP_OK)
        code = run(&o, &err);
    options_free(&o);
    if (fflush(stdout) != 0 && code == GP_OK)
        code = gp_fail(&err, GP_EIO, "failed to print query result");
    if (code != GP_OK) {
        fprintf(stderr, "Error running query: %s\n", err.msg);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

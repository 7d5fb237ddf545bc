#include "client/gpctl/gpctl.h"

#include <signal.h>

/* SIGINT and SIGTERM stay blocked during a request: that one is pending says that the user gave up. */
bool interrupted(void *ctx)
{
    (void)ctx;
    sigset_t pending;
    return sigpending(&pending) == 0 && (sigismember(&pending, SIGINT) || sigismember(&pending, SIGTERM));
}

void block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

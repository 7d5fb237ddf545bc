#include "client/term/term.h"

#include <signal.h>

bool gp_interrupted(void *ctx)
{
    (void)ctx;
    sigset_t pending;
    return sigpending(&pending) == 0 && (sigismember(&pending, SIGINT) || sigismember(&pending, SIGTERM));
}

static void mask_interrupts(int how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(how, &set, NULL);
}

void gp_block_interrupts(void)
{
    mask_interrupts(SIG_BLOCK);
}

void gp_unblock_interrupts(void)
{
    mask_interrupts(SIG_UNBLOCK);
}

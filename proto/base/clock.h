/*
 * clock.h - the time that passes: CLOCK_MONOTONIC, which nobody sets, in nanoseconds.
 *
 * Durations, deadlines and waits go by it; what users see is CLOCK_REALTIME and not of this file.
 * Thread-safe.
 */
#ifndef GP_BASE_CLOCK_H
#define GP_BASE_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define GP_NS_PER_SEC INT64_C(1000000000)

#define GP_CLOCK_NEVER INT64_MAX /* a deadline that is not reached */

int64_t gp_clock_ns(void);
/* `ns` from now; GP_CLOCK_NEVER if that is too far away to say. */
int64_t gp_clock_after(int64_t ns);
/* Seconds that have passed since gp_clock_ns() was `start_ns`. */
double gp_clock_seconds_since(int64_t start_ns);

/* A condition variable for gp_clock_wait. Destroy it with pthread_cond_destroy. */
void gp_clock_cond_init(pthread_cond_t *cond);
/* As pthread_cond_timedwait (spurious wakeups, too); false when `until_ns` is over. */
bool gp_clock_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_ns);

#endif

/* Outcomes of hosts from several threads: all of them are told of, one at a time, and nobody waits for ever.
 */
#include "client/gather.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { SMALL = 1, LARGE = (15 << 20) / sizeof(gp_row) /* two of them are more than may wait */ };

static const gp_fanout_host host = {.name = "h"};

typedef struct listener {
    gp_gather *gather;
    sem_t go_on; /* the first callback waits for it */
    atomic_size_t told, answers;
    atomic_bool inside;
    bool holds;
} listener;

static void tell(void *ctx, const gp_fanout_host *h, gp_result *result, int64_t took_ns, const gp_error *err)
{
    listener *l = ctx;
    (void)h;
    (void)took_ns;
    (void)err;
    assert_false(atomic_exchange(&l->inside, true));
    if (atomic_fetch_add(&l->told, 1) == 0 && l->holds)
        sem_wait(&l->go_on);
    l->answers += result != NULL;
    atomic_store(&l->inside, false);
}

static bool poll_nothing(void *ctx)
{
    (void)ctx;
    return false;
}

static void put(listener *l, size_t rows)
{
    gp_result r;
    gp_result_init(&r);
    r.rows = calloc(rows, sizeof *r.rows);
    r.cap_rows = r.rows ? rows : 0;
    gp_gather_put(l->gather, &host, &r, 0, NULL);
    gp_result_free(&r);
}

static void *put_small(void *ctx)
{
    put(ctx, SMALL);
    return NULL;
}

static void *put_large(void *ctx)
{
    put(ctx, LARGE);
    return NULL;
}

static void open_gather(listener *l, size_t n)
{
    const gp_gather_hooks hooks = {tell, l, poll_nothing, NULL};
    sem_init(&l->go_on, 0, 0);
    assert_int_equal(gp_gather_new(&l->gather, n, &hooks, NULL), GP_OK);
}

static void await_told(listener *l, size_t n)
{
    while (atomic_load(&l->told) < n)
        usleep(1000);
}

/* The thread that told of what came before has done its share and goes; the one that waits must go on. */
static void who_waits_for_room_makes_it(void **state)
{
    (void)state;
    listener l = {.holds = true};
    pthread_t first;
    pthread_t waits;
    struct timespec end;
    open_gather(&l, 4);
    assert_int_equal(pthread_create(&first, NULL, put_small, &l), 0);
    await_told(&l, 1); /* and holds there */
    put(&l, SMALL);
    put(&l, LARGE);
    assert_int_equal(pthread_create(&waits, NULL, put_large, &l), 0);
    usleep(50000); /* it has no room by now */
    sem_post(&l.go_on);
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 10;
    assert_int_equal(pthread_timedjoin_np(waits, NULL, &end), 0);
    pthread_join(first, NULL);
    gp_gather_help(l.gather);
    assert_true(gp_gather_is_complete(l.gather));
    assert_int_equal(l.answers, 4);
    gp_gather_free(l.gather);
    sem_destroy(&l.go_on);
}

enum { THREADS = 4, EACH = 200 };

static void *put_many(void *ctx)
{
    for (size_t i = 0; i < EACH; i++)
        put(ctx, i % 50 == 7 ? LARGE : SMALL);
    gp_gather_help(((listener *)ctx)->gather);
    return NULL;
}

static void all_are_told_of_one_at_a_time(void **state)
{
    (void)state;
    listener l = {.holds = false};
    pthread_t threads[THREADS];
    open_gather(&l, THREADS * EACH);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, put_many, &l), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(gp_gather_is_complete(l.gather));
    assert_int_equal(l.answers, THREADS * EACH);
    gp_gather_free(l.gather);
    sem_destroy(&l.go_on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_waits_for_room_makes_it),
        cmocka_unit_test(all_are_told_of_one_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

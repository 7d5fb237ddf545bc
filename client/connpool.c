#include "client/connpool.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xxhash.h>

enum { BUCKETS = 1024 };

/* In two lists: of its bucket, newest first, and of all by age. */
typedef struct conn {
    struct conn *next;            /* in the bucket */
    struct conn *older, *younger; /* of all */
    size_t bucket;
    int fd;
    char addr[];
} conn;

struct gp_connpool {
    pthread_mutex_t lock;
    size_t most, n;
    conn *oldest, *youngest;
    conn *buckets[BUCKETS];
};

gp_code gp_connpool_new(gp_connpool **out, size_t most, gp_error *err)
{
    gp_connpool *p = calloc(1, sizeof *p);
    if (!p)
        return gp_fail(err, GP_ENOMEM, "out of memory for connections");
    pthread_mutex_init(&p->lock, NULL);
    p->most = most;
    *out = p;
    return GP_OK;
}

static size_t bucket_of(const char *addr)
{
    return (size_t)XXH3_64bits(addr, strlen(addr)) % BUCKETS;
}

static void unlink_conn(gp_connpool *p, conn *c)
{
    conn **at = &p->buckets[c->bucket];
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    *(c->older ? &c->older->younger : &p->oldest) = c->younger;
    *(c->younger ? &c->younger->older : &p->youngest) = c->older;
    p->n--;
}

static void link_conn(gp_connpool *p, conn *c)
{
    c->next = p->buckets[c->bucket];
    p->buckets[c->bucket] = c;
    c->older = p->youngest;
    c->younger = NULL;
    *(c->older ? &c->older->younger : &p->oldest) = c;
    p->youngest = c;
    p->n++;
}

/* Removes and frees; the connection stays open. */
static int remove_conn(gp_connpool *p, conn *c)
{
    int fd = c->fd;
    unlink_conn(p, c);
    free(c);
    return fd;
}

void gp_connpool_free(gp_connpool *p)
{
    if (!p)
        return;
    while (p->oldest)
        close(remove_conn(p, p->oldest));
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static int take_any(gp_connpool *p, const char *addr)
{
    pthread_mutex_lock(&p->lock);
    conn *c = p->buckets[bucket_of(addr)];
    while (c && strcmp(c->addr, addr) != 0)
        c = c->next;
    int fd = c ? remove_conn(p, c) : -1;
    pthread_mutex_unlock(&p->lock);
    return fd;
}

/* Nothing to read is as it should be: an end, an error or words that nobody asked for are not. */
static bool is_usable(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

int gp_connpool_take(gp_connpool *p, const char *addr)
{
    if (!p)
        return -1;
    int fd = take_any(p, addr);
    while (fd >= 0 && !is_usable(fd)) {
        close(fd);
        fd = take_any(p, addr);
    }
    return fd;
}

void gp_connpool_give(gp_connpool *p, const char *addr, int fd)
{
    size_t len = strlen(addr) + 1;
    conn *c = p && p->most ? malloc(sizeof *c + len) : NULL;
    if (!c) {
        close(fd);
        return;
    }
    c->fd = fd;
    c->bucket = bucket_of(addr);
    memcpy(c->addr, addr, len);
    pthread_mutex_lock(&p->lock);
    link_conn(p, c);
    int surplus = p->n > p->most ? remove_conn(p, p->oldest) : -1;
    pthread_mutex_unlock(&p->lock);
    if (surplus >= 0)
        close(surplus);
}

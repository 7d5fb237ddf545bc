#include "client/sp.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PROTOCOL_REQ = 3 * 16,
    PROTOCOL_REP = 3 * 16 + 1,
    GREETING = 8,
    LENGTH = 8,
    IPC_MESSAGE = 1, /* the only type of message that the IPC mapping has */
    ID = 4,
    FIRST_ROOM = 16 << 10
};

static void put_be(gp_buf *out, uint64_t v, size_t n)
{
    for (size_t i = n; i-- > 0;)
        gp_buf_putc(out, (char)(v >> 8 * i));
}

static uint64_t get_be(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

gp_code gp_sp_open(gp_sp *s, int fd, bool ipc, bool fresh, size_t max_message, gp_error *err)
{
    static const uint8_t greeting[GREETING] = {0, 'S', 'P', 0, 0, PROTOCOL_REQ, 0, 0};
    *s = (gp_sp){.fd = fd, .ipc = ipc, .greeted = !fresh, .max_message = max_message};
    if (fresh)
        gp_buf_add(&s->out, greeting, sizeof greeting);
    return s->out.failed ? gp_fail(err, GP_ENOMEM, "out of memory for a request") : GP_OK;
}

int gp_sp_detach(gp_sp *s)
{
    bool clean = s->greeted && !gp_sp_unsent(s) && s->n_head == 0 && s->in.len == 0;
    int fd = clean ? s->fd : -1;
    if (clean)
        s->fd = -1;
    gp_sp_close(s);
    return fd;
}

void gp_sp_close(gp_sp *s)
{
    if (s->fd >= 0)
        close(s->fd);
    gp_buf_free(&s->out);
    gp_buf_free(&s->in);
    *s = (gp_sp){.fd = -1};
}

/* ---- sending ------------------------------------------------------------------------------------------- */

gp_code gp_sp_request(gp_sp *s, uint32_t id, const gp_buf *body, gp_error *err)
{
    if (!gp_sp_unsent(s)) {
        gp_buf_clear(&s->out);
        s->sent = 0;
    }
    if (s->ipc)
        gp_buf_putc(&s->out, IPC_MESSAGE);
    put_be(&s->out, body->len + ID, LENGTH);
    put_be(&s->out, id, ID);
    gp_buf_add(&s->out, body->data, body->len);
    return s->out.failed || body->failed ? gp_fail(err, GP_ENOMEM, "out of memory for a request") : GP_OK;
}

gp_code gp_sp_flush(gp_sp *s, gp_error *err)
{
    while (gp_sp_unsent(s)) {
        ssize_t n = send(s->fd, s->out.data + s->sent, s->out.len - s->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0)
            s->sent += (size_t)n;
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            return GP_OK;
        else if (errno != EINTR)
            return gp_fail(err, GP_ENET, "sending failed: %s", strerror(errno));
    }
    return GP_OK;
}

/* ---- receiving ----------------------------------------------------------------------------------------- */

typedef enum taken { MORE, NOTHING, BROKEN } taken;

/* At most n bytes; *got says how many. */
static taken take(gp_sp *s, void *to, size_t n, size_t *got, gp_error *err)
{
    ssize_t k;
    do
        k = recv(s->fd, to, n, MSG_DONTWAIT);
    while (k < 0 && errno == EINTR);
    *got = k > 0 ? (size_t)k : 0;
    s->received |= k > 0;
    if (k > 0)
        return MORE;
    if (k < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return NOTHING;
    gp_fail(err, GP_ENET, "%s", k < 0 ? strerror(errno) : "the connection was closed before the answer");
    return BROKEN;
}

static gp_sp_state fail(gp_error *err, const char *what)
{
    gp_fail(err, GP_ECORRUPT, "%s", what);
    return GP_SP_FAILED;
}

/* "\0SP\0", the protocol of the other side, two zeros. */
static bool is_greeting(const uint8_t *p)
{
    static const uint8_t want[GREETING] = {0, 'S', 'P', 0, 0, PROTOCOL_REP, 0, 0};
    return memcmp(p, want, GREETING) == 0;
}

static gp_sp_state read_greeting(gp_sp *s, gp_error *err)
{
    if (!is_greeting(s->head))
        return fail(err, "this is no nanomsg endpoint that answers requests");
    s->greeted = true;
    s->n_head = 0;
    return GP_SP_WAIT;
}

static gp_sp_state read_length(gp_sp *s, gp_error *err)
{
    if (s->ipc && s->head[0] != IPC_MESSAGE)
        return fail(err, "the endpoint sends messages of an unknown type");
    uint64_t size = get_be(s->head + s->ipc, LENGTH);
    if (size < ID)
        return fail(err, "the endpoint sends a message without a request number");
    if (size > s->max_message) {
        gp_fail(err, GP_ELIMIT, "the answer of %llu bytes is larger than the %zu that are accepted",
                (unsigned long long)size, s->max_message);
        return GP_SP_FAILED;
    }
    s->size = (size_t)size;
    return GP_SP_WAIT;
}

static size_t head_size(const gp_sp *s)
{
    return !s->greeted ? GREETING : (size_t)s->ipc + LENGTH;
}

/* Memory follows what has come, not what is announced. */
static bool make_room(gp_sp *s)
{
    size_t room = s->in.len ? s->in.len : FIRST_ROOM;
    return gp_buf_reserve(&s->in, room < s->size - s->in.len ? room : s->size - s->in.len);
}

gp_sp_state gp_sp_receive(gp_sp *s, gp_error *err)
{
    for (;;) {
        size_t got;
        taken t;
        bool in_head = s->n_head < head_size(s);
        if (!in_head && s->in.len == s->size)
            return GP_SP_MESSAGE;
        if (in_head) {
            t = take(s, s->head + s->n_head, head_size(s) - s->n_head, &got, err);
            s->n_head += got;
            if (t == MORE && s->n_head == head_size(s) &&
                (s->greeted ? read_length(s, err) : read_greeting(s, err)) == GP_SP_FAILED)
                return GP_SP_FAILED;
        } else {
            if (s->in.len + 1 >= s->in.cap && !make_room(s)) {
                gp_fail(err, GP_ENOMEM, "out of memory for an answer of %zu bytes", s->size);
                return GP_SP_FAILED;
            }
            size_t room = s->in.cap - 1 - s->in.len;
            size_t want = s->size - s->in.len;
            t = take(s, s->in.data + s->in.len, want < room ? want : room, &got, err);
            s->in.len += got;
        }
        if (t != MORE)
            return t == NOTHING ? GP_SP_WAIT : GP_SP_FAILED;
    }
}

bool gp_sp_reply(const gp_sp *s, uint32_t *id, const char **body, size_t *len)
{
    if (s->in.len < ID)
        return false;
    *id = (uint32_t)get_be((const uint8_t *)s->in.data, ID);
    *body = s->in.data + ID;
    *len = s->in.len - ID;
    return true;
}

void gp_sp_next(gp_sp *s)
{
    gp_buf_clear(&s->in);
    s->size = 0;
    s->n_head = 0;
}

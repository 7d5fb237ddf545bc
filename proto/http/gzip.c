#include "proto/http/gzip.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

/* The value of a ";q=" parameter in [p, end): whether it is above zero. */
static bool weight_positive(const char *p, const char *end)
{
    for (; p + 1 < end; p++)
        if ((*p == 'q' || *p == 'Q') && p[1] == '=')
            return strtod(p + 2, NULL) > 0;
    return true;
}

bool gp_http_accepts_gzip(const char *accept_encoding)
{
    for (const char *p = accept_encoding; p && *p;) {
        const char *end = p + strcspn(p, ",");
        p += strspn(p, " \t");
        size_t name = strcspn(p, ",; \t");
        if ((name == 4 && strncasecmp(p, "gzip", 4) == 0) || (name == 1 && *p == '*'))
            return weight_positive(p + name, end);
        p = *end ? end + 1 : end;
    }
    return false;
}

bool gp_http_gzip(const gp_buf *in, gp_gzip_effort effort, gp_buf *out)
{
    z_stream z;
    memset(&z, 0, sizeof z);
    if (in->len > UINT_MAX / 2)
        return false;
    /* 15 bits of window, 16 for a gzip header. */
    if (deflateInit2(&z, (int)effort, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    uLong bound = deflateBound(&z, (uLong)in->len);
    bool ok = gp_buf_reserve(out, bound);
    if (ok) {
        z.next_in = (Bytef *)in->data;
        z.avail_in = (uInt)in->len;
        z.next_out = (Bytef *)out->data;
        z.avail_out = (uInt)bound;
        ok = deflate(&z, Z_FINISH) == Z_STREAM_END && z.total_out < in->len;
        out->len = z.total_out;
    }
    deflateEnd(&z);
    return ok;
}

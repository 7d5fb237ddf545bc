#include "sensor/capture/source_impl.h"

void gp_source_close(gp_source *s)
{
    if (s)
        s->ops->close(s);
}

gp_code gp_source_read(gp_source *s, int wake_fd, int timeout_ms, gp_frame_sink sink, void *ctx, bool *end,
                       gp_error *err)
{
    *end = false;
    return s->ops->read(s, wake_fd, timeout_ms, sink, ctx, end, err);
}

gp_code gp_source_stats(gp_source *s, gp_source_counts *out, gp_error *err)
{
    *out = (gp_source_counts){0};
    return s->ops->stats(s, out, err);
}

bool gp_source_counts_itself(const gp_source *s)
{
    return s->ops->collect != NULL;
}

gp_code gp_source_collect(gp_source *s, gp_sums_sink sink, void *ctx, gp_source_sums *out, gp_error *err)
{
    return s->ops->collect(s, sink, ctx, out, err);
}

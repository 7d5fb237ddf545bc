/* source_impl.h - what every kind of source provides; for the files that implement one. */
#ifndef GP_CAPTURE_SOURCE_IMPL_H
#define GP_CAPTURE_SOURCE_IMPL_H

#include "sensor/capture/source.h"

typedef struct gp_source_ops {
    void (*close)(gp_source *s);
    gp_code (*read)(gp_source *s, int wake_fd, int timeout_ms, gp_frame_sink sink, void *ctx, bool *end,
                    gp_error *err);
    gp_code (*stats)(gp_source *s, gp_source_counts *out, gp_error *err);
    gp_code (*collect)(gp_source *s, gp_sums_sink sink, void *ctx, gp_source_sums *out, gp_error *err);
} gp_source_ops;

/* First member of every source. */
struct gp_source {
    const gp_source_ops *ops;
};

#endif

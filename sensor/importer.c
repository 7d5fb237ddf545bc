#include "sensor/importer.h"
#include "proto/query/ifsel.h"
#include "sensor/capture/import.h"
#include "sensor/dbsink/dbsink.h"

#include <inttypes.h>
#include <stdio.h>

static gp_code import_one(const char *path, const char *iface, gp_dbsink *sink, gp_error *err)
{
    gp_import_stats st = {0};
    const gp_import_options opt = {.iface = iface};
    gp_code rc = gp_capture_import(path, &opt, gp_dbsink_write, sink, &st, err);
    if (rc != GP_OK && st.packets == 0)
        return rc;
    printf("%s: %" PRIu64 " packets, %" PRIu64 " bytes, %" PRIu64 " flows in %" PRIu64 " blocks", path,
           st.packets, st.bytes, st.flows, st.blocks);
    uint64_t lost = st.parse_errors[GP_PARSE_FRAGMENT] + st.parse_errors[GP_PARSE_INVALID_IP] +
                    st.parse_errors[GP_PARSE_TRUNCATED];
    if (lost)
        printf(", %" PRIu64 " packets without flow", lost);
    if (st.out_of_order)
        printf(", %" PRIu64 " packets out of order", st.out_of_order);
    putchar('\n');
    return rc;
}

gp_code gp_import_files(const gp_cmdline *c, gp_error *err)
{
    gp_codec_type codec = GP_CODEC_LZ4;
    gp_dbsink *sink = NULL;
    if (!gp_iface_name_valid(c->iface) || *c->iface == '!')
        return gp_fail(err, GP_EINVAL, "'%s' cannot be the name of an interface", c->iface);
    gp_code rc = c->codec ? gp_codec_parse(c->codec, &codec, err) : GP_OK;
    if (rc == GP_OK)
        rc = gp_dbsink_check_db(c->db, err);
    if (rc == GP_OK) {
        const gp_dbsink_config cfg = {.db = c->db, .codec = codec};
        rc = gp_dbsink_new(&sink, &cfg, err);
    }
    for (size_t i = 0; rc == GP_OK && i < c->n_files; i++)
        rc = import_one(c->files[i], c->iface, sink, err);
    gp_dbsink_free(sink);
    return rc;
}

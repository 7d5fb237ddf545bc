/*
 * capconfig.h - capture settings of an interface as they appear in configuration files and on /config.
 *
 * {"eth0": {"ignore_vlans": false, "promisc": false, "ring_buffer": {"block_size": 1048576,
 *           "num_blocks": 4}, "extra_bpf_filters": null, "disable": false}, ...}
 *
 * Beyond v4, and only written where given: "num_rings" in "ring_buffer", "max_flows" and "in_kernel".
 *
 * Ownership: gp_capconfig_map owns its entries; freed by gp_capconfig_map_free.
 */
#ifndef GP_CONTROL_CAPCONFIG_H
#define GP_CONTROL_CAPCONFIG_H

#include "proto/base/buf.h"
#include "proto/base/error.h"
#include "proto/query/problem.h"

#include <stdint.h>

struct gp_yaml_node; /* proto/yaml/yaml.h */

typedef struct gp_bpf_insn { /* classic BPF, struct sock_filter */
    uint16_t op;
    uint8_t jt, jf;
    uint32_t k;
} gp_bpf_insn;

enum { GP_MAX_EXTRA_BPF = 256 };

typedef struct gp_capconfig {
    bool ignore_vlans;
    bool promisc;
    bool in_kernel; /* a program in the kernel counts (eBPF), where that is possible */
    bool disable;
    bool has_ring;          /* ring_buffer given */
    int64_t block_size;     /* default 1 MiB */
    int64_t num_blocks;     /* default 4 */
    int64_t num_rings;      /* that share the packets; 0: not given, one */
    int64_t max_flows;      /* in an interval; 0: not given, in proportion to memory */
    gp_bpf_insn *extra_bpf; /* malloc'ed, NULL for none */
    size_t n_extra_bpf;
} gp_capconfig;

enum { GP_RING_BLOCK_SIZE = 1 << 20, GP_RING_NUM_BLOCKS = 4, GP_RING_MAX_RINGS = 64 };
#define GP_MAX_FLOWS (INT64_C(1) << 30)

typedef struct gp_capconfig_entry {
    char *name; /* an interface, or "/regex/" */
    gp_capconfig cfg;
} gp_capconfig_entry;

typedef struct gp_capconfig_map {
    gp_capconfig_entry *entries; /* sorted by name */
    size_t n;
} gp_capconfig_map;

void gp_capconfig_default(gp_capconfig *c); /* 4 blocks of 1 MiB */
bool gp_capconfig_equal(const gp_capconfig *a, const gp_capconfig *b);
gp_code gp_capconfig_copy(const gp_capconfig *from, gp_capconfig *to, gp_error *err);
void gp_capconfig_free(gp_capconfig *c);
/* Bounds and combinations, worded as goProbe v4 does; "<name>: " in front unless name is NULL. */
gp_code gp_capconfig_validate(const char *name, const gp_capconfig *c, gp_error *err);

/* Takes over *cfg (and empties it); replaces an entry of the same name. */
gp_code gp_capconfig_map_put(gp_capconfig_map *m, const char *name, gp_capconfig *cfg, gp_error *err);
const gp_capconfig *gp_capconfig_map_get(const gp_capconfig_map *m, const char *name); /* NULL: none */
gp_code gp_capconfig_map_copy(const gp_capconfig_map *from, gp_capconfig_map *to, gp_error *err);
void gp_capconfig_map_free(gp_capconfig_map *m);

/* Every entry; an empty map is an error, as in v4. */
gp_code gp_capconfig_map_validate(const gp_capconfig_map *m, gp_error *err);

void gp_capconfig_map_to_json(const gp_capconfig_map *m, gp_buf *out);
/* Lenient: missing members are off or absent, unknown ones are ignored. */
gp_code gp_capconfig_map_from_json(const char *text, size_t len, gp_capconfig_map *out, gp_error *err);
/*
 * The body of PUT /config, checked strictly as v4's schema does: every member must be present with its
 * type and bounds. All that is wrong is collected in *problem (422, or 400 where it is not JSON at all)
 * and gives GP_EINVAL.
 */
gp_code gp_capconfig_map_from_request(const char *text, size_t len, gp_capconfig_map *out,
                                      gp_problem *problem);

/* The "interfaces" mapping of a configuration file; messages name file, line and key. NULL or null: none. */
gp_code gp_capconfig_map_from_yaml(const struct gp_yaml_node *interfaces, gp_capconfig_map *out,
                                   gp_error *err);

/* The answer to GET /config: {"status_code": 200, "ifaces": {...}}. */
void gp_config_response_to_json(int status_code, const gp_capconfig_map *m, gp_buf *out);
gp_code gp_config_response_from_json(const char *text, size_t len, gp_capconfig_map *out, gp_error *err);

#endif

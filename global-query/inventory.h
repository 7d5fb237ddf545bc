/*
 * inventory.h - an Ansible inventory as a gp_hostset: hosts, the groups they are in (also through children),
 * and how their sensors are reached.
 *
 * Read are YAML inventories (docs.ansible.com, "How to build your inventory") and INI ones with ranges such
 * as web[01:50].example.com, [group:children] and [group:vars]. Of the variables, those of a host win over
 * those of its groups, and nearer groups over those that contain them:
 *
 *   goprobe_api_addr   how the sensor is reached from here; not used where it is a template or a UNIX socket
 *   ansible_host       otherwise this host, or the name in the inventory
 *   goprobe_api_port   at this port; default 8145
 *
 * Thread-safe.
 */
#ifndef GP_GLOBAL_QUERY_INVENTORY_H
#define GP_GLOBAL_QUERY_INVENTORY_H

#include "global-query/hostset.h"

enum { GP_INVENTORY_MAX_HOSTS = 200000 }; /* beyond it, a range is taken for a mistake */

/* By the name: .yml, .yaml and .json are YAML, everything else is INI. */
gp_code gp_inventory_load(const char *path, gp_hostset **out, gp_error *err);
gp_code gp_inventory_parse(const char *name, const char *text, size_t len, gp_hostset **out, gp_error *err);

#endif

/* links.h - the network interfaces of this host. Stateless. */
#ifndef GP_CAPTURE_LINKS_H
#define GP_CAPTURE_LINKS_H

#include "proto/base/strlist.h"

/* Names of all interfaces, sorted. gp_strlist_free(). */
gp_code gp_links_list(char ***out, size_t *n, gp_error *err);
/* Does it exist, is it up, and does it have a link type that we can read? */
bool gp_link_usable(const char *iface);

#endif

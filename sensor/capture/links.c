#include "sensor/capture/links.h"

#include "sensor/capture/linklayer.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

gp_code gp_links_list(char ***out, size_t *n, gp_error *err)
{
    *out = NULL;
    *n = 0;
    struct if_nameindex *list = if_nameindex();
    if (!list)
        return gp_fail_errno(err, errno, "cannot list the network interfaces");
    gp_code code = GP_OK;
    for (struct if_nameindex *i = list; i->if_index && code == GP_OK; i++)
        code = gp_strlist_add(out, n, i->if_name, err);
    if_freenameindex(list);
    return gp_strlist_finish(out, n, code);
}

bool gp_link_usable(const char *iface)
{
    struct ifreq ifr = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", iface);
    bool up = ioctl(fd, SIOCGIFFLAGS, &ifr) == 0 && (ifr.ifr_flags & IFF_UP);
    bool readable =
        up && ioctl(fd, SIOCGIFHWADDR, &ifr) == 0 && gp_link_dlt_of(ifr.ifr_hwaddr.sa_family) >= 0;
    close(fd);
    return readable;
}

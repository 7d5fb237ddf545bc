#include "sensor/capture/packetsocket.h"

#include "sensor/capture/linklayer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_vlan.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

gp_code gp_packet_socket_fail(const char *iface, int sys, const char *what, gp_error *err)
{
    if (sys == EPERM || sys == EACCES)
        return gp_fail(
            err, GP_EPERM,
            "no permission to capture on '%s' (%s): run as root or grant CAP_NET_RAW, for example with "
            "setcap cap_net_raw+ep on the goprobe binary",
            iface, what);
    return gp_fail_errno(err, sys, "cannot capture on '%s' (%s)", iface, what);
}

/* ---- while it is open ---------------------------------------------------------------------------------- */

static gp_code check_socket(gp_packet_socket *s, gp_error *err)
{
    int sys = 0;
    socklen_t len = sizeof sys;
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &sys, &len) != 0)
        sys = errno;
    s->down = s->down || sys == ENETDOWN;
    if (sys == 0 || sys == ENETDOWN)
        return GP_OK;
    if (sys == ENODEV || sys == ENXIO)
        return gp_fail(err, GP_ENOTFOUND, "interface '%s' was removed", s->iface);
    return gp_fail_errno(err, sys, "capture on '%s' failed", s->iface);
}

gp_code gp_packet_socket_wait(gp_packet_socket *s, int wake_fd, int timeout_ms, gp_error *err)
{
    struct pollfd fds[2] = {{.fd = s->fd, .events = POLLIN | POLLERR}, {.fd = wake_fd, .events = POLLIN}};
    int n = poll(fds, wake_fd >= 0 ? 2 : 1, timeout_ms);
    if (n < 0 && errno != EINTR)
        return gp_fail_errno(err, errno, "waiting for packets on '%s' failed", s->iface);
    return n > 0 && fds[0].revents & (POLLERR | POLLHUP | POLLNVAL) ? check_socket(s, err) : GP_OK;
}

gp_code gp_packet_socket_check_link(gp_packet_socket *s, gp_error *err)
{
    struct ifreq ifr = {0};
    memcpy(ifr.ifr_name, s->iface, sizeof ifr.ifr_name);
    if (ioctl(s->fd, SIOCGIFHWADDR, &ifr) != 0)
        return gp_fail(err, GP_ENOTFOUND, "interface '%s' was removed or renamed", s->iface);
    if (ifr.ifr_hwaddr.sa_family != s->arphrd)
        return gp_fail(err, GP_ENOTFOUND, "the link type of interface '%s' has changed from %d to %d",
                       s->iface, s->arphrd, ifr.ifr_hwaddr.sa_family);
    if (ioctl(s->fd, SIOCGIFFLAGS, &ifr) == 0 && ifr.ifr_flags & IFF_UP)
        s->down = false;
    return GP_OK;
}

/* ---- opening ------------------------------------------------------------------------------------------- */

static gp_code link_type(gp_packet_socket *s, gp_error *err)
{
    struct ifreq ifr = {0};
    memcpy(ifr.ifr_name, s->iface, sizeof ifr.ifr_name);
    if (ioctl(s->fd, SIOCGIFFLAGS, &ifr) != 0)
        return gp_fail_errno(err, errno, "cannot read the state of interface '%s'", s->iface);
    if (!(ifr.ifr_flags & IFF_UP))
        return gp_fail(err, GP_ENOTFOUND, "interface '%s' is not up; bring it up with: ip link set %s up",
                       s->iface, s->iface);
    if (ioctl(s->fd, SIOCGIFHWADDR, &ifr) != 0)
        return gp_fail_errno(err, errno, "cannot read the link type of interface '%s'", s->iface);
    s->arphrd = ifr.ifr_hwaddr.sa_family;
    s->dlt = gp_link_dlt_of(s->arphrd);
    if (s->dlt < 0)
        return gp_fail(err, GP_EUNSUPPORTED,
                       "interface '%s' has link type %d, which carries no IP that we can read", s->iface,
                       s->arphrd);
    return GP_OK;
}

/* v4 refuses this, too: it can only be a mistake. */
static gp_code check_vlan(const gp_packet_socket *s, const gp_capconfig *cfg, gp_error *err)
{
    struct vlan_ioctl_args args = {.cmd = GET_VLAN_REALDEV_NAME_CMD};
    if (!cfg->ignore_vlans)
        return GP_OK;
    memcpy(args.device1, s->iface, sizeof s->iface);
    if (ioctl(s->fd, SIOCGIFVLAN, &args) != 0)
        return GP_OK;
    return gp_fail(
        err, GP_EINVAL,
        "interface '%s' is a VLAN of '%s': with ignore_vlans nothing would be left, remove it there",
        s->iface, args.u.device2);
}

gp_code gp_packet_socket_open(gp_packet_socket *s, const char *iface, const gp_capconfig *cfg, gp_error *err)
{
    *s = (gp_packet_socket){.fd = -1, .index = if_nametoindex(iface)};
    if (!s->index)
        return gp_fail(err, GP_ENOTFOUND, "no such interface: '%s'", iface);
    snprintf(s->iface, sizeof s->iface, "%s", iface);
    /* Protocol 0: nothing arrives before it is bound. */
    s->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    gp_code code = s->fd >= 0 ? GP_OK : gp_packet_socket_fail(iface, errno, "packet socket", err);
    if (code == GP_OK)
        code = link_type(s, err);
    return code == GP_OK ? check_vlan(s, cfg, err) : code;
}

gp_code gp_packet_socket_bind(const gp_packet_socket *s, const gp_capconfig *cfg, gp_error *err)
{
    struct sockaddr_ll addr = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)s->index};
    if (bind(s->fd, (struct sockaddr *)&addr, sizeof addr) != 0)
        return gp_packet_socket_fail(s->iface, errno, "bind", err);
    struct packet_mreq mr = {.mr_ifindex = (int)s->index, .mr_type = PACKET_MR_PROMISC};
    if (cfg->promisc && setsockopt(s->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mr, sizeof mr) != 0)
        return gp_packet_socket_fail(s->iface, errno, "promiscuous mode", err);
    return GP_OK;
}

void gp_packet_socket_close(gp_packet_socket *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

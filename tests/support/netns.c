#include "tests/support/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int run_ip(const char *args)
{
    char command[256];
    snprintf(command, sizeof command, "ip %s", args);
    return system(command);
}

bool gp_netns_enter(void)
{
    if (unshare(CLONE_NEWNET) != 0) {
        print_message("no network namespace of our own (%s; needs root)\n", strerror(errno));
        return false;
    }
    if (run_ip("link set lo up") != 0) {
        print_message("ip(8) does not work here\n");
        return false;
    }
    /* Neighbor discovery would add packets. */
    int fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY);
    if (fd >= 0) {
        ssize_t n = write(fd, "1", 1);
        close(fd);
        return n == 1;
    }
    return true;
}

void gp_netns_ip(const char *args)
{
    if (run_ip(args) != 0)
        fail_msg("ip %s", args);
}

static bool is_running(const char *iface)
{
    struct ifreq ifr = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", iface);
    assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &ifr), 0);
    close(fd);
    return ifr.ifr_flags & IFF_RUNNING;
}

static void set_up(const char *iface)
{
    char args[64];
    snprintf(args, sizeof args, "link set %s up", iface);
    gp_netns_ip(args);
}

/* The kernel connects a link that is up some time later, and drops what is sent before. It says "running"
 * just before it is done, and keeps others from changing links meanwhile: the second command waits for it. */
static void await_running(const char *iface)
{
    for (unsigned tries = 0; tries < 1000 && !is_running(iface); tries++)
        usleep(10000);
    if (!is_running(iface))
        fail_msg("%s does not run", iface);
    set_up(iface);
}

void gp_netns_up(const char *iface)
{
    set_up(iface);
    await_running(iface);
}

void gp_netns_add_pair(const char *a, const char *b)
{
    char args[128];
    snprintf(args, sizeof args, "link add %s type veth peer name %s", a, b);
    gp_netns_ip(args);
    set_up(a); /* runs when its peer is up */
    gp_netns_up(b);
    await_running(a);
}

int gp_netns_open_tun(const char *name)
{
    struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -1;
    snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", name);
    assert_int_equal(ioctl(fd, TUNSETIFF, &ifr), 0);
    return fd;
}

int gp_netns_sender(const char *iface)
{
    const struct sockaddr_ll addr = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(iface)};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0); /* receives nothing */
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&addr, sizeof addr), 0);
    return fd;
}

void gp_netns_send(int sender, const void *frame, size_t len)
{
    while (send(sender, frame, len, 0) < 0)
        if (errno != ENOBUFS && errno != EINTR)
            fail_msg("cannot send a frame: %s", strerror(errno));
}

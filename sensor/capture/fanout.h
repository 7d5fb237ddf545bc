/*
 * fanout.h - which of several rings a packet goes to (PACKET_FANOUT, packet(7)).
 *
 * Chosen by the two addresses alone, the same for both directions, ports left out: so all packets that may
 * ever belong to one flow meet in one ring, fragments and ICMP included, and flows are the same as with one
 * ring. (The kernel's own PACKET_FANOUT_HASH takes ports in: two connections of one client to port 443, which
 * are one flow, would be in two rings.) What is no IP goes to the first ring.
 *
 * The choice is a program of classic BPF that the kernel runs for each packet; it works on the network layer,
 * so it is the same for every link type, and steps over the VLAN tags that received packets still have there
 * (of sent ones the kernel knows where IP begins). `odd` is an odd random number, lest an attacker choose
 * addresses that all meet in one ring.
 *
 * Nothing here keeps state; safe from any thread.
 */
#ifndef GP_CAPTURE_FANOUT_H
#define GP_CAPTURE_FANOUT_H

#include "proto/flow/flow.h"

#include <linux/filter.h>

enum { GP_FANOUT_MAX_RINGS = 64, GP_FANOUT_INSNS = 160 };

/* Writes the program; returns how many instructions it has. */
unsigned gp_fanout_program(uint32_t odd, struct sock_filter insns[GP_FANOUT_INSNS]);
/* The ring that the program chooses for packets between two addresses. */
unsigned gp_fanout_ring(uint32_t odd, const gp_addr *a, const gp_addr *b, unsigned rings);

#endif

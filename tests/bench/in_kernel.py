#!/usr/bin/env python3
"""Counting in the kernel against the ring: CPU time for a packet, of all who have to do with it.

    tests/bench/in_kernel.py [--flows N...] [--rounds N] [--packets N]

As capture.py, of which it is a part. The kernel's own work for a packet (delivering it, copying it into the ring,
counting it) is done while the generator sends, so that the generator's time without a sensor is taken off.
"""

import argparse
import resource
import statistics

import capture


def generator_seconds(wire, flows, packets):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wire.flood(flows, packets)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def cost(wire, mode, flows, packets):
    """(nanoseconds in the kernel and the generator, in the sensor, share of packets dropped)."""
    if mode == "none":
        return generator_seconds(wire, flows, packets) * 1e9 / packets, 0, 0
    plain = capture.CONFIG
    if mode == "kernel":
        capture.CONFIG = plain + "    in_kernel: true\n"
    s = capture.Sensor(wire, capture.GOPROBE)
    capture.CONFIG = plain
    try:
        wire.flood(flows, flows)
        s.settle()
        seen, cpu = s.status(), s.cpu_seconds()
        sending = generator_seconds(wire, flows, packets)
        s.settle()
        sensor, after = s.cpu_seconds() - cpu, s.status()
        counted = after["processed_total"] - seen["processed_total"]
        return sending * 1e9 / packets, sensor * 1e9 / packets, 1 - counted / packets
    finally:
        s.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flows", type=int, nargs="+", default=[1000, 100_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--packets", type=int, default=2_000_000)
    args = parser.parse_args()
    print("| flows | who | ns a packet beyond sending it | of these in goprobe | not counted |\n|---|---|---|---|---|")
    with capture.Wire() as wire:
        for flows in args.flows:
            runs = {mode: [] for mode in ("none", "ring", "kernel")}
            for _ in range(args.rounds):
                for mode, results in runs.items():
                    results.append(cost(wire, mode, flows, args.packets))
            alone = statistics.median(r[0] for r in runs["none"])
            for mode in ("ring", "kernel"):
                sending, sensor, lost = (statistics.median(r[i] for r in runs[mode]) for i in range(3))
                print(f"| {flows} | {mode} | {sending - alone + sensor:.0f} | {sensor:.0f} | {lost:.1%} |", flush=True)


if __name__ == "__main__":
    main()

import { expect, test } from "vitest";
import { DEFAULTS, describe as say, drill, fromParams, toArgs, toParams, type Ask } from "../src/ask";

const all: Ask = {
  hosts: "a,b",
  ifaces: "eth0,!eth1",
  first: "2026-11-24T05:00:00Z",
  last: "2026-11-24T06:00:00Z",
  columns: ["time", "sip", "dport"],
  unknown: [],
  condition: "dport = 443 & (sip = ::1 | sip = 10.0.0.1)",
  direction: "sum",
  sort: "packets",
  ascending: true,
  limit: 7,
  live: false,
  stack: "sip",
  view: "graph",
};

test("an address keeps every part of a query", () => {
  expect(fromParams(new URLSearchParams(toParams(all).toString()))).toEqual(all);
  expect(fromParams(toParams(DEFAULTS))).toEqual(DEFAULTS);
  expect(fromParams(new URLSearchParams())).toEqual(DEFAULTS);
});

test("an address that somebody wrote by hand", () => {
  const p = new URLSearchParams("query=talk_conv,src,foo&num_results=-3&stack=x&view=y&sort_by=z&in=true");
  expect(fromParams(p)).toEqual({ ...DEFAULTS, columns: ["sip", "dip"], unknown: ["foo"], direction: "in" });
});

test("a query says only what is set", () => {
  expect(toArgs(DEFAULTS)).toEqual({ query: "sip,dip,dport,proto", ifaces: "any", query_hosts: "any", first: "-1h", sort_by: "bytes", num_results: 1000, live: true, caller: "page" });
  expect(toArgs(all)).toMatchObject({ sum: true, sort_ascending: true, last: all.last, live: false, time_resolution: "5m" });
  expect(toArgs({ ...all, first: "24.11.2026" }).time_resolution).toBe("auto");
});

test("live flows only where the range ends now", () => {
  expect(toArgs({ ...DEFAULTS, last: "2026-11-24T06:00:00Z" }).live).toBe(false);
});

test("a column that there is not is not left out without a word", () => {
  for (const [query, columns, unknown] of [
    ["sip,dprot", ["sip"], ["dprot"]],
    ["nonsense", [], ["nonsense"]],
  ] as const) {
    const ask = fromParams(new URLSearchParams({ query }));
    expect(ask).toEqual({ ...DEFAULTS, columns, unknown });
    expect(toParams(ask).get("query")).toBe(query);
    expect(toArgs(ask).query).toBe(query);
  }
});

test("what a value becomes", () => {
  expect(drill(DEFAULTS, "sip", "::1")?.condition).toBe("sip = ::1");
  expect(drill(DEFAULTS, "proto", "TCP", true)?.condition).toBe("proto != tcp");
  expect(drill(DEFAULTS, "proto", "TP++")?.condition).toBe("proto = 39");
  expect(drill(DEFAULTS, "iface", "eth0")?.ifaces).toBe("eth0");
  expect(drill(DEFAULTS, "iface", "eth0", true)?.ifaces).toBe("!eth0");
  expect(drill(DEFAULTS, "hostname", "web-01")?.hosts).toBe("web-01");
  expect(drill(DEFAULTS, "hostname", "web-01", true)).toBeNull();
  expect(drill(DEFAULTS, "sip", "")).toBeNull();
  expect(drill(DEFAULTS, "hostname", "web-01", false, { "web-01": { code: "ok", endpoint: "here" } })?.hosts).toBe("here");
  expect(drill(DEFAULTS, "hostname", "a,b")).toBeNull();
});

test("one line for a list", () => {
  expect(say(DEFAULTS)).toBe("sip,dip,dport,proto · last 1h");
  expect(say(all)).toContain("where dport = 443");
});

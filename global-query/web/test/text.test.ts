import { expect, test } from "vitest";
import { splitEvents } from "../src/api";
import { compareCells, parseColumns, shownColumns, similarColumn } from "../src/columns";
import { aligned, bytes, dateTime, duration, percent, short, span } from "../src/format";
import { portions } from "../src/names";
import { toCsv } from "../src/save";
import type { Result, Row } from "../src/types";

test("digits line up", () => {
  expect(aligned(1234567, "")).toEqual({ digits: "1.23", unit: "M" });
  expect(aligned(999, "B")).toEqual({ digits: "999\u2008\u2007\u2007", unit: "B" });
  expect(aligned(999999, "")).toEqual({ digits: "1.00", unit: "M" });
});

test("amounts of bytes are those of goquery", () => {
  // As `goquery -n 1000` prints them.
  for (const [n, digits, unit] of [
    [1024, "1024\u2008\u2007\u2007", "B"],
    [1025, "1.00", "kB"],
    [4400000, "4.20", "MB"],
    [1049600, "1.00", "MB"],
    [1048576, "1024.00", "kB"],
    [5 * 1024 ** 4, "5.00", "TB"],
  ] as const)
    expect(aligned(n, "B")).toEqual({ digits, unit });
  expect(bytes(4400000)).toBe("4.20\u202fMB");
  expect(short(4400000, "bit/s")).toBe("4.40\u202fMbit/s");
});

test("numbers in text", () => {
  expect(short(0, "B")).toBe("0\u202fB");
  expect(short(1234, "B")).toBe("1.21\u202fkB");
  expect(short(123456, "bit/s")).toBe("123\u202fkbit/s");
  expect(short(5, "")).toBe("5");
  expect(percent(1, 3)).toBe("33.33");
  expect(percent(1, 1e9)).toBe("<0.01");
  expect(percent(0, 0)).toBe("0.00");
  expect(duration(0.5)).toBe("500\u202fµs");
  expect(duration(1234)).toBe("1.2\u202fs");
  expect(span(90061)).toBe("1\u202fd 1\u202fh");
  expect(dateTime(new Date(2026, 10, 24, 5, 7))).toBe("2026-11-24 05:07");
});

test("events of a stream, however they are cut", () => {
  const text = 'event: keepalive\ndata: {}\n\nevent: finalResult\ndata: {"a":1}\n\nevent: par';
  const { events, rest } = splitEvents(text);
  expect(events).toEqual([
    { event: "keepalive", data: "{}" },
    { event: "finalResult", data: '{"a":1}' },
  ]);
  expect(rest).toBe("event: par");
});

const row = (labels: Row["labels"], attributes: Row["attributes"], br: number): Row => ({ labels: labels!, attributes, counters: { br, pr: 1 } });

test("columns", () => {
  expect(parseColumns("dip, SIP,raw").columns).toHaveLength(8);
  expect(parseColumns("dport,,sip")).toEqual({ columns: ["sip", "dport"], unknown: [] });
  expect(parseColumns("sip,Dprot,dprot")).toEqual({ columns: ["sip"], unknown: ["dprot"] });
  const rows = [row({ host: "a", iface: "eth0" }, { sip: "::1" }, 1), row({ host: "b", iface: "eth0" }, { sip: "::1" }, 1)];
  expect(shownColumns(["sip"], rows)).toEqual(["hostname", "sip"]);
  expect(shownColumns(["sip"], rows.slice(1))).toEqual(["sip"]);
});

test("what a misspelt column may have been", () => {
  for (const [word, meant] of [["dprot", "dport"], ["sipp", "sip"], ["portocol", "proto"], ["hostnam", "hostname"], ["nonsense", null], ["x", null]] as const)
    expect(similarColumn(word)).toBe(meant);
});

test("all addresses are looked up, in portions", () => {
  const rows = Array.from({ length: 450 }, (_, i) => row({}, { sip: `10.0.${i >> 8}.${i & 255}`, dip: "::1" }, 1));
  expect(portions(rows, new Set()).map((p) => p.length)).toEqual([200, 200, 51]);
  expect(portions(rows, new Set(["::1"])).flat()).not.toContain("::1");
  expect(new Set(portions(rows, new Set()).flat()).size).toBe(451);
  expect(portions(rows, new Set(), 200, 300).map((p) => p.length)).toEqual([200, 100]);
});

test("addresses sort as numbers", () => {
  const [a, b] = [row({}, { sip: "10.0.0.9" }, 1), row({}, { sip: "10.0.0.10" }, 1)];
  expect(compareCells(a, b, "sip")).toBeLessThan(0);
});

test("CSV has the columns of goquery, and no formulas", () => {
  const result = {
    rows: [row({ host: '=cmd|" /C calc"' }, { sip: "10.0.0.1", dport: 443, proto: 6 }, 75), row({ host: "b" }, { sip: "::1", dport: 53, proto: 17 }, 25)],
    summary: { totals: { br: 100, pr: 2 } },
  } as unknown as Result;
  expect(toCsv(result, ["hostname", "sip", "dport", "proto"], "both").split("\n")).toEqual([
    "host,sip,dport,proto,packets received,packets sent,%,data vol. received,data vol. sent,%",
    `"'=cmd|"" /C calc""",10.0.0.1,443,TCP,1,0,50.00,75,0,75.00`,
    "b,::1,53,UDP,1,0,50.00,25,0,25.00",
    "",
  ]);
});

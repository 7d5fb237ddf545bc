import { expect, test } from "vitest";
import { buildTimeline, largest, OTHER } from "../src/timeline";
import { binWidth, parseTime, withZone } from "../src/times";
import type { Row } from "../src/types";

const row = (end: number, proto: number, br: number, bs = 0): Row => ({
  labels: { timestamp: new Date(end * 1000).toISOString() },
  attributes: { proto },
  counters: { br, bs },
});

test("bins are whole, gaps are zero, hosts are summed", () => {
  const t = buildTimeline([row(600, 6, 10, 1), row(600, 6, 5), row(1500, 17, 3)], "proto", null, 300, 300, 1500, "bytes");
  expect(t.ends).toEqual([600, 900, 1200, 1500]);
  expect(t.series.map((s) => s.key)).toEqual(["TCP", "UDP"]);
  expect(t.series[0]!.received).toEqual([15, 0, 0, 0]);
  expect(t.series[0]!.sent).toEqual([1, 0, 0, 0]);
  expect(t.series[1]!.received).toEqual([0, 0, 0, 3]);
  expect(t.seconds).toEqual([300, 300, 300, 300]);
});

test("a block between the bins counts in the bin that it ends in", () => {
  const t = buildTimeline([row(610, 6, 7)], null, null, 300, 300, 900, "bytes");
  expect(t.ends).toEqual([600, 900]);
  expect(t.series[0]!.received).toEqual([0, 7]);
});

test("the rate of a bin that the range cuts", () => {
  const t = buildTimeline([row(3600, 6, 7), row(7200, 6, 7)], null, null, 3600, 1800, 5400, "bytes");
  expect(t.seconds).toEqual([1800, 1800]);
});

test("a range that begins behind a stamp has whole bins", () => {
  const t = buildTimeline([row(1200, 6, 7)], null, null, 600, 601, 1200, "bytes");
  expect(t.ends).toEqual([1200]);
  expect(t.seconds).toEqual([600]);
  expect(buildTimeline([row(900, 6, 7)], null, null, 300, 301, 900, "bytes").ends).toEqual([600, 900]);
});

test("beyond the palette everything is other", () => {
  const rows = Array.from({ length: 12 }, (_, i) => row(300, i + 1, 100 - i));
  const t = buildTimeline(rows, "proto", null, 300, 0, 300, "bytes");
  expect(t.series).toHaveLength(9);
  expect(t.series[8]!.key).toBe(OTHER);
  expect(t.series[8]!.received[0]).toBe(92 + 91 + 90 + 89);
});

test("other is what the whole has more than its parts", () => {
  const t = buildTimeline([row(300, 6, 40)], "proto", [row(300, 0, 100), row(600, 0, 5)], 300, 0, 600, "bytes");
  expect(t.series.map((s) => [s.key, s.received])).toEqual([
    ["TCP", [40, 0]],
    [OTHER, [60, 5]],
  ]);
});

test("nothing at all", () => {
  expect(buildTimeline([], null, null, 300, 0, 300, "bytes").series).toEqual([]);
});

test("the largest values over all hosts", () => {
  expect(largest([row(0, 6, 3), row(0, 17, 4), row(0, 6, 2)], "proto", "bytes")).toEqual(["TCP", "UDP"]);
});

test("times that the page understands itself", () => {
  expect(parseTime("-1h", 10000)).toBe(6400);
  expect(parseTime("-1d2h30m", 100000)).toBe(100000 - 86400 - 9000);
  expect(parseTime("", 5)).toBe(5);
  expect(parseTime("1700000000", 5)).toBe(1700000000);
  expect(parseTime("2026-11-24T05:00:00Z", 5)).toBe(Date.UTC(2026, 10, 24, 5) / 1000);
  expect(parseTime("24.11.26 05:00", 5)).toBeNull();
});

test("times without a zone are the reader's", () => {
  const local = (...parts: [number, number, number, number?, number?, number?]): string => new Date(...parts).toISOString().replace(".000", "");
  expect(withZone("2026-11-24 05:00")).toBe(local(2026, 10, 24, 5));
  expect(withZone(" 2026-11-24T05:06:07 ")).toBe(local(2026, 10, 24, 5, 6, 7));
  expect(withZone("2026-11-24")).toBe(local(2026, 10, 24));
  expect(withZone("4.11.2026 05:00")).toBe(local(2026, 10, 4, 5));
  expect(withZone("24-11-2026 05:00:09")).toBe(local(2026, 10, 24, 5, 0, 9));
  expect(parseTime("2026-11-24 05:00", 5)).toBe(new Date(2026, 10, 24, 5).getTime() / 1000);
  for (const text of ["-1h", "", "1700000000", "2026-11-24T05:00:00Z", "2026-11-24T05:00:00+01:00", "2026-02-30 05:00", "2026-11-24 25:00", "now"])
    expect(withZone(text)).toBe(text);
});

test("bins are multiples of five minutes, and not too many", () => {
  expect(binWidth(3600)).toBe(300);
  expect(binWidth(86400)).toBe(600);
  expect(binWidth(30 * 86400)).toBe(14400);
  for (const days of [1, 7, 30, 365]) expect((days * 86400) / binWidth(days * 86400)).toBeLessThanOrEqual(200);
});

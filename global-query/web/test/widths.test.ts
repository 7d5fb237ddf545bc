import { expect, test } from "vitest";
import type { Column } from "../src/columns";
import type { Row } from "../src/types";
import { columnWidths, linesOf, type Measure } from "../src/widths";

const LONG = "2001:db8:1111:2222:3333:4444:5555:6666";
const flow = (sip: string, dip: string, dport = 443): Row => ({ labels: { host: "web-01.example" }, attributes: { sip, dip, dport, proto: 6 }, counters: {} });
const short = flow("10.0.0.1", "::1");
const long = flow(LONG, LONG);
const columns: Column[] = ["sip", "dip", "dport", "proto"];
const measure: Measure = (text, mono) => text.length * (mono ? 7 : 8);

test("a column is as wide as its longest text", () => {
  expect(columnWidths([short, long, short], columns, {}, measure)).toEqual([7 * LONG.length, 7 * LONG.length, 8 * "443 https".length, 8 * "TCP".length]);
  expect(columnWidths([short], ["sip"], { "10.0.0.1": "a.example" }, measure)).toEqual([8 * "a.example".length]);
  expect(columnWidths([short], ["sip"], { "10.0.0.1": "a".repeat(100) }, measure)[0]).toBeLessThan(400);
  expect(columnWidths([], ["sip"], {}, measure)).toEqual([0]);
});

test("on a phone, a row has the lines that it takes", () => {
  const lines = (row: Row, columns: Column[]): number => linesOf(row, columns, {}, 350, () => 8, measure);
  expect(lines(short, columns)).toBe(1);
  expect(lines(long, ["sip", "dport"])).toBe(1);
  expect(lines(long, columns)).toBe(2);
  expect(lines(long, ["hostname", ...columns])).toBe(3);
});

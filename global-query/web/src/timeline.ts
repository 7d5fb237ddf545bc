// Traffic over time: rows of a query by time (and perhaps one more column) as stacked rates.
import type { Ask, Stack } from "./ask";
import { toArgs } from "./ask";
import { cellText, comparison, type Column } from "./columns";
import { addTerm } from "./condition";
import { query } from "./api";
import { rangeWidth, widthText } from "./times";
import type { Args, Result, Row } from "./types";

export const MOST_SERIES = 8;
export const OTHER = "other";
const BLOCK = 300; // seconds of a block of the database
const MOST_ROWS = 50_000;
const MOST_CANDIDATES = 500;

export interface Series {
  key: string; // the value that it stands for; OTHER, or "" for all traffic
  received: number[]; // bytes or packets a bin
  sent: number[];
  total: number;
}

export interface Timeline {
  ends: number[]; // UNIX seconds: ends of the bins, one width apart
  width: number;
  seconds: number[]; // of each bin that the answer covers: the first may have begun before, the last be under way
  series: Series[]; // the largest first, OTHER last
}

export type Unit = "bytes" | "packets";

const received = (row: Row, unit: Unit): number => (unit === "bytes" ? row.counters.br : row.counters.pr) ?? 0;
const sent = (row: Row, unit: Unit): number => (unit === "bytes" ? row.counters.bs : row.counters.ps) ?? 0;
const secondsOf = (row: Row): number => Date.parse(row.labels?.timestamp ?? "") / 1000;

/** The width that the server chose on its own: what divides all distances. */
function guessWidth(rows: Row[]): number {
  const times = [...new Set(rows.map(secondsOf))].sort((a, b) => a - b);
  const gaps = times.slice(1).map((t, i) => t - times[i]!).filter((g) => g >= 300);
  return gaps.length ? Math.max(300, Math.min(...gaps)) : 300;
}

function bins(rows: Row[], width: number, first: number, last: number): number[] {
  const times = rows.map(secondsOf).filter((t) => !Number.isNaN(t));
  if (!times.length) return [];
  const at = (t: number): number => Math.ceil(t / width);
  const low = Math.min(Math.floor(first / width) + 1, ...times.map(at));
  const high = Math.max(at(last), ...times.map(at));
  return Array.from({ length: high - low + 1 }, (_, i) => (low + i) * width);
}

function collect(rows: Row[], by: Column | null, ends: number[], width: number, unit: Unit): Map<string, Series> {
  const found = new Map<string, Series>();
  for (const row of rows) {
    const key = by ? cellText(row, by) : "";
    const bin = Math.ceil(secondsOf(row) / width) - ends[0]! / width;
    let s = found.get(key);
    if (!s) found.set(key, (s = { key, received: ends.map(() => 0), sent: ends.map(() => 0), total: 0 }));
    if (!(bin >= 0 && bin < ends.length)) continue;
    s.received[bin]! += received(row, unit);
    s.sent[bin]! += sent(row, unit);
    s.total += received(row, unit) + sent(row, unit);
  }
  return found;
}

function addTo(sum: Series, s: Series, sign = 1): void {
  s.received.forEach((v, i) => (sum.received[i]! += sign * v));
  s.sent.forEach((v, i) => (sum.sent[i]! += sign * v));
  sum.total += sign * s.total;
}

/** all: rows by time only, of which `rows` are a part; null where rows are all there is. */
export function buildTimeline(rows: Row[], by: Column | null, all: Row[] | null, width: number, first: number, last: number, unit: Unit): Timeline {
  const ends = bins(all ?? rows, width, first, last);
  if (!ends.length) return { ends, width, seconds: [], series: [] };
  const sorted = [...collect(rows, by, ends, width, unit).values()].sort((a, b) => b.total - a.total);
  const series = sorted.slice(0, MOST_SERIES);
  const rest: Series = { key: OTHER, received: ends.map(() => 0), sent: ends.map(() => 0), total: 0 };
  if (all) {
    collect(all, null, ends, width, unit).forEach((s) => addTo(rest, s));
    series.forEach((s) => addTo(rest, s, -1));
  } else {
    sorted.slice(MOST_SERIES).forEach((s) => addTo(rest, s));
  }
  if (rest.total > 0) series.push(rest);
  const begin = Math.floor(first / BLOCK) * BLOCK; // a block that ends after `first` is in it as a whole
  const covered = (end: number): number => Math.min(end, last) - Math.max(end - width, begin);
  // A block that a restart cut short is stamped as of its end: never less than one.
  return { ends, width, seconds: ends.map((end) => Math.min(width, Math.max(covered(end), BLOCK))), series };
}

export interface TimelineAnswer {
  by: Column | null;
  rows: Row[];
  all: Row[] | null;
  width: number | null; // null: the server chose
  result: Result;
  cut: boolean; // too many values to stack them
}

/** What the plot of an answer shows. */
export function timelineOf(answer: TimelineAnswer, unit: Unit): Timeline {
  const { time_first, time_last } = answer.result.summary;
  const width = answer.width ?? guessWidth(answer.all ?? answer.rows);
  return buildTimeline(answer.rows, answer.by, answer.all, width, Date.parse(time_first) / 1000, Date.parse(time_last) / 1000, unit);
}

const rowsOf = (result: Result): Row[] => result.rows ?? [];

/** Values of a column with the most traffic; rows are those of single hosts and interfaces. */
export function largest(rows: Row[], by: Column, unit: Unit): string[] {
  const sums = new Map<string, number>();
  for (const row of rows) sums.set(cellText(row, by), (sums.get(cellText(row, by)) ?? 0) + received(row, unit) + sent(row, unit));
  return [...sums].sort((a, b) => b[1] - a[1]).slice(0, MOST_SERIES).map(([text]) => text);
}

function timeArgs(ask: Ask, by: Column | null, width: number | null, more: { condition?: string } = {}): Args {
  return toArgs(ask, {
    query: by ? `time,${by}` : "time",
    time_resolution: widthText(width),
    num_results: MOST_ROWS,
    sort_ascending: false,
    ...more,
  });
}

/** There are too many addresses and ports to ask for all of them over time: the largest ones are asked for first. */
async function askForLargest(ask: Ask, by: Column, width: number | null, signal: AbortSignal): Promise<TimelineAnswer> {
  const whole = await query(timeArgs(ask, null, width), signal);
  const top = await query(toArgs(ask, { query: by, num_results: MOST_CANDIDATES, sort_ascending: false }), signal);
  const terms = largest(rowsOf(top), by, ask.sort).map((text) => comparison(by, text)!);
  const all = rowsOf(whole);
  if (!terms.length) return { by: null, rows: all, all: null, width, result: whole, cut: false };
  const condition = addTerm(ask.condition, `(${terms.join(" | ")})`);
  const parts = await query(timeArgs(ask, by, width, { condition }), signal);
  return { by, rows: rowsOf(parts), all, width, result: whole, cut: false };
}

export async function askTimeline(ask: Ask, signal: AbortSignal): Promise<TimelineAnswer> {
  const width = rangeWidth(ask.first, ask.last, Date.now() / 1000);
  const by: Column | null = ask.stack === "none" ? null : ask.stack;
  if (by === "sip" || by === "dip" || by === "dport") return askForLargest(ask, by, width, signal);
  const answer = (r: Result, cut = false): TimelineAnswer => ({ by: cut ? null : by, rows: rowsOf(r), all: null, width, result: r, cut });
  const result = await query(timeArgs(ask, by, width), signal);
  if (!by || result.summary.hits.total <= result.summary.hits.displayed) return answer(result);
  return answer(await query(timeArgs(ask, null, width), signal), true);
}

export const stackName: Record<Stack, string> = {
  none: "nothing",
  hostname: "host",
  iface: "interface",
  sip: "source",
  dip: "destination",
  dport: "port",
  proto: "protocol",
};

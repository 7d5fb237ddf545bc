// Time ranges: what the user wrote, in seconds, as far as the page itself needs to know.

import { utc } from "./format";

export const PRESETS: readonly { text: string; first: string }[] = [
  { text: "15 min", first: "-15m" },
  { text: "1 h", first: "-1h" },
  { text: "6 h", first: "-6h" },
  { text: "24 h", first: "-1d" },
  { text: "7 d", first: "-7d" },
  { text: "30 d", first: "-30d" },
];

const UNITS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86400 };
const RELATIVE = /^-((\d+[dhms]:?)+)$/;

// With years of four digits, as the services know them; what they do not know, the T and the date alone, is no matter.
const YEAR_FIRST = /^(?<year>\d{4})-(?<month>\d\d)-(?<day>\d\d)(?:[T ](?<hour>\d\d):(?<minute>\d\d)(?::(?<second>\d\d))?)?$/;
const DAY_FIRST = /^(?<day>\d{1,2})([-.])(?<month>\d{1,2})\2(?<year>\d{4}) (?<hour>\d\d):(?<minute>\d\d)(?::(?<second>\d\d))?$/;

/** A date and time without a zone are the reader's; with it they say the same to every service and to whoever opens the link. */
export function withZone(text: string): string {
  const t = text.trim();
  const found = (YEAR_FIRST.exec(t) ?? DAY_FIRST.exec(t))?.groups;
  if (!found) return text;
  const [year, month, day, hour, minute, second] = ["year", "month", "day", "hour", "minute", "second"].map((part) => Number(found[part] ?? 0)) as [number, number, number, number, number, number];
  const date = new Date(year, month - 1, day, hour, minute, second);
  const exists = date.getMonth() === month - 1 && date.getDate() === day && hour < 24 && minute < 60 && second < 60;
  return exists ? utc(date.getTime() / 1000) : text;
}

/** UNIX seconds of a relative time, a date and time or a number of seconds; null for what only the server understands. */
export function parseTime(text: string, now: number): number | null {
  const t = withZone(text.trim());
  if (t === "") return now;
  const relative = RELATIVE.exec(t);
  if (relative) {
    const parts = [...relative[1]!.matchAll(/(\d+)([dhms])/g)];
    return now - parts.reduce((sum, [, n, unit]) => sum + Number(n) * UNITS[unit!]!, 0);
  }
  if (/^\d{9,11}$/.test(t)) return Number(t);
  if (/^\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:\d\d)$/.test(t)) {
    const ms = Date.parse(t);
    return Number.isNaN(ms) ? null : ms / 1000;
  }
  return null;
}

const WIDTHS = [300, 600, 900, 1200, 1800, 3600, 7200, 10800, 14400, 21600, 28800, 43200, 86400, 172800, 604800];
const MOST_BINS = 200;

/** Width in seconds of the bins of a plot of this range; the database has blocks of five minutes. */
export function binWidth(seconds: number): number {
  return WIDTHS.find((w) => seconds / w <= MOST_BINS) ?? WIDTHS[WIDTHS.length - 1]!;
}

/** The width for a range as the user wrote it; null where only the server understands it. */
export function rangeWidth(first: string, last: string, now: number): number | null {
  const [from, to] = [parseTime(first, now), parseTime(last, now)];
  return from !== null && to !== null && to > from ? binWidth(to - from) : null;
}

/** For time_resolution. */
export const widthText = (seconds: number | null): string => (seconds === null ? "auto" : `${seconds / 60}m`);

// Time ranges: what the user wrote, in seconds, as far as the page itself needs to know.

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

/** UNIX seconds of a relative time, RFC 3339 or a number of seconds; null for what only the server understands. */
export function parseTime(text: string, now: number): number | null {
  const t = text.trim();
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

// Numbers and times for people. Amounts of bytes in steps of 1024, as goquery has them (client/term/format.c); all else,
// rates too, in steps of 1000. Two decimals, so that columns of digits line up.
const STEPS = ["", "k", "M", "G", "T", "P", "E"];
// What a number without decimals lacks behind it: a full stop and two digits, as wide as those.
const NO_DECIMALS = "\u2008\u2007\u2007";

export interface Quantity {
  digits: string;
  unit: string;
}

function scaled(value: number, unit: string): [number, string] {
  // 1024 bytes are no kB yet, and what is in one is whole bytes, kB ...
  const [factor, fits] = unit === "B" ? [1024, (v: number) => Math.floor(v) <= 1024] : [1000, (v: number) => v < 999.995];
  let step = 0;
  while (!fits(Math.abs(value)) && step < STEPS.length - 1) {
    value /= factor;
    step++;
  }
  return [value, STEPS[step]!];
}

/** For table cells: digits that line up at the decimal point, and the unit apart. */
export function aligned(value: number, unit: string): Quantity {
  const [v, prefix] = scaled(value, unit);
  return { digits: prefix ? v.toFixed(2) : Math.round(v) + NO_DECIMALS, unit: prefix + unit };
}

/** For running text: three significant digits. */
export function short(value: number, unit: string): string {
  const [v, prefix] = scaled(value, unit);
  const size = Math.abs(v);
  const text = !prefix && Number.isInteger(v) ? String(v) : v.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2);
  return unit || prefix ? `${text}\u202f${prefix}${unit}` : text;
}

export const bytes = (n: number): string => short(n, "B");
export const count = (n: number): string => n.toLocaleString("en");

export function percent(part: number, whole: number): string {
  if (!whole) return "0.00";
  const p = (100 * part) / whole;
  return p > 0 && p < 0.005 ? "<0.01" : p.toFixed(2);
}

const two = (n: number): string => String(n).padStart(2, "0");

/** Local time, "2026-11-24 05:00", with seconds where there are any. */
export function dateTime(date: Date): string {
  const seconds = date.getSeconds() ? `:${two(date.getSeconds())}` : "";
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}${seconds}`;
}

/** RFC 3339 in UTC, to the second: what a query gets, whatever the clocks of the hosts show. */
export const utc = (seconds: number): string => new Date(seconds * 1000).toISOString().replace(/\.\d+Z$/, "Z");

export function duration(ms: number): string {
  if (ms < 1) return `${(ms * 1000).toFixed(0)}\u202fµs`;
  if (ms < 1000) return `${ms.toFixed(ms < 10 ? 1 : 0)}\u202fms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)}\u202fs`;
  return span(ms / 1000);
}

/** "3 d 4 h": the two largest units. */
export function span(seconds: number): string {
  const units: [number, string][] = [
    [86400, "d"],
    [3600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  const parts: string[] = [];
  let rest = Math.round(seconds);
  for (const [size, name] of units) {
    if (rest >= size && parts.length < 2) {
      parts.push(`${Math.floor(rest / size)}\u202f${name}`);
      rest %= size;
    }
  }
  return parts.join(" ") || "0\u202fs";
}

export const zone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone || "local time";

export const plural = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`;

// The columns a query can group by, in the order in which they are shown.
import { protocolName, protocolNumber } from "./protocols";
import type { Row } from "./types";

export type Column = "time" | "hostname" | "hostid" | "iface" | "sip" | "dip" | "dport" | "proto";

export interface ColumnInfo {
  name: Column;
  title: string; // of the table
  about: string;
  csv: string; // as goquery writes it
}

export const COLUMNS: readonly ColumnInfo[] = [
  { name: "time", title: "Time", about: "end of the interval", csv: "time" },
  { name: "hostname", title: "Host", about: "host that saw it", csv: "host" },
  { name: "hostid", title: "Host ID", about: "ID of the host that saw it", csv: "hostid" },
  { name: "iface", title: "Interface", about: "interface that saw it", csv: "iface" },
  { name: "sip", title: "Source", about: "source address", csv: "sip" },
  { name: "dip", title: "Destination", about: "destination address", csv: "dip" },
  { name: "dport", title: "Port", about: "destination port", csv: "dport" },
  { name: "proto", title: "Protocol", about: "IP protocol", csv: "proto" },
];

const SHORTHANDS: Record<string, Column[]> = {
  talk_conv: ["sip", "dip"],
  talk_src: ["sip"],
  talk_dst: ["dip"],
  apps_port: ["dport", "proto"],
  agg_talk_port: ["sip", "dip", "dport", "proto"],
  raw: ["time", "hostname", "hostid", "iface", "sip", "dip", "dport", "proto"],
};
const ALIASES: Record<string, Column> = {
  src: "sip",
  dst: "dip",
  port: "dport",
  protocol: "proto",
  ipproto: "proto",
  host: "hostname",
  interface: "iface",
};

export const columnInfo = (name: Column): ColumnInfo => COLUMNS.find((c) => c.name === name)!;

const NAMES = COLUMNS.map((c) => c.name);

/** "sip,dip" or a shorthand: the columns in the order of COLUMNS, and the names of which there is no column. */
export function parseColumns(text: string): { columns: Column[]; unknown: string[] } {
  const named = text.split(",").flatMap((part): string[] => {
    const word = part.trim().toLowerCase();
    return word === "" ? [] : (SHORTHANDS[word] ?? [ALIASES[word] ?? word]);
  });
  const unknown = [...new Set(named)].filter((name) => !NAMES.includes(name as Column));
  return { columns: NAMES.filter((name) => named.includes(name)), unknown };
}

/** How many letters have to change, come or go, or two neighbours swap places (optimal string alignment). */
function distance(a: string, b: string): number {
  const d = Array.from({ length: a.length + 1 }, (_, i) => Array.from({ length: b.length + 1 }, (_, k) => (i === 0 ? k : k === 0 ? i : 0)));
  for (let i = 1; i <= a.length; i++)
    for (let k = 1; k <= b.length; k++) {
      const other = a[i - 1] === b[k - 1] ? 0 : 1;
      d[i]![k] = Math.min(d[i - 1]![k]! + 1, d[i]![k - 1]! + 1, d[i - 1]![k - 1]! + other);
      if (i > 1 && k > 1 && a[i - 1] === b[k - 2] && a[i - 2] === b[k - 1]) d[i]![k] = Math.min(d[i]![k]!, d[i - 2]![k - 2]! + 1);
    }
  return d[a.length]![b.length]!;
}

/** The column that may have been meant; null where none is like it. */
export function similarColumn(word: string): Column | null {
  const words = [...NAMES, ...Object.keys(ALIASES)].map((name) => ({ name, far: distance(word.slice(0, 20), name) }));
  const [nearest] = words.sort((a, b) => a.far - b.far);
  return nearest && nearest.far <= Math.max(1, Math.floor(nearest.name.length / 2) - 1) ? (ALIASES[nearest.name] ?? (nearest.name as Column)) : null;
}

/** The columns to show: those asked for, and host and interface where rows of several of them came back (an answer
 * is never summed over hosts and interfaces). */
export function shownColumns(asked: Column[], rows: Row[]): Column[] {
  const differ = (column: Column): boolean => rows.some((r) => rawValue(r, column) !== rawValue(rows[0]!, column));
  const extra = (["hostname", "iface"] as const).filter((c) => !asked.includes(c) && rows.length > 1 && differ(c));
  return COLUMNS.map((c) => c.name).filter((c) => asked.includes(c) || extra.includes(c as "hostname" | "iface"));
}

/** What a row has in a column, as the API gives it; "" where it has nothing. */
export function rawValue(row: Row, column: Column): string | number {
  switch (column) {
    case "time":
      return row.labels?.timestamp ?? "";
    case "hostname":
      return row.labels?.host ?? "";
    case "hostid":
      return row.labels?.host_id ?? "";
    case "iface":
      return row.labels?.iface ?? "";
    case "sip":
      return row.attributes.sip ?? "";
    case "dip":
      return row.attributes.dip ?? "";
    case "dport":
      return row.attributes.dport ?? 0;
    case "proto":
      return row.attributes.proto ?? 0;
  }
}

export function cellText(row: Row, column: Column): string {
  const value = rawValue(row, column);
  return column === "proto" ? protocolName(Number(value)) : String(value);
}

/** Sorts addresses and numbers as such. */
export function compareCells(a: Row, b: Row, column: Column): number {
  const [x, y] = [rawValue(a, column), rawValue(b, column)];
  if (column === "dport") return Number(x) - Number(y);
  if (column === "proto") return cellText(a, column).localeCompare(cellText(b, column));
  return String(x).localeCompare(String(y), "en", { numeric: true });
}

/** The comparison of the condition language that keeps exactly this value; null for labels. */
export function comparison(column: Column, text: string, negated = false): string | null {
  const op = negated ? "!=" : "=";
  if (column === "sip" || column === "dip" || column === "dport") return `${column} ${op} ${text}`;
  // Names with signs in them ("TP++") would be taken apart.
  if (column === "proto") return `proto ${op} ${/^[a-z][\w-]*$/i.test(text) ? text.toLowerCase() : (protocolNumber(text) ?? text)}`;
  return null;
}

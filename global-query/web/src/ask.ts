// What is asked: the state of the form, as a URL and as a query for the API. The parameters of the URL have the
// names that GET /_query/validate gives them; stack and view are the page's own.
import { comparison, parseColumns, type Column } from "./columns";
import { addTerm } from "./condition";
import { endpointsOf, hostList, type Statuses } from "./hosts";
import { rangeWidth, widthText, withZone } from "./times";
import type { Args } from "./types";

export type Direction = "both" | "in" | "out" | "sum";
export type Stack = "none" | Exclude<Column, "time" | "hostid">;
export type View = "table" | "graph" | "hosts";

export interface Ask {
  hosts: string;
  ifaces: string;
  first: string;
  last: string; // "" is now
  columns: Column[];
  unknown: string[]; // names of columns in the address that there are not: the server says what it thinks of them
  condition: string;
  direction: Direction;
  sort: "bytes" | "packets";
  ascending: boolean;
  limit: number;
  live: boolean;
  stack: Stack;
  view: View;
}

export const DEFAULTS: Ask = {
  hosts: "any",
  ifaces: "any",
  first: "-1h",
  last: "",
  columns: ["sip", "dip", "dport", "proto"],
  unknown: [],
  condition: "",
  direction: "both",
  sort: "bytes",
  ascending: false,
  limit: 1000,
  live: true,
  stack: "proto",
  view: "table",
};

const DIRECTIONS: readonly Direction[] = ["in", "out", "sum"];
const STACKS: readonly Stack[] = ["none", "hostname", "iface", "sip", "dip", "dport", "proto"];
const VIEWS: readonly View[] = ["table", "graph", "hosts"];

const among = <T extends string>(list: readonly T[], text: string | null, fallback: T): T =>
  list.includes(text as T) ? (text as T) : fallback;

const columnText = (ask: Ask): string => [...ask.columns, ...ask.unknown].join(",");

export function toParams(ask: Ask): URLSearchParams {
  const p = new URLSearchParams();
  p.set("query", columnText(ask));
  p.set("ifaces", ask.ifaces);
  p.set("query_hosts", ask.hosts);
  p.set("first", withZone(ask.first));
  if (ask.last) p.set("last", withZone(ask.last));
  if (ask.condition) p.set("condition", ask.condition);
  if (ask.direction !== "both") p.set(ask.direction, "true");
  if (ask.sort !== DEFAULTS.sort) p.set("sort_by", ask.sort);
  if (ask.ascending) p.set("sort_ascending", "true");
  if (ask.limit !== DEFAULTS.limit) p.set("num_results", String(ask.limit));
  if (!ask.live) p.set("live", "false");
  if (ask.stack !== DEFAULTS.stack) p.set("stack", ask.stack);
  if (ask.view !== DEFAULTS.view) p.set("view", ask.view);
  return p;
}

export function fromParams(p: URLSearchParams): Ask {
  const { columns, unknown } = parseColumns(p.get("query") ?? "");
  const limit = Math.floor(Number(p.get("num_results")));
  return {
    hosts: p.get("query_hosts") || DEFAULTS.hosts,
    ifaces: p.get("ifaces") || DEFAULTS.ifaces,
    first: withZone(p.get("first") || DEFAULTS.first),
    last: withZone(p.get("last") ?? ""),
    columns: columns.length || unknown.length ? columns : DEFAULTS.columns,
    unknown,
    condition: p.get("condition") ?? "",
    direction: DIRECTIONS.find((d) => p.get(d) === "true") ?? "both",
    sort: among(["bytes", "packets"], p.get("sort_by"), DEFAULTS.sort),
    ascending: p.get("sort_ascending") === "true",
    limit: limit >= 1 ? limit : DEFAULTS.limit,
    live: p.get("live") !== "false",
    stack: among(STACKS, p.get("stack"), DEFAULTS.stack),
    view: among(VIEWS, p.get("view"), DEFAULTS.view),
  };
}

/** The query itself; `more` for the other questions that a picture needs. */
export function toArgs(ask: Ask, more: Partial<Args> = {}): Args {
  const args: Args = {
    query: columnText(ask),
    ifaces: ask.ifaces,
    query_hosts: ask.hosts,
    first: withZone(ask.first),
    sort_by: ask.sort,
    num_results: ask.limit,
    live: ask.live && ask.last === "", // flows still in memory are of now
    caller: "page",
  };
  if (ask.last) args.last = withZone(ask.last);
  if (ask.condition.trim()) args.condition = ask.condition;
  if (ask.ascending) args.sort_ascending = true;
  // The rows of a table over time are the bins of the plot above it.
  if (ask.columns.includes("time")) args.time_resolution = widthText(rangeWidth(ask.first, ask.last, Date.now() / 1000));
  if (ask.direction !== "both") args[ask.direction] = true;
  return { ...args, ...more };
}

const VALUE_NAME = /^[\w.:-]+$/;

/** The ask of a click on a value: only it, or everything but it. Null where that cannot be asked. statuses: of the
 * answer that has the value. */
export function drill(ask: Ask, column: Column, text: string, without = false, statuses: Statuses = {}): Ask | null {
  if (text === "") return null;
  const term = comparison(column, text, without);
  if (term) return { ...ask, condition: addTerm(ask.condition, term) };
  if (column === "iface" && VALUE_NAME.test(text)) {
    if (!without) return { ...ask, ifaces: text };
    return { ...ask, ifaces: ask.ifaces === "any" ? `!${text}` : `${ask.ifaces},!${text}` };
  }
  const hosts = column === "hostname" && !without ? hostList(endpointsOf(text, statuses)) : null;
  return hosts ? { ...ask, hosts } : null;
}

/** One line for lists of queries. */
export function describe(ask: Ask): string {
  const range = ask.last ? `${ask.first} … ${ask.last}` : ask.first.startsWith("-") ? `last ${ask.first.slice(1)}` : `since ${ask.first}`;
  const parts = [columnText(ask), range];
  if (ask.hosts !== "any") parts.push(`on ${ask.hosts}`);
  if (ask.ifaces !== "any") parts.push(`at ${ask.ifaces}`);
  if (ask.condition) parts.push(`where ${ask.condition}`);
  if (ask.direction !== "both") parts.push(ask.direction);
  return parts.join(" · ");
}

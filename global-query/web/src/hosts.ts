// By what names to ask for the hosts of an answer. Rows and statuses have the names that hosts give themselves;
// a query wants those of endpoints, which a status says where they differ.
import type { Status } from "./types";

export type Statuses = Record<string, Status>;

export const failed = (s: Status): boolean => s.code === "error" || s.code === "too many requests";
const endpointOf = ([host, s]: [string, Status]): string => s.endpoint ?? host;
const natural = (a: string, b: string): number => a.localeCompare(b, "en", { numeric: true });

/** Of all hosts of an answer; without those that failed, perhaps because there are none of that name. */
export const endpoints = (statuses: Statuses, failedToo: boolean): string[] => [
  ...new Set(Object.entries(statuses).filter(([, s]) => failedToo || !failed(s)).map(endpointOf)),
];

/** Of the host that a row names. Several hosts may have that name: in statuses, all but one stand behind their endpoint's. */
export function endpointsOf(label: string, statuses: Statuses): string[] {
  const named = Object.entries(statuses).filter(([host, s]) => !failed(s) && (host === label || host.endsWith(`/${label}`)));
  return named.length ? [...new Set(named.map(endpointOf))] : [label];
}

/** As a query takes them; null where a name cannot stand in a list. */
export function hostList(names: string[]): string | null {
  const fit = names.length > 0 && names.every((n) => n !== "" && n === n.trim() && !n.includes(","));
  return fit ? names.join(",") : null;
}

/** Hosts to ask again: those that have answered, or, where none has failed, all that were asked. */
export function answering(asked: string, statuses: Statuses, final: boolean): string {
  const all = Object.keys(statuses).length;
  const fit = Object.values(statuses).filter((s) => !failed(s)).length;
  if (final && fit === all) return asked;
  return fit === 0 ? "" : (hostList(endpoints(statuses, false)) ?? asked);
}

/** Who of the expected hosts is not in the answer yet; of those below an aggregator, the first speaks for all. */
export function waiting(expected: string[], statuses: Statuses): string[] {
  const there = endpoints(statuses, true);
  const heard = new Set(there.flatMap((e) => [e, ...[...e.matchAll(/\//g)].map((slash) => e.slice(0, slash.index))]));
  return expected.filter((e) => !heard.has(e));
}

export const merged = (had: string[], more: string[]): string[] => {
  const all = [...new Set([...had, ...more])].sort(natural);
  return all.length === had.length ? had : all;
};

// How it went on every host that was asked.
import { useState } from "preact/hooks";
import { plural } from "../format";
import { waiting, type Statuses } from "../hosts";
import type { Status } from "../types";

export type HostState = Status["code"] | "waiting";

export interface HostStatus {
  host: string;
  endpoint: string; // the name that a query takes
  code: HostState;
  message: string;
}

const ORDER: HostState[] = ["error", "too many requests", "missing data", "waiting", "empty", "ok"];
const SIGN: Record<HostState, string> = { ok: "✓", empty: "○", "missing data": "○", "too many requests": "!", error: "!", waiting: "…" };
const WORDS: Record<HostState, string> = {
  ok: "has flows",
  empty: "has no such flows",
  "missing data": "has no data at all",
  "too many requests": "takes no more queries now",
  error: "did not answer",
  waiting: "has not answered yet",
};
const klass = (code: HostState): string => code.replaceAll(" ", "-");

/** The answers so far, and who is expected but has not answered. */
export function hostStatuses(statuses: Statuses, expected: string[]): HostStatus[] {
  const known = Object.entries(statuses).map(([host, s]) => ({ host, endpoint: s.endpoint ?? host, code: s.code as HostState, message: s.message ?? "" }));
  const others = waiting(expected, statuses).map((host) => ({ host, endpoint: host, code: "waiting" as const, message: "" }));
  return [...known, ...others].sort((a, b) => ORDER.indexOf(a.code) - ORDER.indexOf(b.code) || a.host.localeCompare(b.host, "en", { numeric: true }));
}

export function HostCounts({ hosts }: { hosts: HostStatus[] }) {
  const counts = new Map<HostState, number>();
  hosts.forEach((h) => counts.set(h.code, (counts.get(h.code) ?? 0) + 1));
  const states = ORDER.filter((s) => counts.has(s)).reverse();
  return (
    <span class="counts">
      {states.map((s) => (
        <span key={s} class={`badge ${klass(s)}`} title={`${plural(counts.get(s)!, "host")}: ${WORDS[s]}`}>
          <b aria-hidden="true">{SIGN[s]}</b> {counts.get(s)} {s}
        </span>
      ))}
    </span>
  );
}

const MOST = 500;

/** onPick: gets the name that a query takes. */
export function HostList({ hosts, onPick }: { hosts: HostStatus[]; onPick: (endpoint: string) => void }) {
  const [filter, setFilter] = useState("");
  const fits = hosts.filter((h) => `${h.host} ${h.endpoint} ${h.code} ${h.message}`.toLowerCase().includes(filter.toLowerCase()));
  return (
    <div class="hosts">
      {hosts.length > 10 && (
        <div class="field">
          <label for="host-filter">Filter</label>
          <input id="host-filter" type="search" value={filter} placeholder="name, status or message" onInput={(e) => setFilter(e.currentTarget.value)} />
        </div>
      )}
      <table>
        <thead>
          <tr>
            <th scope="col">Host</th>
            <th scope="col">Status</th>
            <th scope="col">What it says</th>
          </tr>
        </thead>
        <tbody>
          {fits.slice(0, MOST).map((h) => (
            <tr key={h.host}>
              <td>
                <button type="button" class="plain cell" title={`Ask only this host (${h.endpoint})`} onClick={() => onPick(h.endpoint)}>
                  {h.host}
                </button>
                {h.endpoint !== h.host && <small class="asked-as"> asked as {h.endpoint}</small>}
              </td>
              <td>
                <span class={`badge ${klass(h.code)}`}>
                  <b aria-hidden="true">{SIGN[h.code]}</b> {h.code}
                </span>
              </td>
              <td class="message">{h.message || WORDS[h.code]}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {fits.length > MOST && <p class="note">The first {MOST} of {plural(fits.length, "host")}; filter to see others.</p>}
    </div>
  );
}

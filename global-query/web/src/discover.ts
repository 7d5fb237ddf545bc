// What there is to ask for: the service behind the page, its hosts and their interfaces.
import { useCallback, useEffect, useState } from "preact/hooks";
import { info, stream } from "./api";
import { endpoints, merged } from "./hosts";
import type { Info, Result } from "./types";

export interface Surroundings {
  info: Info | null;
  fleet: boolean; // global-query: there are hosts to choose from
  hosts: string[]; // by the names that queries take
  ifaces: string[];
}

const MOST_ROWS = 10_000;
const PATIENCE_MS = 5_000; // with hosts that do not answer: a browser has few connections to a service

/** All hosts, and where they saw traffic: told as they answer. */
async function explore(fleet: boolean, learn: (soFar: Result) => void, signal: AbortSignal): Promise<void> {
  const columns = fleet ? "hostname,iface" : "iface";
  learn(await stream({ query: columns, ifaces: "any", query_hosts: "any", first: "-1d", num_results: MOST_ROWS, live: true, caller: "page" }, learn, signal));
}

/** again: changes when it should be tried anew, with a token. learn: adds what an answer mentions; what failed may not
 * exist, unless all hosts were asked. */
export function useSurroundings(again: number): Surroundings & { learn: (result: Result, all: boolean) => void } {
  const [state, setState] = useState<Surroundings>({ info: null, fleet: true, hosts: [], ifaces: [] });
  const learn = useCallback((result: Result, all: boolean) => {
    setState((s) => {
      const hosts = merged(s.hosts, endpoints(result.hosts_statuses, all));
      const ifaces = merged(s.ifaces, result.summary.interfaces ?? []);
      return hosts === s.hosts && ifaces === s.ifaces ? s : { ...s, hosts, ifaces };
    });
  }, []);
  useEffect(() => {
    const look = async (): Promise<void> => {
      const who = await info();
      const fleet = who.name !== "goprobe";
      setState((s) => ({ ...s, info: who, fleet }));
      await explore(fleet, (soFar) => learn(soFar, true), control.signal);
    };
    const control = new AbortController();
    const timer = setTimeout(() => control.abort(), PATIENCE_MS);
    // Without it there is nothing to choose from, but all can be asked.
    look().catch(() => undefined);
    return () => {
      clearTimeout(timer);
      control.abort();
    };
  }, [again]);
  return { ...state, learn };
}

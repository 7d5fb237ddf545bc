// Names of addresses, asked for when the user wants them, each address once.
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, names as lookUp } from "./api";
import type { Row } from "./types";

const MOST = 200; // addresses a question; the largest rows come first

export type NameState = "off" | "busy" | "on" | "unavailable";

export function useNames(wanted: boolean, rows: Row[]): { names: Record<string, string>; state: NameState } {
  const [names, setNames] = useState<Record<string, string>>({});
  const [state, setState] = useState<NameState>("off");
  const asked = useRef(new Set<string>());
  useEffect(() => {
    if (!wanted) {
      setState("off");
      return;
    }
    const all = rows.flatMap((r) => [r.attributes.sip, r.attributes.dip]).filter((a): a is string => Boolean(a));
    const open = [...new Set(all)].filter((a) => !asked.current.has(a)).slice(0, MOST);
    if (open.length === 0) {
      setState("on");
      return;
    }
    const control = new AbortController();
    setState("busy");
    lookUp(open, control.signal).then(
      (found) => {
        open.forEach((a) => asked.current.add(a));
        setNames((had) => ({ ...had, ...found }));
        setState("on");
      },
      (error: unknown) => {
        if (!control.signal.aborted) setState(error instanceof ApiError && error.status === 404 ? "unavailable" : "on");
      },
    );
    return () => control.abort();
  }, [wanted, rows]);
  return { names: wanted ? names : {}, state };
}

// Names of addresses, asked for when the user wants them, each address once.
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, names as lookUp } from "./api";
import type { Row } from "./types";

const PORTION = 200; // addresses a question
export const MOST = 5000; // of the largest rows of an answer

export type NameState = "off" | "busy" | "on" | "unavailable";
type Names = Record<string, string>;

/** Addresses of the rows, each once, in portions; the largest rows come first. */
export function portions(rows: Row[], known: ReadonlySet<string>, size = PORTION, most = MOST): string[][] {
  const all = rows.flatMap((r) => [r.attributes.sip, r.attributes.dip]).filter((a): a is string => Boolean(a));
  const open = [...new Set(all)].slice(0, most).filter((a) => !known.has(a));
  return Array.from({ length: Math.ceil(open.length / size) }, (_, i) => open.slice(i * size, (i + 1) * size));
}

export function useNames(wanted: boolean, rows: Row[]): { names: Names; state: NameState } {
  const [names, setNames] = useState<Names>({});
  const [state, setState] = useState<NameState>("off");
  const asked = useRef(new Set<string>());
  useEffect(() => {
    if (!wanted) {
      setState("off");
      return;
    }
    const control = new AbortController();
    const lookAll = async (): Promise<void> => {
      for (const portion of portions(rows, asked.current)) {
        const found = await lookUp(portion, control.signal);
        portion.forEach((a) => asked.current.add(a));
        if (Object.keys(found).length) setNames((had) => ({ ...had, ...found }));
      }
    };
    setState("busy");
    lookAll().then(
      () => control.signal.aborted || setState("on"),
      (error: unknown) => control.signal.aborted || setState(error instanceof ApiError && error.status === 404 ? "unavailable" : "on"),
    );
    return () => control.abort();
  }, [wanted, rows]);
  return { names: wanted ? names : {}, state };
}

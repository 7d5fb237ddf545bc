// Hooks: questions that run, can be cancelled, and show what they have so far.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";

export type Phase = "idle" | "running" | "done" | "failed" | "canceled";

export interface Answer<T> {
  phase: Phase;
  value: T | null; // of this question; while it runs, what there is so far
  error: unknown;
  stale: boolean; // value is of an older question
}

const IDLE = { phase: "idle", value: null, error: null, stale: false } as const;

/**
 * Asks anew whenever the key changes (null: not now); what an older question still says is not heard. What it has said
 * stays until there is something to replace it with.
 */
export function useAnswer<T>(key: string | null, ask: (show: (soFar: T) => void, signal: AbortSignal) => Promise<T>): Answer<T> & { cancel: () => void } {
  const [answer, setAnswer] = useState<Answer<T>>(IDLE);
  const control = useRef<AbortController | null>(null);

  useEffect(() => {
    if (key === null) {
      setAnswer((had) => ({ ...had, phase: "idle", stale: true }));
      return;
    }
    const own = new AbortController();
    control.current = own;
    const say = (next: Partial<Answer<T>>): void => {
      if (control.current === own) setAnswer((had) => ({ ...had, ...next }));
    };
    const setCanceled = (): void => {
      if (control.current === own) setAnswer((had) => ({ ...had, phase: "canceled", value: had.stale ? null : had.value }));
    };
    say({ phase: "running", error: null, stale: true });
    ask((soFar) => say({ value: soFar, stale: false }), own.signal).then(
      (value) => say({ phase: "done", value, stale: false }),
      (error: unknown) => (own.signal.aborted ? setCanceled() : say({ phase: "failed", error, value: null })),
    );
    return () => {
      if (control.current === own) control.current = null;
      own.abort();
    };
  }, [key]);

  const cancel = useCallback(() => control.current?.abort(), []);
  return { ...answer, cancel };
}

/** Calls f a while after `on` or the key have changed; where nobody sees the page then, as soon as somebody does. */
export function useRefresh(on: boolean, key: unknown, afterMs: number, f: () => void): void {
  const latest = useRef(f);
  latest.current = f;
  useEffect(() => {
    if (!on) return;
    let due = false;
    const look = (): void => {
      if (!due || document.hidden) return;
      due = false;
      latest.current();
    };
    const timer = setTimeout(() => {
      due = true;
      look();
    }, afterMs);
    document.addEventListener("visibilitychange", look);
    return () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, [on, key, afterMs]);
}

/** Calls f when the document gets a key that nobody is typing into a field. */
export function useShortcuts(map: Record<string, (event: KeyboardEvent) => void>): void {
  const latest = useRef(map);
  latest.current = map;
  useEffect(() => {
    const listen = (event: KeyboardEvent): void => {
      const target = event.target as HTMLElement;
      const typing = target.matches("input, textarea, select") || document.querySelector("dialog[open]") !== null;
      if (event.ctrlKey || event.metaKey || event.altKey || (typing && event.key !== "Escape")) return;
      latest.current[event.key]?.(event);
    };
    document.addEventListener("keydown", listen);
    return () => document.removeEventListener("keydown", listen);
  }, []);
}

/** The width of an element, as it changes. */
export function useWidth<E extends HTMLElement>(): [(element: E | null) => void, number] {
  const [width, setWidth] = useState(0);
  const observer = useRef<ResizeObserver | null>(null);
  const attach = useCallback((element: E | null) => {
    observer.current?.disconnect();
    if (!element) return;
    observer.current = new ResizeObserver(() => setWidth(Math.floor(element.clientWidth)));
    observer.current.observe(element);
    setWidth(Math.floor(element.clientWidth));
  }, []);
  return [attach, width];
}

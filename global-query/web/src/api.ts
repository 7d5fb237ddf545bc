// Talking to the service that served this page. Errors are problem documents (RFC 9457).
import type { Args, Info, Names, Problem, Result } from "./types";

export class ApiError extends Error {
  constructor(
    readonly status: number, // 0: no answer at all
    readonly problem: Problem,
  ) {
    super(problem.detail ?? problem.title ?? "request failed");
  }
}

// The token lives as long as the tab: never in the URL, never on disk beyond it.
const TOKEN = "goprobe.token";
let inMemory = ""; // where the browser forbids storage
export const token = {
  get: (): string => {
    try {
      return sessionStorage.getItem(TOKEN) ?? inMemory;
    } catch {
      return inMemory;
    }
  },
  set: (text: string): void => {
    inMemory = text;
    try {
      sessionStorage.setItem(TOKEN, text);
    } catch {
      // Until the page is left, then.
    }
  },
};

async function problemOf(answer: Response): Promise<Problem> {
  const fallback = { status: answer.status, title: answer.statusText, detail: "" };
  try {
    return { ...fallback, ...((await answer.json()) as Problem) };
  } catch {
    return fallback;
  }
}

const PATIENCE_MS = [500, 1500, 3000];

/** A service that limits queries takes the next one in a moment. */
async function send(path: string, body: unknown, signal?: AbortSignal): Promise<Response> {
  for (const wait of PATIENCE_MS) {
    try {
      return await sendOnce(path, body, signal);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 429) throw error;
    }
    await new Promise((done) => setTimeout(done, wait));
    signal?.throwIfAborted();
  }
  return sendOnce(path, body, signal);
}

async function sendOnce(path: string, body: unknown, signal?: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = { Accept: "application/json, text/event-stream" };
  if (token.get()) headers.Authorization = `Bearer ${token.get()}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer: Response;
  try {
    answer = await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ?? null,
      cache: "no-store",
      referrerPolicy: "no-referrer",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, { detail: "the service does not answer" });
  }
  if (!answer.ok) throw new ApiError(answer.status, await problemOf(answer));
  return answer;
}

export const info = async (): Promise<Info> => (await (await send("/-/info", undefined)).json()) as Info;

export const query = async (args: Args, signal: AbortSignal): Promise<Result> => (await (await send("/_query", args, signal)).json()) as Result;

/** Null where the query can be run. Live flows are left out: the check takes the end of the range for a given one. */
export async function validate(args: Args, signal?: AbortSignal): Promise<Problem | null> {
  try {
    await send("/_query/validate", { ...args, format: "json", live: false }, signal);
    return null;
  } catch (error) {
    if (error instanceof ApiError && error.status === 422) return error.problem;
    throw error;
  }
}

/** Names of addresses by reverse DNS, as the host of the service knows them. */
export async function names(addresses: string[], signal?: AbortSignal): Promise<Record<string, string>> {
  const answer = (await (await send(`/_names?addresses=${encodeURIComponent(addresses.join(","))}`, undefined, signal)).json()) as Names;
  return answer.names;
}

export interface ServerEvent {
  event: string;
  data: string;
}

/** Splits a stream into events (WHATWG HTML, 9.2); returns the events that are complete and the rest. */
export function splitEvents(text: string): { events: ServerEvent[]; rest: string } {
  const blocks = text.split(/\r?\n\r?\n/);
  const rest = blocks.pop() ?? "";
  const events = blocks.map((block) => {
    const lines = block.split(/\r?\n/);
    const field = (name: string): string[] =>
      lines.filter((l) => l.startsWith(`${name}:`)).map((l) => l.slice(name.length + 1).replace(/^ /, ""));
    return { event: field("event")[0] ?? "message", data: field("data").join("\n") };
  });
  return { events, rest };
}

const NANOSECONDS = 1e9;

/** An error on a stream has no details; the check has, where the query itself is what is wrong. */
async function explained(args: Args, problem: Problem): Promise<ApiError> {
  const details = await validate(args).catch(() => null);
  return details ? new ApiError(422, details) : new ApiError(500, problem);
}

/** Runs a query and shows what there is each time another host has answered. Resolves with the final result. */
export async function stream(args: Args, partial: (soFar: Result) => void, signal: AbortSignal): Promise<Result> {
  const answer = await send("/_query/sse", { ...args, keepalive: NANOSECONDS }, signal);
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new ApiError(0, { detail: "the service ended the answer before it was complete" });
    const { events, rest } = splitEvents(text + value);
    text = rest;
    for (const { event, data } of events) {
      if (event === "partialResult") partial(JSON.parse(data) as Result);
      if (event === "finalResult") return JSON.parse(data) as Result;
      if (event === "queryError") throw await explained(args, JSON.parse(data) as Problem);
    }
  }
}

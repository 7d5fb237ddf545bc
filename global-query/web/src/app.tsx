// The page: what is asked, and the pictures of the answer.
import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import { ApiError, query, stream, token } from "./api";
import { drill, describe, fromParams, toArgs, toParams, type Ask, type Stack, type View } from "./ask";
import { cellText, shownColumns, type Column } from "./columns";
import type { Known } from "./condition";
import { useSurroundings } from "./discover";
import { answering } from "./hosts";
import { bytes, count, dateTime, duration, plural, short, span, utc, zone } from "./format";
import { GRAPH_ROWS } from "./graph";
import { MOST as MOST_NAMES, useNames } from "./names";
import { Conversations } from "./parts/conversations";
import { HelpDialog, QueriesDialog, TokenDialog } from "./parts/dialogs";
import { Failure } from "./parts/failure";
import { HostCounts, HostList, hostStatuses, type HostStatus } from "./parts/hosts";
import { Icon } from "./parts/icons";
import { Plot } from "./parts/plot";
import { QueryForm } from "./parts/query_form";
import { Talkers } from "./parts/talkers";
import { download, toCsv } from "./save";
import { remember, theme, type Theme } from "./store";
import { askTimeline, stackName, timelineOf, type TimelineAnswer } from "./timeline";
import { parseTime } from "./times";
import type { Result } from "./types";
import { useAnswer, useRefresh, useShortcuts, type Answer } from "./use";

const fromAddress = (): Ask => fromParams(new URLSearchParams(location.search));
const none: never[] = [];

interface Run {
  ask: Ask;
  n: number; // the same question again is another run
}

/** The question in the address bar, the form and the one that runs. */
function useAsk(): { draft: Ask; setDraft: (a: Ask) => void; run: Run; ask: (a: Ask) => void; again: () => void; show: (part: Partial<Ask>) => void } {
  const [draft, setDraft] = useState(fromAddress);
  const [run, setRun] = useState<Run>(() => ({ ask: fromAddress(), n: 0 }));
  const start = (ask: Ask): void => {
    setDraft(ask);
    setRun((was) => ({ ask, n: was.n + 1 }));
  };
  useEffect(() => {
    if (location.search) remember(toParams(fromAddress()).toString());
    const listen = (): void => start(fromAddress());
    addEventListener("popstate", listen);
    return () => removeEventListener("popstate", listen);
  }, []);
  const again = (): void => setRun((was) => ({ ...was, n: was.n + 1 }));
  const ask = (next: Ask): void => {
    const params = toParams(next).toString();
    if (`?${params}` !== location.search) history.pushState(null, "", `?${params}`);
    remember(params);
    start(next);
  };
  const show = (part: Partial<Ask>): void => {
    setDraft((was) => ({ ...was, ...part }));
    setRun((was) => {
      const next = { ...was.ask, ...part };
      history.replaceState(null, "", `?${toParams(next)}`);
      return { ...was, ask: next };
    });
  };
  return { draft, setDraft, run, ask, again, show };
}

/** Values of the answer, for completing conditions: the largest first. */
function knownValues(result: Result | null): Known {
  const known: Record<string, Map<string, string>> = { sip: new Map(), dip: new Map(), host: new Map(), dport: new Map(), proto: new Map() };
  for (const row of (result?.rows ?? []).slice(0, 200)) {
    const about = bytes((row.counters.br ?? 0) + (row.counters.bs ?? 0));
    for (const column of ["sip", "dip", "dport", "proto"] as const) {
      if (row.attributes[column] === undefined) continue;
      const text = column === "proto" ? cellText(row, column).toLowerCase() : cellText(row, column);
      if (!known[column]!.has(text)) known[column]!.set(text, about);
      if ((column === "sip" || column === "dip") && !known.host!.has(text)) known.host!.set(text, about);
    }
  }
  return Object.fromEntries(Object.entries(known).map(([k, values]) => [k, [...values].map(([text, about]) => ({ text, about }))]));
}

const expectedHosts = (ask: Ask, hosts: string[]): string[] =>
  ask.hosts.trim().toLowerCase() === "any" ? hosts : ask.hosts.split(",").map((h) => h.trim()).filter(Boolean);

interface TableAnswer {
  result: Result;
  ask: Ask;
  question: string;
}

const LATE_MS = 1500;
const REFRESH_MS = 30_000;

/**
 * Whom to ask for pictures: nobody waits twice for a host that is late or down. Where some are late, the pictures begin
 * with the others. Null: nobody yet.
 */
function useAnswered(table: Answer<TableAnswer>, question: string): string | null {
  const [known, setKnown] = useState({ question: "", hosts: "" });
  const { value, phase } = table;
  useEffect(() => {
    if (value?.question !== question) return;
    const hosts = answering(value.ask.hosts, value.result.hosts_statuses, phase === "done");
    if (phase === "done") {
      setKnown({ question, hosts });
      return;
    }
    const timer = setTimeout(() => hosts && setKnown({ question, hosts }), LATE_MS);
    return () => clearTimeout(timer);
  }, [value, phase, question]);
  return known.question === question && known.hosts ? known.hosts : null;
}

function useTheme(): { chosen: Theme; dark: boolean; next: () => void } {
  const [chosen, setChosen] = useState<Theme>(theme.get);
  const [dark, setDark] = useState(document.documentElement.dataset.theme === "dark");
  useEffect(() => {
    const media = matchMedia("(prefers-color-scheme: dark)");
    const listen = (): void => {
      theme.apply(chosen);
      setDark(document.documentElement.dataset.theme === "dark");
    };
    listen();
    media.addEventListener("change", listen);
    return () => media.removeEventListener("change", listen);
  }, [chosen]);
  const next = (): void => {
    const following: Record<Theme, Theme> = { auto: "light", light: "dark", dark: "auto" };
    theme.set(following[chosen]);
    setChosen(following[chosen]);
  };
  return { chosen, dark, next };
}

function Header(props: { name: string; version: string; chosen: Theme; onTheme: () => void; onQueries: () => void; onHelp: () => void }) {
  const icon = { auto: "auto", light: "sun", dark: "moon" } as const;
  return (
    <header class="top">
      <a class="brand" href="/" aria-label="goprobe: start anew">
        <img src="/page/icon.svg" alt="" width="26" height="26" />
        <span>goprobe</span>
      </a>
      {props.name && (
        <span class="service" title={props.version}>
          {props.name}
        </span>
      )}
      <nav aria-label="Page">
        <button type="button" class="plain round" onClick={props.onQueries} title="Saved and recent queries (q)">
          <Icon name="star" />
          <span>Queries</span>
        </button>
        <button type="button" class="plain round" onClick={props.onTheme} title={`Theme: ${props.chosen} (t)`} aria-label={`Theme: ${props.chosen}`}>
          <Icon name={icon[props.chosen]} />
        </button>
        <button type="button" class="plain round" onClick={props.onHelp} title="Help (?)" aria-label="Help">
          <Icon name="help" />
        </button>
      </nav>
    </header>
  );
}

function Progress({ hosts, phase }: { hosts: HostStatus[]; phase: string }) {
  const answered = hosts.filter((h) => h.code !== "waiting").length;
  const of = hosts.length;
  return (
    <div class="progress">
      <progress max={of || 1} value={of > 1 ? answered : undefined} aria-label="Hosts that have answered" />
      <span>{of > 1 ? (answered < of ? `${answered} of ${plural(of, "host")} have answered` : `${plural(of, "host")} have answered, others not yet`) : phase}</span>
    </div>
  );
}

function Figure({ label, value, note }: { label: string; value: string; note?: string }) {
  return (
    <div class={`figure ${label.toLowerCase()}`}>
      <dt>{label}</dt>
      <dd>
        {value}
        {note && <small>{note}</small>}
      </dd>
    </div>
  );
}

/** The sums of an answer. */
function Figures({ result, ask }: { result: Result; ask: Ask }) {
  const { totals, hits, timings, time_first, time_last } = result.summary;
  const seconds = Math.max(1, (Date.parse(time_last) - Date.parse(time_first)) / 1000);
  const rate = (n?: number): string => `${short(((n ?? 0) * 8) / seconds, "bit/s")} on average`;
  return (
    <dl class="figures">
      {ask.direction !== "out" && <Figure label="Received" value={bytes(totals.br ?? 0)} note={rate(totals.br)} />}
      {ask.direction !== "in" && <Figure label="Sent" value={bytes(totals.bs ?? 0)} note={rate(totals.bs)} />}
      <Figure label="Packets" value={short((totals.pr ?? 0) + (totals.ps ?? 0), "")} note={`${short(((totals.pr ?? 0) + (totals.ps ?? 0)) / seconds, "/s")}`} />
      <Figure label="Rows" value={count(hits.total)} note={hits.displayed < hits.total ? `largest ${count(hits.displayed)} shown` : "all shown"} />
      <Figure label="Took" value={duration(timings.query_duration_ns / 1e6)} note={plural((result.summary.interfaces ?? []).length, "interface")} />
    </dl>
  );
}

function Empty({ result, ask, onAsk }: { result: Result; ask: Ask; onAsk: (a: Ask) => void }) {
  const silent = Object.keys(result.hosts_statuses).length > 0 && Object.values(result.hosts_statuses).every((s) => s.code === "error");
  return (
    <section class="card empty">
      <h2>{silent ? "No host answered" : result.summary.data_available ? "No flows like these" : "No data here"}</h2>
      <p>
        {silent
          ? "See what each of them says below."
          : result.summary.data_available
            ? "The hosts have data, but none of it fits the time, the interfaces and the condition together."
            : "There is nothing in this time, or these interfaces do not exist."}
      </p>
      <p class="actions">
        {ask.condition && (
          <button type="button" onClick={() => onAsk({ ...ask, condition: "" })}>
            Without the condition
          </button>
        )}
        {ask.ifaces !== "any" && (
          <button type="button" onClick={() => onAsk({ ...ask, ifaces: "any" })}>
            At all interfaces
          </button>
        )}
        <button type="button" onClick={() => onAsk({ ...ask, first: "-7d", last: "" })}>
          In the last 7 days
        </button>
        {!ask.live && (
          <button type="button" onClick={() => onAsk({ ...ask, live: true })}>
            With live flows
          </button>
        )}
      </p>
    </section>
  );
}

const VIEWS: readonly (readonly [View, string])[] = [
  ["table", "Talkers"],
  ["graph", "Conversations"],
  ["hosts", "Hosts"],
];
const STACKS: readonly Stack[] = ["none", "proto", "dport", "sip", "dip", "iface", "hostname"];

type Open = "token" | "queries" | "help" | null;

const refusedWith = (error: unknown, status: number): boolean => error instanceof ApiError && error.status === status;

export function App() {
  const { draft, setDraft, run, ask, again, show } = useAsk();
  const [watching, setWatching] = useState(false);
  const [open, setOpen] = useState<Open>(null);
  const [admitted, setAdmitted] = useState(0); // counts tokens
  const [namesWanted, setNamesWanted] = useState(false);
  const around = useSurroundings(admitted);
  const { chosen, dark, next: nextTheme } = useTheme();

  const question = `${run.n} ${admitted} ${JSON.stringify(toArgs(run.ask))}`;
  const table = useAnswer<TableAnswer>(question, async (say, signal) => {
    const ask = run.ask;
    const tell = (result: Result): TableAnswer => ({ result, ask, question });
    return tell(await stream(toArgs(ask), (r) => say(tell(r)), signal));
  });
  const answered = useAnswered(table, question);
  const pictured = { ...run.ask, hosts: answered ?? "" };
  const time = useAnswer<TimelineAnswer>(answered && `${question} ${answered} ${run.ask.stack}`, (_, signal) => askTimeline(pictured, signal));
  const graph = useAnswer<Result>(run.ask.view === "graph" ? answered && `${question} ${answered}` : null, (_, signal) =>
    query(toArgs(pictured, { query: "sip,dip,dport,proto", num_results: GRAPH_ROWS, sort_by: "bytes", sort_ascending: false }), signal),
  );

  const running = table.phase === "running" || time.phase === "running" || graph.phase === "running";
  const cancel = useCallback(() => [table, time, graph].forEach((a) => a.cancel()), []);
  const result = table.value?.result ?? null;
  const shownAsk = table.value?.ask ?? run.ask;
  const unit = run.ask.sort;
  const timeline = useMemo(() => (time.value ? timelineOf(time.value, unit) : null), [time.value, unit]);
  const rows = (run.ask.view === "graph" ? graph.value?.rows : result?.rows) ?? none;
  const { names, state: nameState } = useNames(namesWanted, rows);
  const columns = useMemo(() => shownColumns(shownAsk.columns, result?.rows ?? none), [result, shownAsk]);
  const known = useMemo(() => knownValues(result), [result]);
  const hosts = useMemo(
    () => hostStatuses(result && (table.phase !== "running" || table.value?.question === question) ? result.hosts_statuses : {}, table.phase === "running" ? expectedHosts(run.ask, around.hosts) : none),
    [result, table.phase, question, around.hosts],
  );
  const params = toParams(draft).toString();

  useEffect(() => {
    if (table.phase === "done" && result) around.learn(result, shownAsk.hosts.trim().toLowerCase() === "any");
  }, [table.phase, result]);
  useEffect(() => {
    document.title = `${describe(run.ask)} – goprobe`;
  }, [run]);
  useEffect(() => {
    if ([table.error, time.error].some((e) => refusedWith(e, 401))) setOpen("token");
  }, [table.error, time.error]);

  const drillInto = (terms: [Column, string][], without = false): void => {
    const next = terms.reduce<Ask | null>((a, [column, text]) => (a ? drill(a, column, text, without, result?.hosts_statuses) : null), run.ask);
    if (next) ask(next);
  };
  const drillCell = (column: Column, text: string, without: boolean): void => {
    if (column !== "time") return drillInto([[column, text]], without);
    // Of the first row, the range may have cut something off.
    const end = Date.parse(text) / 1000;
    setRange(Math.max(end - (timeline?.width ?? 300) + 1, Date.parse(result?.summary.time_first ?? "") / 1000 || 0), end);
  };
  const range = (): [number, number] => {
    const now = Date.now() / 1000;
    const [first, last] = [parseTime(run.ask.first, now), parseTime(run.ask.last, now)];
    if (first !== null && last !== null) return [first, last];
    const s = result?.summary;
    return [s ? Date.parse(s.time_first) / 1000 : now - 3600, s ? Date.parse(s.time_last) / 1000 : now];
  };
  const setRange = (first: number, last: number): void => ask({ ...run.ask, first: utc(first), last: last >= Date.now() / 1000 ? "" : utc(last) });
  const shift = (by: number): void => {
    const [first, last] = range();
    const step = (last - first) * by;
    setRange(first + step, last + step);
  };
  const zoomOut = (): void => {
    const [first, last] = range();
    const half = (last - first) / 2;
    setRange(first - half, Math.min(last + half, Date.now() / 1000));
  };
  const saveAs = (kind: "csv" | "json"): void => {
    if (!result) return;
    const name = `flows-${utc(Date.now() / 1000).replaceAll(":", "")}.${kind}`;
    if (kind === "csv") download(name, "text/csv", toCsv(result, columns, shownAsk.direction));
    else download(name, "application/json", JSON.stringify(result, null, 2) + "\n");
  };

  useRefresh(watching && run.ask.last === "" && !running, run.n, REFRESH_MS, again);

  useShortcuts({
    "/": (e) => {
      e.preventDefault();
      document.getElementById("condition")?.focus();
    },
    Escape: () => running && cancel(),
    "[": () => shift(-0.5),
    "]": () => shift(0.5),
    "-": zoomOut,
    "1": () => show({ view: "table" }),
    "2": () => show({ view: "graph" }),
    "3": () => show({ view: "hosts" }),
    n: () => setNamesWanted((was) => !was),
    r: again,
    q: () => setOpen("queries"),
    t: nextTheme,
    "?": () => setOpen("help"),
  });

  const [first, last] = timeline?.ends.length ? [timeline.ends[0]! - timeline.width, timeline.ends[timeline.ends.length - 1]!] : [0, 0];
  const troubled = hosts.filter((h) => h.code === "error" || h.code === "too many requests");
  const nothing = result !== null && (result.rows ?? []).length === 0 && table.phase !== "running";
  const version = around.info ? `${around.info.name.replace("_", "-")} ${around.info.version}` : "";

  return (
    <>
      <a class="skip" href="#results">
        To the results
      </a>
      <Header
        name={around.hosts.length === 0 ? "" : around.fleet ? plural(around.hosts.length, "host") : around.hosts[0]!}
        version={version}
        chosen={chosen}
        onTheme={nextTheme}
        onQueries={() => setOpen("queries")}
        onHelp={() => setOpen("help")}
      />
      <main>
        <QueryForm
          draft={draft}
          changed={params !== toParams(run.ask).toString()}
          running={running}
          fleet={around.fleet}
          hosts={around.hosts}
          ifaces={around.ifaces}
          known={known}
          onDraft={setDraft}
          watching={watching}
          onRun={ask}
          onCancel={cancel}
          onWatch={setWatching}
        />
        <div id="results" tabIndex={-1}>
          <div class="status" role="status" aria-live="polite" data-phase={table.phase}>
            {table.phase === "running" && <Progress hosts={hosts} phase="asking" />}
            {table.phase === "canceled" && <span class="badge canceled">cancelled{result ? " — this is what had arrived" : ""}</span>}
            {around.fleet && hosts.length > 0 && <HostCounts hosts={hosts} />}
            {table.phase !== "running" && troubled.length > 0 && (
              <button type="button" class="plain link" onClick={() => show({ view: "hosts" })}>
                {troubled.length === 1 ? `${troubled[0]!.host}: ${troubled[0]!.message}` : `why ${plural(troubled.length, "host")} did not answer`}
              </button>
            )}
          </div>
          {table.phase === "failed" && <Failure error={table.error} onRetry={() => ask(draft)} onToken={() => setOpen("token")} />}
          {result && !nothing && <Figures result={result} ask={shownAsk} />}
          {timeline && timeline.ends.length > 0 && timeline.series.length > 0 && table.phase !== "failed" && !nothing && (
            <section class="card" aria-label="Traffic over time">
              <div class="card-head">
                <h2>{unit === "bytes" ? "Traffic" : "Packets"} over time</h2>
                <span class="muted">
                  {dateTime(new Date(first * 1000))} – {dateTime(new Date(last * 1000))} · {zone()} · {span(timeline.width)} each
                </span>
                <span class="tools">
                  <label>
                    <span class="hidden">Stacked </span>by{" "}
                    <select value={run.ask.stack} aria-label="Stacked by" onChange={(e) => show({ stack: e.currentTarget.value as Stack })}>
                      {STACKS.filter((s) => around.fleet || s !== "hostname").map((s) => (
                        <option key={s} value={s}>
                          {stackName[s]}
                        </option>
                      ))}
                    </select>
                  </label>
                  <button type="button" class="plain round" title="Earlier ([)" aria-label="Earlier" onClick={() => shift(-0.5)}>
                    <Icon name="left" />
                  </button>
                  <button type="button" class="plain round" title="Zoom out (-)" aria-label="Zoom out" onClick={zoomOut}>
                    <Icon name="out" />
                  </button>
                  <button type="button" class="plain round" title="Later (])" aria-label="Later" onClick={() => shift(0.5)}>
                    <Icon name="right" />
                  </button>
                </span>
              </div>
              <Plot
                timeline={timeline}
                by={time.value?.by ?? null}
                direction={run.ask.direction}
                unit={unit}
                names={names}
                dark={dark}
                stale={time.stale}
                onRange={setRange}
                onPick={(key) => time.value?.by && drillInto([[time.value.by, key]])}
              />
              {time.value?.cut && <p class="note">There are too many values of “{stackName[run.ask.stack]}” to stack them: this is all traffic.</p>}
            </section>
          )}
          {time.phase === "failed" && table.phase !== "failed" && <Failure error={time.error} onRetry={() => ask(run.ask)} onToken={() => setOpen("token")} />}
          {nothing && result && <Empty result={result} ask={run.ask} onAsk={ask} />}
          {result && (
            <section class="card" aria-label="Answer">
              <div class="card-head">
                <div class="tabs" role="tablist" aria-label="View">
                  {VIEWS.filter(([v]) => v !== "hosts" || around.fleet).map(([v, text]) => (
                    <button key={v} type="button" role="tab" id={`tab-${v}`} aria-selected={run.ask.view === v} aria-controls="view" onClick={() => show({ view: v })}>
                      {text}
                    </button>
                  ))}
                </div>
                <span class="tools">
                  <label class="chip" title={`names of addresses by reverse DNS, as the host of this service knows them; of at most ${count(MOST_NAMES)} (n)`}>
                    <input type="checkbox" name="names" checked={namesWanted} onChange={() => setNamesWanted(!namesWanted)} />
                    <span>
                      Names{nameState === "busy" ? " …" : ""}
                      {nameState === "unavailable" ? ": not offered here" : ""}
                    </span>
                  </label>
                  <button type="button" class="plain round" onClick={() => saveAs("csv")} title="Download these rows as CSV">
                    <Icon name="save" />
                    <span>CSV</span>
                  </button>
                  <button type="button" class="plain round" onClick={() => saveAs("json")} title="Download the answer as JSON">
                    <Icon name="save" />
                    <span>JSON</span>
                  </button>
                </span>
              </div>
              <div id="view" role="tabpanel" aria-labelledby={`tab-${run.ask.view}`}>
                {run.ask.view === "table" && !nothing && (
                  <Talkers result={result} columns={columns} direction={shownAsk.direction} names={names} stale={table.stale} onDrill={drillCell} />
                )}
                {run.ask.view === "graph" && graph.value && (graph.value.rows ?? []).length > 0 && (
                  <Conversations result={graph.value} names={names} stale={graph.stale} onDrill={drillInto} />
                )}
                {run.ask.view === "graph" && graph.phase === "failed" && <Failure error={graph.error} onRetry={() => ask(run.ask)} onToken={() => setOpen("token")} />}
                {run.ask.view === "hosts" && <HostList hosts={hosts} onPick={(endpoint) => ask({ ...run.ask, hosts: endpoint, view: "table" })} />}
              </div>
            </section>
          )}
        </div>
      </main>
      {open === "token" && (
        <TokenDialog
          refused={token.get() !== ""}
          onClose={() => setOpen(null)}
          onToken={() => {
            setOpen(null);
            setAdmitted(admitted + 1);
          }}
        />
      )}
      {open === "queries" && (
        <QueriesDialog
          current={params}
          onClose={() => setOpen(null)}
          onPick={(p) => {
            setOpen(null);
            ask(fromParams(new URLSearchParams(p)));
          }}
        />
      )}
      {open === "help" && <HelpDialog version={version} onClose={() => setOpen(null)} />}
    </>
  );
}

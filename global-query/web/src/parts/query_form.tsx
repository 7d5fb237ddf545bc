// The form: everything that can be asked. What only takes a click runs at once; what is typed waits for Enter.
import { useEffect, useState } from "preact/hooks";
import { validate } from "../api";
import { toArgs, type Ask, type Direction } from "../ask";
import { COLUMNS, similarColumn, type Column } from "../columns";
import type { Known } from "../condition";
import { utc } from "../format";
import { PRESETS } from "../times";
import type { Problem } from "../types";
import { ConditionInput } from "./condition_input";
import { Icon } from "./icons";

interface Props {
  draft: Ask;
  changed: boolean; // since it was last run
  running: boolean;
  watching: boolean; // it is asked again and again
  fleet: boolean; // there are hosts to choose from
  hosts: string[];
  ifaces: string[];
  known: Known;
  onDraft: (ask: Ask) => void;
  onRun: (ask: Ask) => void;
  onCancel: () => void;
  onWatch: (on: boolean) => void;
}

const FIELDS: Record<string, keyof Ask> = {
  "body.condition": "condition",
  "body.first": "first",
  "body.last": "last",
  "body.ifaces": "ifaces",
  "body.query": "columns",
  "body.query_hosts": "hosts",
  "body.num_results": "limit",
};

type Problems = Partial<Record<keyof Ask, string>>;

function byField(problem: Problem | null): Problems {
  const found: Problems = {};
  for (const e of problem?.errors ?? []) {
    const field = FIELDS[e.location ?? ""] ?? FIELDS[(e.location ?? "").replace(/^/, "body.")];
    if (field && !found[field]) found[field] = e.message ?? "cannot be used";
  }
  return found;
}

const PATIENCE_MS = 250;

/** What the server says of the draft, while it is being written. */
function useProblems(draft: Ask): Problems {
  const [problems, setProblems] = useState<Problems>({});
  const args = JSON.stringify(toArgs(draft));
  useEffect(() => {
    const control = new AbortController();
    const timer = setTimeout(() => {
      validate(toArgs(draft), control.signal).then(
        (p) => setProblems(byField(p)),
        () => undefined, // running it will say what is wrong
      );
    }, PATIENCE_MS);
    return () => {
      clearTimeout(timer);
      control.abort();
    };
  }, [args]);
  return problems;
}

function Segments<T extends string>(props: { name: string; label: string; value: T; options: readonly (readonly [T, string, string?])[]; onPick: (v: T) => void }) {
  return (
    <fieldset class="field">
      <legend>{props.label}</legend>
      <div class="segments">
        {props.options.map(([value, text, about]) => (
          <label key={value} title={about}>
            <input type="radio" name={props.name} value={value} checked={props.value === value} onChange={() => props.onPick(value)} />
            <span>{text}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}

function TextField(props: { id: string; label: string; value: string; list?: string[]; placeholder?: string; problem: string | undefined; onChange: (v: string) => void; onRun: () => void }) {
  return (
    <div class="field">
      <label for={props.id}>{props.label}</label>
      <input
        id={props.id}
        type="text"
        value={props.value}
        placeholder={props.placeholder}
        list={props.list && `${props.id}-list`}
        spellcheck={false}
        autocapitalize="off"
        autocomplete="off"
        aria-invalid={props.problem !== undefined}
        aria-describedby={props.problem === undefined ? undefined : `${props.id}-problem`}
        onInput={(e) => props.onChange(e.currentTarget.value)}
        onKeyDown={(e) => e.key === "Enter" && props.onRun()}
      />
      {props.list && (
        <datalist id={`${props.id}-list`}>
          {["any", ...props.list].map((v) => (
            <option key={v} value={v} />
          ))}
        </datalist>
      )}
      {props.problem !== undefined && (
        <pre id={`${props.id}-problem`} class="problem" role="status">
          {props.problem}
        </pre>
      )}
    </div>
  );
}

/** A text that the server reads as a time, or a day and an hour from the calendar. */
function TimeField(props: { id: string; label: string; value: string; placeholder: string; problem: string | undefined; onChange: (v: string) => void; onRun: () => void }) {
  const pick = (local: string): void => {
    const ms = new Date(local).getTime();
    if (!Number.isNaN(ms)) props.onChange(utc(ms / 1000));
  };
  return (
    <div class="time">
      <TextField {...props} />
      <span class="pick" title="Choose day and time">
        <Icon name="calendar" />
        <input type="datetime-local" aria-label={`${props.label}: choose day and time`} onChange={(e) => pick(e.currentTarget.value)} />
      </span>
    </div>
  );
}

type Columns = Pick<Ask, "columns" | "unknown">;

const ordered = (names: Column[]): Column[] => COLUMNS.map((c) => c.name).filter((c) => names.includes(c));

/** A name of the address that no column has, and what to do about it. */
function UnknownColumn({ word, draft, onChange }: { word: string; draft: Columns; onChange: (c: Columns) => void }) {
  const meant = similarColumn(word);
  const without = draft.unknown.filter((w) => w !== word);
  return (
    <p class="problem" role="status">
      there is no column “{word}”
      {meant && (
        <>
          : did you mean{" "}
          <button type="button" class="plain link" onClick={() => onChange({ columns: ordered([...draft.columns, meant]), unknown: without })}>
            {meant}
          </button>
          ?
        </>
      )}{" "}
      <button type="button" class="plain link" onClick={() => onChange({ ...draft, unknown: without })}>
        Leave it out
      </button>
    </p>
  );
}

function ColumnChips({ draft, fleet, problem, onChange }: { draft: Columns; fleet: boolean; problem: string | undefined; onChange: (c: Columns) => void }) {
  const { columns, unknown } = draft;
  const toggle = (name: Column): void => onChange({ columns: ordered(columns.includes(name) ? columns.filter((c) => c !== name) : [...columns, name]), unknown });
  return (
    <fieldset class="field">
      <legend>Group by</legend>
      <div class="chips">
        {COLUMNS.filter((c) => columns.includes(c.name) || (c.name !== "hostid" && (fleet || c.name !== "hostname"))).map((c) => (
          <label key={c.name} class="chip" title={c.about}>
            <input type="checkbox" name="column" value={c.name} checked={columns.includes(c.name)} onChange={() => toggle(c.name)} />
            <span>{c.title}</span>
          </label>
        ))}
      </div>
      {unknown.map((word) => (
        <UnknownColumn key={word} word={word} draft={draft} onChange={onChange} />
      ))}
      {columns.length === 0 && unknown.length === 0 && <pre class="problem">choose at least one column</pre>}
      {columns.length > 0 && unknown.length === 0 && problem !== undefined && <pre class="problem">{problem}</pre>}
    </fieldset>
  );
}

const DIRECTIONS: readonly (readonly [Direction, string, string])[] = [
  ["both", "Both", "received and sent, side by side"],
  ["in", "In", "only flows that received"],
  ["out", "Out", "only flows that sent"],
  ["sum", "Sum", "received and sent, added up"],
];

export function QueryForm({ draft, changed, running, fleet, hosts, ifaces, known, watching, onDraft, onRun, onCancel, onWatch }: Props) {
  const problems = useProblems(draft);
  const set = (part: Partial<Ask>): void => onDraft({ ...draft, ...part });
  const now = (part: Partial<Ask>): void => onRun({ ...draft, ...part });
  const run = (): void => onRun(draft);
  const [more, setMore] = useState(false); // on a small screen: all that can be set
  return (
    <form
      class={more ? "query more" : "query"}
      aria-label="Query"
      onSubmit={(e) => {
        e.preventDefault();
        run();
      }}
    >
      <div class="line">
        <ConditionInput value={draft.condition} known={known} problem={problems.condition ?? null} onChange={(condition) => set({ condition })} onRun={run} />
        <div class="go">
          {running ? (
            // Keys: the click that cancels must not land on the button that submits, which takes its place.
            <button key="cancel" type="button" class="main stop" onClick={onCancel} title="Escape">
              <Icon name="stop" /> Cancel
            </button>
          ) : (
            <button key="run" type="submit" class={changed ? "main changed" : "main"} disabled={draft.columns.length === 0}>
              <Icon name="play" /> Run
            </button>
          )}
        </div>
      </div>
      <div class="line">
        <Segments
          name="preset"
          label="Time"
          value={draft.last === "" ? draft.first : ""}
          options={PRESETS.map((p) => [p.first, p.text, `the last ${p.text}`] as const)}
          onPick={(first) => now({ first, last: "" })}
        />
        <button type="button" class="unfold" aria-expanded={more} onClick={() => setMore(!more)}>
          {more ? "Less" : "Range, hosts, columns …"}
        </button>
        <TimeField id="first" label="From" value={draft.first} placeholder="-1h" problem={problems.first} onChange={(first) => set({ first })} onRun={run} />
        <TimeField id="last" label="To" value={draft.last} placeholder="now" problem={problems.last} onChange={(last) => set({ last })} onRun={run} />
        {fleet && <TextField id="hosts" label="Hosts" value={draft.hosts} list={hosts} problem={problems.hosts} onChange={(v) => set({ hosts: v })} onRun={run} />}
        <TextField id="ifaces" label="Interfaces" value={draft.ifaces} list={ifaces} problem={problems.ifaces} onChange={(v) => set({ ifaces: v })} onRun={run} />
      </div>
      <div class="line">
        <ColumnChips draft={draft} fleet={fleet} problem={problems.columns} onChange={set} />
        <Segments name="direction" label="Direction" value={draft.direction} options={DIRECTIONS} onPick={(direction) => now({ direction })} />
        <Segments
          name="sort"
          label="Largest by"
          value={draft.sort}
          options={[
            ["bytes", "Bytes"],
            ["packets", "Packets"],
          ]}
          onPick={(sort) => now({ sort })}
        />
        <div class="field limit">
          <label for="limit">Rows</label>
          <input
            id="limit"
            type="number"
            min="1"
            step="1"
            value={draft.limit}
            aria-invalid={problems.limit !== undefined}
            onInput={(e) => set({ limit: Math.max(1, Math.floor(e.currentTarget.valueAsNumber) || 1) })}
          />
        </div>
        <fieldset class="field">
          <legend>More</legend>
          <div class="chips">
            <label class="chip" title={draft.last ? "only where the time ends now" : "include flows that are still in memory, not in the database yet"}>
              <input type="checkbox" name="live" disabled={draft.last !== ""} checked={draft.live && draft.last === ""} onChange={() => now({ live: !draft.live })} />
              <span>Live</span>
            </label>
            <label class="chip" title={draft.last ? "only where the time ends now" : "ask again every 30 seconds"}>
              <input type="checkbox" name="watch" disabled={draft.last !== ""} checked={watching && draft.last === ""} onChange={() => onWatch(!watching)} />
              <span>Refresh</span>
            </label>
            <label class="chip" title="smallest first">
              <input type="checkbox" name="ascending" checked={draft.ascending} onChange={() => now({ ascending: !draft.ascending })} />
              <span>Ascending</span>
            </label>
          </div>
        </fieldset>
      </div>
    </form>
  );
}

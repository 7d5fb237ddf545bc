// Completion of conditions. The server judges them (/_query/validate); this only has to know what may come next.
import { protocols, services } from "./protocols";

export interface Suggestion {
  text: string;
  about?: string;
}

export interface Completion {
  from: number; // the part of the text that a suggestion replaces
  to: number;
  kind: "attribute" | "comparator" | "value" | "connective";
  suggestions: Suggestion[];
}

/** Values seen in the answer at hand, by attribute. */
export type Known = Partial<Record<string, Suggestion[]>>;

const ATTRIBUTES: Suggestion[] = [
  { text: "sip", about: "source address" },
  { text: "dip", about: "destination address" },
  { text: "host", about: "source or destination address" },
  { text: "snet", about: "source network" },
  { text: "dnet", about: "destination network" },
  { text: "net", about: "source or destination network" },
  { text: "dport", about: "destination port" },
  { text: "proto", about: "IP protocol" },
  { text: "dir", about: "direction: in, out, uni, bi" },
];
const ALIASES: Record<string, string> = {
  src: "sip",
  dst: "dip",
  port: "dport",
  protocol: "proto",
  ipproto: "proto",
  direction: "dir",
};
const EQUALITY: Suggestion[] = [
  { text: "=", about: "is" },
  { text: "!=", about: "is not" },
];
const ORDER: Suggestion[] = [
  { text: "<", about: "below" },
  { text: ">", about: "above" },
  { text: "<=", about: "at most" },
  { text: ">=", about: "at least" },
];
const CONNECTIVES: Suggestion[] = [
  { text: "&", about: "and" },
  { text: "|", about: "or" },
];
const WORD_COMPARATORS = /^-?(eq|equals|ne|neq|le|leq|ge|geq|g|gt|greater|l|lt|less)$/i;
const MOST = 12;

interface Token {
  text: string;
  at: number;
}

export function tokenize(text: string): Token[] {
  return [...text.matchAll(/[()[\]{}]|[!=<>]=*|&&?|\|\|?|[*+]|[^\s()[\]{}!=<>&|*+]+/g)].map((m) => ({ text: m[0], at: m.index }));
}

const isComparator = (t: string): boolean => /^([=<>]=*|!=+)$/.test(t) || WORD_COMPARATORS.test(t);
const isConnective = (t: string): boolean => /^(&&?|\|\|?|[*+]|and|or)$/i.test(t);
const isOr = (t: string): boolean => /^(\|\|?|\+|or)$/i.test(t);
const isOpen = (t: string): boolean => /^[([{]$/.test(t) || t === "!" || /^not$/i.test(t);
const isClose = (t: string): boolean => /^[)\]}]$/.test(t);

type State = { kind: Completion["kind"]; attribute: string };

function step(state: State, token: string): State {
  switch (state.kind) {
    case "attribute":
      return isOpen(token) ? state : { kind: "comparator", attribute: ALIASES[token.toLowerCase()] ?? token.toLowerCase() };
    case "comparator":
      return isComparator(token) ? { ...state, kind: "value" } : state;
    case "value":
      return { ...state, kind: "connective" };
    case "connective":
      return isConnective(token) ? { kind: "attribute", attribute: "" } : state;
  }
}

interface Shape {
  ors: number[]; // how deep in parentheses each "or" stands
  whole: boolean; // one pair of parentheses is around all of it
}

function shapeOf(tokens: Token[]): Shape {
  let [depth, rises, state] = [0, 0, { kind: "attribute", attribute: "" } as State];
  const ors: number[] = [];
  for (const { text } of tokens) {
    const bracket = /^[()[\]{}]$/.test(text);
    // As a value, "or" is a name.
    if (state.kind === "connective" && isOr(text)) ors.push(depth);
    if (bracket && depth === 0) rises++;
    if (bracket) depth += isOpen(text) ? 1 : -1;
    state = step(state, text);
  }
  const [first, last] = [tokens[0]?.text ?? "", tokens[tokens.length - 1]?.text ?? ""];
  return { ors, whole: rises === 1 && depth === 0 && isOpen(first) && first !== "!" && !/^not$/i.test(first) && isClose(last) };
}

/**
 * `term` in addition to what the condition demands already. A direction filter must stay an operand of the topmost
 * conjunction (proto/query/cond_direction.c): that gets no parentheses which it does not need, and loses those that
 * are around all of it. With a topmost "or" there can be no such filter.
 */
export function addTerm(condition: string, term: string): string {
  const had = condition.trim();
  if (!had) return term;
  const tokens = tokenize(had);
  const { ors, whole } = shapeOf(tokens);
  if (ors.includes(0)) return `(${had}) & ${term}`;
  return whole && !ors.includes(1) ? addTerm(had.slice(1, -1), term) : `${had} & ${term}`;
}

function values(attribute: string, known: Known): Suggestion[] {
  const seen = known[attribute] ?? [];
  if (attribute === "proto") {
    const names = protocols().map((name) => ({ text: name.toLowerCase() }));
    return [...seen, ...names.filter((n) => !seen.some((s) => s.text === n.text))];
  }
  if (attribute === "dport") {
    const common = services().map(([port, name]) => ({ text: String(port), about: name }));
    return [...seen, ...common.filter((c) => !seen.some((s) => s.text === c.text))];
  }
  if (attribute === "dir")
    return [
      { text: "in", about: "received only" },
      { text: "out", about: "sent only" },
      { text: "uni", about: "one direction only" },
      { text: "bi", about: "both directions" },
    ];
  return seen;
}

function candidates(state: State, known: Known): Suggestion[] {
  switch (state.kind) {
    case "attribute":
      return ATTRIBUTES;
    case "comparator":
      return state.attribute === "dport" || state.attribute === "proto" ? [...EQUALITY, ...ORDER] : EQUALITY;
    case "value":
      return values(state.attribute, known);
    case "connective":
      return CONNECTIVES;
  }
}

/** What may stand at the caret. */
export function complete(text: string, caret: number, known: Known = {}): Completion {
  const before = tokenize(text.slice(0, caret));
  const last = before[before.length - 1];
  // The word that the caret touches is being written still; after a blank, or a sign, a new one begins.
  const writing = last && last.at + last.text.length === caret && !isOpen(last.text) && !isClose(last.text);
  const open = writing && !isConnective(last.text) && !(isComparator(last.text) && /^[=<>!]/.test(last.text)) ? last : undefined;
  const done = open ? before.slice(0, -1) : before;
  const state = done.reduce((s, t) => step(s, t.text), { kind: "attribute", attribute: "" } as State);
  const prefix = open?.text.toLowerCase() ?? "";
  const fits = candidates(state, known).filter(
    (s) => s.text !== open?.text && (s.text.toLowerCase().startsWith(prefix) || (prefix && s.about?.toLowerCase().startsWith(prefix))),
  );
  return { from: open ? open.at : caret, to: caret, kind: state.kind, suggestions: fits.slice(0, MOST) };
}

/** The text with the suggestion taken, and where the caret is then. */
export function accept(text: string, completion: Completion, suggestion: Suggestion): { text: string; caret: number } {
  const head = text.slice(0, completion.from);
  const gap = head && !/[\s([{!]$/.test(head) ? " " : "";
  const tail = text.slice(completion.to).replace(/^\s+/, "");
  const written = `${head}${gap}${suggestion.text} `;
  return { text: written + tail, caret: written.length };
}

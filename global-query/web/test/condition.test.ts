import { expect, test } from "vitest";
import { accept, addTerm, complete, tokenize } from "../src/condition";

const texts = (text: string, known = {}): string[] => complete(text, text.length, known).suggestions.map((s) => s.text);

test("splits as the server does", () => {
  expect(tokenize("!(sip=10.0.0.1&&dport>=443)").map((t) => t.text)).toEqual(["!", "(", "sip", "=", "10.0.0.1", "&&", "dport", ">=", "443", ")"]);
});

test("attributes at the beginning, after connectives, parentheses and negations", () => {
  for (const text of ["", "sip = 10.0.0.1 & ", "(", "!", "not "]) expect(texts(text)).toContain("dport");
  expect(texts("sn")).toEqual(["snet"]);
  expect(texts("source")).toEqual(["sip", "host", "snet", "net"]);
});

test("comparators that the attribute has", () => {
  expect(texts("sip ")).toEqual(["=", "!="]);
  expect(texts("dport ")).toContain("<=");
  expect(texts("port ")).toContain("<=");
});

test("values: those of the answer first, then what everybody knows", () => {
  const known = { sip: [{ text: "10.1.2.3", about: "5 GB" }], dport: [{ text: "9999" }] };
  expect(texts("sip = ", known)).toEqual(["10.1.2.3"]);
  expect(texts("sip = 10", known)).toEqual(["10.1.2.3"]);
  expect(texts("dport = ", known)[0]).toBe("9999");
  expect(texts("dport = htt")).toContain("443");
  expect(texts("proto = t")).toContain("tcp");
  expect(texts("dir=")).toEqual(["in", "out", "uni", "bi"]);
});

test("connectives after a value", () => {
  expect(texts("dport = 443 ")).toEqual(["&", "|"]);
  expect(texts("(dport = 443) ")).toEqual(["&", "|"]);
});

test("nothing to say about what is complete", () => {
  expect(texts("dport = 443")).toEqual([]);
});

test("completes in the middle", () => {
  const c = complete("si & dport = 443", 2);
  expect(c.suggestions[0]!.text).toBe("sip");
  expect(accept("si & dport = 443", c, c.suggestions[0]!)).toEqual({ text: "sip & dport = 443", caret: 4 });
});

test("keeps words apart", () => {
  const text = "sip = 10.0.0.1";
  const c = complete(`${text} `, text.length + 1);
  expect(accept(`${text} `, c, { text: "&" }).text).toBe("sip = 10.0.0.1 & ");
  expect(accept("dport", complete("dport ", 6), { text: "=" }).text).toBe("dport = ");
});

test("a click narrows the condition without changing what it said", () => {
  const more = (condition: string): string => addTerm(condition, "sip = ::1");
  expect(more("")).toBe("sip = ::1");
  expect(more("dport = 1")).toBe("dport = 1 & sip = ::1");
  for (const or of ["|", "||", "+", "or", "OR"]) expect(more(`dport = 1 ${or} dport = 2`)).toBe(`(dport = 1 ${or} dport = 2) & sip = ::1`);
  expect(more("dport=1+dport=2")).toBe("(dport=1+dport=2) & sip = ::1");
  expect(more("(dport = 1 | dport = 2)")).toBe("(dport = 1 | dport = 2) & sip = ::1");
  expect(more("!(dport = 1 | dport = 2)")).toBe("!(dport = 1 | dport = 2) & sip = ::1");
  expect(more("(dport = 1) | (dport = 2)")).toBe("((dport = 1) | (dport = 2)) & sip = ::1");
  expect(more("host = or & dport = 1")).toBe("host = or & dport = 1 & sip = ::1");
});

test("a direction filter stays where the server takes it", () => {
  const more = (condition: string): string => addTerm(condition, "dport = 443");
  for (const or of ["|", "||", "+", "or"]) expect(more(`dir = bi & (dport = 53 ${or} dport = 443)`)).toBe(`dir = bi & (dport = 53 ${or} dport = 443) & dport = 443`);
  expect(more("dir = bi & [proto = tcp | {dport = 53 or dport = 443}]")).toBe("dir = bi & [proto = tcp | {dport = 53 or dport = 443}] & dport = 443");
  expect(more("(dir = in and proto = tcp)")).toBe("dir = in and proto = tcp & dport = 443");
  expect(more("((dir = in * (proto = tcp | proto = udp)))")).toBe("dir = in * (proto = tcp | proto = udp) & dport = 443");
  expect(more("(dir = in) & (proto = tcp)")).toBe("(dir = in) & (proto = tcp) & dport = 443");
});

test("every spelling of and and or goes on with an attribute", () => {
  for (const word of ["&", "&&", "*", "and", "|", "||", "+", "or"]) expect(texts(`dport = 443 ${word} `)).toContain("sip");
});

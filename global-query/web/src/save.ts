// Files for download: CSV with the header lines of goquery, JSON as the API gave it.
import { cellText, columnInfo, type Column } from "./columns";
import type { Direction } from "./ask";
import type { Counters, Result } from "./types";

interface Measure {
  csv: string;
  of: (c: Counters) => number;
  share: boolean;
}

const share = (part: number, whole: number): string => (whole ? ((100 * part) / whole).toFixed(2) : "0.00");
const sum = (a?: number, b?: number): number => (a ?? 0) + (b ?? 0);

function measures(direction: Direction): Measure[] {
  const one = (csv: string, of: Measure["of"]): Measure => ({ csv, of, share: false });
  const part = (of: Measure["of"]): Measure => ({ csv: "%", of, share: true });
  const packets = (c: Counters): number => sum(c.pr, c.ps);
  const bytes = (c: Counters): number => sum(c.br, c.bs);
  switch (direction) {
    case "in":
      return [one("packets received", (c) => c.pr ?? 0), part((c) => c.pr ?? 0), one("data vol. received", (c) => c.br ?? 0), part((c) => c.br ?? 0)];
    case "out":
      return [one("packets sent", (c) => c.ps ?? 0), part((c) => c.ps ?? 0), one("data vol. sent", (c) => c.bs ?? 0), part((c) => c.bs ?? 0)];
    case "sum":
      return [one("packets", packets), part(packets), one("data vol.", bytes), part(bytes)];
    case "both":
      return [
        one("packets received", (c) => c.pr ?? 0),
        one("packets sent", (c) => c.ps ?? 0),
        part(packets),
        one("data vol. received", (c) => c.br ?? 0),
        one("data vol. sent", (c) => c.bs ?? 0),
        part(bytes),
      ];
  }
}

// A field that a spreadsheet would take for a formula gets an apostrophe: names come from the network.
function field(text: string): string {
  const safe = /^[=+@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function toCsv(result: Result, columns: Column[], direction: Direction): string {
  const values = measures(direction);
  const totals = result.summary.totals;
  const header = [...columns.map((c) => columnInfo(c).csv), ...values.map((m) => m.csv)];
  const rows = (result.rows ?? []).map((row) => [
    ...columns.map((c) => field(c === "time" ? String(Date.parse(row.labels?.timestamp ?? "") / 1000) : cellText(row, c))),
    ...values.map((m) => (m.share ? share(m.of(row.counters), m.of(totals)) : String(m.of(row.counters)))),
  ]);
  return [header, ...rows].map((line) => line.join(",") + "\n").join("");
}

export function download(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

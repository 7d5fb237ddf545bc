// How much room the texts of a table want: nothing of an address may be cut off while there is room elsewhere.
import { cellText, type Column } from "./columns";
import { dateTime } from "./format";
import { serviceName } from "./protocols";
import type { Row } from "./types";

/** Pixels of a text. mono: as addresses are written. */
export type Measure = (text: string, mono: boolean) => number;

const LONGEST_ADDRESS = 39; // characters of an IPv6 address
const LONGEST_NAME = 40; // what is longer ends in "…"

export const isMono = (column: Column, text: string, shown: string): boolean => shown === text && (column === "sip" || column === "dip" || column === "hostid");

/** What a cell shows. */
export function shownText(row: Row, column: Column, names: Record<string, string>): string {
  const text = cellText(row, column);
  return column === "time" ? dateTime(new Date(text)) : (names[text] ?? text);
}

export function service(column: Column, text: string): string | undefined {
  return column === "dport" && text !== "0" ? serviceName(Number(text)) : undefined;
}

function cellWidth(row: Row, column: Column, names: Record<string, string>, services: boolean, measure: Measure): number {
  const text = cellText(row, column);
  const shown = shownText(row, column, names);
  if (isMono(column, text, shown)) return measure(shown.slice(0, LONGEST_ADDRESS), true);
  const known = services ? service(column, text) : undefined;
  return measure((known ? `${shown} ${known}` : shown).slice(0, LONGEST_NAME), false);
}

/** Of columns that show all of their texts; of ports, also what they are known for. */
export const columnWidths = (rows: Row[], columns: Column[], names: Record<string, string>, measure: Measure): number[] =>
  columns.map((column) => Math.ceil(rows.reduce((most, row) => Math.max(most, cellWidth(row, column, names, true, measure)), 0)));

/** How many lines the cells of a row take, one after the other; `room` and what is around a cell in pixels. */
export function linesOf(row: Row, columns: Column[], names: Record<string, string>, room: number, around: (c: Column) => number, measure: Measure): number {
  let [lines, used] = [1, 0];
  for (const column of columns) {
    const width = Math.ceil(cellWidth(row, column, names, false, measure)) + around(column);
    if (used > 0 && used + width > room) {
      lines++;
      used = 0;
    }
    used += width;
  }
  return lines;
}

const MONO = '12.5px ui-monospace, "SF Mono", "Cascadia Mono", "JetBrains Mono", "DejaVu Sans Mono", monospace'; // as in style.css
const REST = { mono: 1.01, other: 1.05 }; // digits that line up are wider than those of a text

/** As the browser draws it. Kept, as ten thousand rows have many texts more than once. */
export function measurer(): Measure {
  const context = document.createElement("canvas").getContext("2d")!;
  const sans = `14px ${getComputedStyle(document.body).fontFamily}`;
  const known = new Map<string, number>();
  const width = (text: string, font: string): number => {
    context.font = font;
    return context.measureText(text).width;
  };
  const digit = width("0", MONO) * REST.mono;
  return (text, mono) => {
    if (mono) return text.length * digit;
    let w = known.get(text);
    if (w === undefined) known.set(text, (w = width(text, sans) * REST.other));
    return w;
  };
}

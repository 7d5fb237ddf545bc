// The rows of an answer. Only those in sight are in the document, so that ten thousand of them scroll smoothly.
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Direction } from "../ask";
import { cellText, columnInfo, compareCells, type Column } from "../columns";
import { aligned, percent } from "../format";
import type { Counters, Result, Row } from "../types";
import { useWidth } from "../use";
import { columnWidths, isMono, linesOf, measurer, service, shownText } from "../widths";

interface Props {
  result: Result;
  columns: Column[];
  direction: Direction;
  names: Record<string, string>;
  stale: boolean;
  onDrill: (column: Column, text: string, without: boolean) => void;
}

interface Measure {
  id: string;
  title: string;
  unit: string;
  of: (c: Counters) => number;
}

const ROW = 30; // pixels, as in style.css
const LINE_SMALL = 25; // on a small screen, a row has several lines
const GAP_SMALL = 8; // between those and around them; behind each cell, too
const ARROW = 20; // before a destination
const EDGES_SMALL = 20;
const CELL_EDGES = 22; // of a cell, and a rest
const HEAD = 34; // of a column's title, that it can be sorted by
const AMOUNT = 104;
const SHARE = 140;
const BEYOND = 12; // rows drawn above and below what is in sight

const add = (a?: number, b?: number): number => (a ?? 0) + (b ?? 0);

function measures(direction: Direction): Measure[] {
  const bytesIn: Measure = { id: "br", title: "Bytes in", unit: "B", of: (c) => c.br ?? 0 };
  const bytesOut: Measure = { id: "bs", title: "Bytes out", unit: "B", of: (c) => c.bs ?? 0 };
  const packetsIn: Measure = { id: "pr", title: "Packets in", unit: "", of: (c) => c.pr ?? 0 };
  const packetsOut: Measure = { id: "ps", title: "Packets out", unit: "", of: (c) => c.ps ?? 0 };
  switch (direction) {
    case "in":
      return [bytesIn, packetsIn];
    case "out":
      return [bytesOut, packetsOut];
    case "sum":
      return [
        { id: "b", title: "Bytes", unit: "B", of: (c) => add(c.br, c.bs) },
        { id: "p", title: "Packets", unit: "", of: (c) => add(c.pr, c.ps) },
      ];
    case "both":
      return [bytesIn, bytesOut, packetsIn, packetsOut];
  }
}

/** What the bar of a row is made of. */
function parts(c: Counters, direction: Direction): [number, number] {
  return [direction === "out" ? 0 : (c.br ?? 0), direction === "in" ? 0 : (c.bs ?? 0)];
}

interface Sort {
  by: Column | string; // a column, or the id of a measure
  down: boolean;
}

function sorted(rows: Row[], sort: Sort | null, list: Measure[]): Row[] {
  if (!sort) return rows;
  const measure = list.find((m) => m.id === sort.by);
  const compare = measure ? (a: Row, b: Row) => measure.of(a.counters) - measure.of(b.counters) : (a: Row, b: Row) => compareCells(a, b, sort.by as Column);
  return [...rows].sort((a, b) => (sort.down ? compare(b, a) : compare(a, b)));
}

function Head({ id, title, right, width, sort, onSort }: { id: string; title: string; right?: boolean; width: number; sort: Sort | null; onSort: (id: string) => void }) {
  const state = sort?.by === id ? (sort.down ? "descending" : "ascending") : undefined;
  return (
    <th scope="col" class={right ? "number" : undefined} aria-sort={state ?? "none"} style={{ width: `${width}px` }}>
      <button type="button" class="plain" onClick={() => onSort(id)} title={`Sort these rows by ${title.toLowerCase()}`}>
        {title}
        <span class="arrow" aria-hidden="true">
          {state === "descending" ? "▼" : state === "ascending" ? "▲" : ""}
        </span>
      </button>
    </th>
  );
}

interface CellProps {
  row: Row;
  column: Column;
  names: Record<string, string>;
  tab: boolean;
  onDrill: Props["onDrill"];
}

function Cell({ row, column, names, tab, onDrill }: CellProps) {
  const text = cellText(row, column);
  const shown = shownText(row, column, names);
  const known = service(column, text);
  return (
    <td class={isMono(column, text, shown) ? `${column} mono` : column}>
      <button
        type="button"
        class="plain cell"
        tabIndex={tab ? 0 : -1}
        title={`${text}${known ? ` (${known})` : ""} — click: only this; Shift and click: all but this`}
        onClick={(e) => onDrill(column, text, e.shiftKey)}
      >
        {shown}
        {known && <small> {known}</small>}
      </button>
    </td>
  );
}

function Amount({ measure, counters }: { measure: Measure; counters: Counters }) {
  const value = measure.of(counters);
  const unit = measure.unit;
  if (value === 0) return <td class={`number zero ${measure.id}`}>–</td>;
  const q = aligned(value, unit);
  return (
    <td class={`number ${measure.id}`} title={value.toLocaleString("en") + (unit === "B" ? " bytes" : "")}>
      {q.digits}
      <span class="unit">{q.unit}</span>
    </td>
  );
}

function Share({ row, direction, most, total }: { row: Row; direction: Direction; most: number; total: number }) {
  const [received, sent] = parts(row.counters, direction);
  return (
    <td class="share">
      <span class="bar" aria-hidden="true">
        <i class="in" style={{ width: `${(100 * received) / most}%` }} />
        <i class="out" style={{ width: `${(100 * sent) / most}%` }} />
      </span>
      <span class="percent">{percent(received + sent, total)}</span>
    </td>
  );
}

/** As the media query of style.css that makes two lines of a row. */
function useSmall(): boolean {
  const media = useMemo(() => matchMedia("(max-width: 720px)"), []);
  const [small, setSmall] = useState(media.matches);
  useEffect(() => {
    const listen = (): void => setSmall(media.matches);
    media.addEventListener("change", listen);
    return () => media.removeEventListener("change", listen);
  }, [media]);
  return small;
}

interface Layout {
  tops: number[] | null; // of the rows, and of what is behind the last; null: all have the height ROW
  widths: number[] | null; // of the columns; null: rows have lines
  sum: number;
}

const around = (column: Column): number => GAP_SMALL + (column === "dip" ? ARROW : 0);

/** Room for all that cells say: columns of that width or, on a small screen, rows of as many lines as it takes. */
function useLayout(rows: Row[], columns: Column[], names: Record<string, string>, amounts: number, room: number): Layout {
  const small = useSmall();
  const measure = useMemo(measurer, []);
  return useMemo(() => {
    if (small) {
      const tops = [0];
      for (const row of rows) tops.push(tops[tops.length - 1]! + GAP_SMALL + LINE_SMALL * (1 + linesOf(row, columns, names, room - EDGES_SMALL, around, measure)));
      return { tops, widths: null, sum: 0 };
    }
    const widths = columnWidths(rows, columns, names, measure).map((w, i) => Math.max(w + CELL_EDGES, Math.ceil(measure(columnInfo(columns[i]!).title, false)) + HEAD));
    return { tops: null, widths, sum: widths.reduce((a, b) => a + b, SHARE + amounts * AMOUNT) };
  }, [small, rows, columns, names, amounts, small ? room : 0]);
}

/** The last row that begins at or above y. */
function rowAt(y: number, rows: number, tops: number[] | null): number {
  if (!tops) return Math.floor(y / ROW);
  let [low, high] = [0, rows];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (tops[middle]! <= y) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Which rows are in sight of a scrolling element. */
function useWindow(rows: number, tops: number[] | null): [(e: HTMLDivElement | null) => void, number, number, { current: HTMLDivElement | null }] {
  const element = useRef<HTMLDivElement | null>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const frame = useRef(0);
  const attach = useRef((e: HTMLDivElement | null) => {
    element.current = e;
    if (!e) return;
    setHeight(e.clientHeight);
    e.onscroll = () => {
      cancelAnimationFrame(frame.current);
      frame.current = requestAnimationFrame(() => {
        setTop(e.scrollTop);
        setHeight(e.clientHeight);
      });
    };
  });
  const first = Math.max(0, Math.min(rows, rowAt(top, rows, tops)) - BEYOND);
  const last = Math.min(rows, rowAt(top + height, rows, tops) + 1 + BEYOND);
  return [attach.current, first, last, element];
}

export function Talkers({ result, columns, direction, names, stale, onDrill }: Props) {
  const [sort, setSort] = useState<Sort | null>(null);
  const list = useMemo(() => measures(direction), [direction]);
  const rows = useMemo(() => sorted(result.rows ?? [], sort, list), [result, sort, list]);
  const [measured, room] = useWidth<HTMLDivElement>();
  const { tops, widths, sum } = useLayout(rows, columns, names, list.length, room);
  const topOf = (row: number): number => tops?.[row] ?? row * ROW;
  const [scroller, first, last, element] = useWindow(rows.length, tops);
  const attach = useCallback((e: HTMLDivElement | null) => {
    scroller(e);
    measured(e);
  }, []);
  const [focus, setFocus] = useState({ row: 0, column: 0 });
  const moved = useRef(false);

  const total = parts(result.summary.totals, direction).reduce((a, b) => a + b);
  const most = useMemo(() => Math.max(1, ...rows.map((r) => parts(r.counters, direction).reduce((a, b) => a + b))), [rows, direction]);

  useEffect(() => {
    element.current?.scrollTo(0, 0);
    setFocus({ row: 0, column: 0 });
  }, [columns.join(), sort, result.query?.condition]);

  // The arrow keys go from cell to cell (WAI-ARIA grid); the one in focus may have to be drawn first.
  useLayoutEffect(() => {
    if (!moved.current) return;
    moved.current = false;
    element.current?.querySelector<HTMLElement>(`tr[data-row="${focus.row}"] td:nth-child(${focus.column + 1}) button`)?.focus({ preventScroll: true });
  });
  const onKey = (event: KeyboardEvent): void => {
    const page = Math.max(1, rowAt(topOf(focus.row) + (element.current?.clientHeight ?? 300), rows.length, tops) - focus.row - 2);
    const steps: Record<string, [number, number]> = {
      ArrowDown: [1, 0],
      ArrowUp: [-1, 0],
      ArrowRight: [0, 1],
      ArrowLeft: [0, -1],
      PageDown: [page, 0],
      PageUp: [-page, 0],
      Home: [-rows.length, 0],
      End: [rows.length, 0],
    };
    const by = steps[event.key];
    if (!by || !(event.target as HTMLElement).matches("td .cell")) return;
    event.preventDefault();
    const row = Math.max(0, Math.min(rows.length - 1, focus.row + by[0]));
    const column = Math.max(0, Math.min(columns.length - 1, focus.column + by[1]));
    const box = element.current;
    if (box) {
      const [y, below] = [topOf(row), topOf(row) + 3 * (topOf(row + 1) - topOf(row))];
      if (y < box.scrollTop) box.scrollTop = y;
      if (below > box.scrollTop + box.clientHeight) box.scrollTop = below - box.clientHeight;
    }
    moved.current = true;
    setFocus({ row, column });
  };
  const sortBy = (id: string): void => {
    const numeric = list.some((m) => m.id === id);
    setSort((was) => (was?.by !== id ? { by: id, down: numeric } : was.down === numeric ? { by: id, down: !numeric } : null));
  };
  const focusRow = focus.row >= first && focus.row < last ? focus.row : first;
  const bytes = list.filter((m) => m.unit === "B");
  const packets = list.filter((m) => m.unit === "");

  return (
    <div
      class={stale ? "scroll stale" : "scroll"}
      ref={attach}
      onKeyDown={onKey}
      onFocusCapture={(e) => {
        const cell = (e.target as HTMLElement).closest("td");
        const row = cell?.closest<HTMLElement>("tr")?.dataset.row;
        if (cell && row !== undefined) setFocus({ row: Number(row), column: cell.cellIndex });
      }}
      tabIndex={-1}
      role="region"
      aria-label="Flows"
    >
      <table class="talkers" aria-rowcount={rows.length + 1} style={{ minWidth: widths ? `${sum}px` : undefined }}>
        <thead>
          <tr aria-rowindex={1}>
            {columns.map((c, i) => (
              <Head key={c} id={c} title={columnInfo(c).title} width={widths?.[i] ?? 0} sort={sort} onSort={sortBy} />
            ))}
            {bytes.map((m) => (
              <Head key={m.id} id={m.id} title={m.title} right width={AMOUNT} sort={sort} onSort={sortBy} />
            ))}
            <th scope="col" class="share" style={{ width: `${SHARE}px` }}>
              Share %
            </th>
            {packets.map((m) => (
              <Head key={m.id} id={m.id} title={m.title} right width={AMOUNT} sort={sort} onSort={sortBy} />
            ))}
          </tr>
        </thead>
        <tbody>
          {first > 0 && <tr aria-hidden="true" style={{ height: `${topOf(first)}px` }} />}
          {rows.slice(first, last).map((row, i) => {
            const index = first + i;
            return (
              <tr key={index} data-row={index} aria-rowindex={index + 2} style={{ height: tops ? `${topOf(index + 1) - topOf(index)}px` : undefined }}>
                {columns.map((c, k) => (
                  <Cell key={c} row={row} column={c} names={names} tab={index === focusRow && k === focus.column} onDrill={onDrill} />
                ))}
                {bytes.map((m) => (
                  <Amount key={m.id} measure={m} counters={row.counters} />
                ))}
                <Share row={row} direction={direction} most={most} total={total} />
                {packets.map((m) => (
                  <Amount key={m.id} measure={m} counters={row.counters} />
                ))}
              </tr>
            );
          })}
          {last < rows.length && <tr aria-hidden="true" style={{ height: `${topOf(rows.length) - topOf(last)}px` }} />}
        </tbody>
      </table>
    </div>
  );
}

// Traffic over time: received above the axis, sent below it, stacked; drag across it to zoom in.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import type { Direction } from "../ask";
import type { Column } from "../columns";
import { dateTime, short } from "../format";
import { serviceName } from "../protocols";
import { OTHER, type Series, type Timeline, type Unit } from "../timeline";
import { useWidth } from "../use";

interface Props {
  timeline: Timeline;
  by: Column | null; // what the series are values of
  direction: Direction;
  unit: Unit;
  names: Record<string, string>;
  dark: boolean;
  stale: boolean;
  onRange: (first: number, last: number) => void;
  onPick: (key: string) => void;
}

const HEIGHT = 250;
const HEIGHT_SMALL = 190;
const DAY = 86400;

const css = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export const colourOf = (s: Series, index: number): string => `var(--series-${s.key === OTHER ? "other" : index})`;

/** Rates: bit/s, or packets a second. */
function rateOf(t: Timeline, unit: Unit): (amount: number, bin: number) => number {
  return (amount, bin) => (amount * (unit === "bytes" ? 8 : 1)) / t.seconds[bin]!;
}
const rateUnit = (unit: Unit): string => (unit === "bytes" ? "bit/s" : "p/s");

/** What is shown of a series above the axis, and below it. */
function halves(s: Series, direction: Direction): { up: number[] | null; down: number[] | null } {
  switch (direction) {
    case "in":
      return { up: s.received, down: null };
    case "out":
      return { up: null, down: s.sent };
    case "sum":
      return { up: s.received.map((v, i) => v + s.sent[i]!), down: null };
    case "both":
      return { up: s.received, down: s.sent };
  }
}

interface Layer {
  values: number[];
  index: number; // of the series
}

/** Each layer reaches from the axis to the sum of all series up to its own; the last one lies on top. */
function layers(t: Timeline, direction: Direction, unit: Unit): Layer[] {
  const rate = rateOf(t, unit);
  const found: Layer[] = [];
  for (const [side, sign] of [["up", 1], ["down", -1]] as const) {
    const sum = t.ends.map(() => 0);
    const stack: Layer[] = [];
    t.series.forEach((s, index) => {
      const half = halves(s, direction)[side];
      if (!half) return;
      half.forEach((v, i) => (sum[i]! += sign * rate(v, i)));
      stack.push({ values: [...sum], index });
    });
    found.push(...stack.reverse());
  }
  return found;
}

function timeLabels(splits: number[], step: number): string[] {
  return splits.map((s, i) => {
    const text = dateTime(new Date(s * 1000));
    const [day, clock] = [text.slice(5, 10), text.slice(11)];
    if (step >= DAY) return day;
    const before = i > 0 ? dateTime(new Date(splits[i - 1]! * 1000)).slice(5, 10) : "";
    return day === before ? clock : `${clock}\n${day}`;
  });
}

function options(t: Timeline, stack: Layer[], unit: Unit, width: number, hover: (bin: number | null) => void, range: Props["onRange"]): uPlot.Options {
  const [text, grid, surface] = [css("--muted"), css("--grid"), css("--surface")];
  const font = "12px system-ui, sans-serif";
  const stepped = uPlot.paths.stepped!({ align: -1 });
  const binAt = (u: uPlot): number => Math.ceil((u.posToVal(u.cursor.left ?? 0, "x") - t.ends[0]!) / t.width - 1e-9);
  return {
    width,
    height: width < 560 ? HEIGHT_SMALL : HEIGHT,
    padding: [8, 44, 0, 0],
    legend: { show: false },
    cursor: { points: { show: false }, y: false, drag: { x: true, y: false, setScale: false } },
    scales: {
      x: { time: true, range: [t.ends[0]! - t.width, t.ends[t.ends.length - 1]!] },
      y: { range: (_u, min, max) => [Math.min(0, min * 1.06), Math.max(0, max * 1.06) || (min < 0 ? 0 : 1)] },
    },
    axes: [
      { stroke: text, font, grid: { show: false }, ticks: { stroke: grid, size: 5 }, space: 70, size: 44, values: (_u, splits, _a, _s, step) => timeLabels(splits, step) },
      { stroke: text, font, grid: { stroke: grid, width: 1 }, ticks: { show: false }, size: 82, space: 36, values: (_u, splits) => splits.map((v) => short(Math.abs(v), rateUnit(unit))) },
    ],
    series: [
      {},
      ...stack.map(({ index }): uPlot.Series => {
        const s = t.series[index]!;
        return { paths: stepped, fill: css(`--series-${s.key === OTHER ? "other" : index}`), stroke: surface, width: 0.75, points: { show: false } };
      }),
    ],
    hooks: {
      // The axis between received and sent, on top of the areas that meet there.
      draw: [
        (u) => {
          const y = Math.round(u.valToPos(0, "y", true)) + 0.5;
          u.ctx.save();
          u.ctx.strokeStyle = css("--text");
          u.ctx.lineWidth = devicePixelRatio;
          u.ctx.beginPath();
          u.ctx.moveTo(u.bbox.left, y);
          u.ctx.lineTo(u.bbox.left + u.bbox.width, y);
          u.ctx.stroke();
          u.ctx.restore();
        },
      ],
      setCursor: [(u) => hover((u.cursor.left ?? -1) < 0 ? null : Math.max(0, Math.min(t.ends.length - 1, binAt(u))))],
      setSelect: [
        (u) => {
          const [from, to] = [u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x")];
          const tiny = u.select.width < 4;
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          // Stamps are the ends of intervals, and the first one of a range is in it.
          if (!tiny) range(Math.floor(from / t.width) * t.width + 1, Math.ceil(to / t.width) * t.width);
        },
      ],
    },
  };
}

function Tip({ timeline: t, by, bin, direction, unit, names }: Pick<Props, "timeline" | "by" | "direction" | "unit" | "names"> & { bin: number }) {
  const rate = rateOf(t, unit);
  const at = (list: number[] | null): string => (list ? short(rate(list[bin]!, bin), rateUnit(unit)) : "");
  const total = (side: "up" | "down"): number => t.series.reduce((n, s) => n + (halves(s, direction)[side]?.[bin] ?? 0), 0);
  const both = direction === "both";
  return (
    <div class={bin > t.ends.length / 2 ? "tip left" : "tip"}>
      <strong>
        {dateTime(new Date((t.ends[bin]! - t.width) * 1000))} – {dateTime(new Date(t.ends[bin]! * 1000)).slice(11)}
      </strong>
      <table>
        <tbody>
          {both && (
            <tr class="tip-head">
              <td />
              <td>in</td>
              <td>out</td>
            </tr>
          )}
          {t.series.map((s, i) => {
            const { up, down } = halves(s, direction);
            if (!up?.[bin] && !down?.[bin]) return null;
            return (
              <tr key={s.key}>
                <td>
                  <i style={{ background: colourOf(s, i) }} /> {seriesName(s, names, by)}
                </td>
                {up && <td>{at(up)}</td>}
                {down && <td>{at(down)}</td>}
              </tr>
            );
          })}
          {t.series.length > 1 && (
            <tr class="tip-sum">
              <td>total</td>
              {direction !== "out" && <td>{short(rate(total("up"), bin), rateUnit(unit))}</td>}
              {(both || direction === "out") && <td>{short(rate(total("down"), bin), rateUnit(unit))}</td>}
            </tr>
          )}
        </tbody>
      </table>
    </div>
  );
}

function seriesName(s: Series, names: Record<string, string>, by: Column | null): string {
  if (s.key === "") return "all traffic";
  const service = by === "dport" ? serviceName(Number(s.key)) : undefined;
  return service ? `${s.key} ${service}` : (names[s.key] ?? s.key);
}

/** For those who do not see the picture. */
function inWords(t: Timeline, direction: Direction, unit: Unit): string {
  const rate = rateOf(t, unit);
  const peak = (side: "up" | "down", word: string): string => {
    const sums = t.ends.map((_, i) => rate(t.series.reduce((n, s) => n + (halves(s, direction)[side]?.[i] ?? 0), 0), i));
    const max = Math.max(...sums);
    if (!(max > 0)) return "";
    return ` Most ${word}: ${short(max, rateUnit(unit))}, at ${dateTime(new Date(t.ends[sums.indexOf(max)]! * 1000))}.`;
  };
  const range = `Traffic from ${dateTime(new Date((t.ends[0]! - t.width) * 1000))} to ${dateTime(new Date(t.ends[t.ends.length - 1]! * 1000))}.`;
  return range + peak("up", direction === "sum" ? "in sum" : "received") + peak("down", "sent");
}

export function Plot({ timeline, by, direction, unit, names, dark, stale, onRange, onPick }: Props) {
  const [attach, width] = useWidth<HTMLDivElement>();
  const holder = useRef<HTMLDivElement>(null);
  const latest = useRef(onRange);
  const [bin, setBin] = useState<number | null>(null);
  latest.current = onRange;
  const stack = useMemo(() => layers(timeline, direction, unit), [timeline, direction, unit]);

  useEffect(() => {
    if (!holder.current || width < 50 || timeline.ends.length === 0) return;
    setBin(null);
    // One more point at the begin of the first bin: a step reaches back to the point before it.
    const xs = [timeline.ends[0]! - timeline.width, ...timeline.ends];
    const data = [xs, ...stack.map(({ values }) => [values[0]!, ...values])] as uPlot.AlignedData;
    const plot = new uPlot(options(timeline, stack, unit, width, setBin, (a, b) => latest.current(a, b)), data, holder.current);
    return () => plot.destroy();
  }, [timeline, stack, width, dark]);

  return (
    <figure class={stale ? "plot stale" : "plot"}>
      <div ref={attach} class="canvas" role="img" aria-label={inWords(timeline, direction, unit)}>
        <div ref={holder} />
        {direction === "both" && (
          <div class="sides" aria-hidden="true">
            <span>in ↑</span>
            <span>out ↓</span>
          </div>
        )}
        {bin !== null && timeline.ends[bin] !== undefined && <Tip timeline={timeline} by={by} bin={bin} direction={direction} unit={unit} names={names} />}
      </div>
      <figcaption>
        <ul class="legend">
          {timeline.series.map((s, i) => (
            <li key={s.key}>
              <button type="button" class="plain" disabled={s.key === "" || s.key === OTHER} title={s.key === OTHER ? "everything else" : "show only this"} onClick={() => onPick(s.key)}>
                <i style={{ background: colourOf(s, i) }} />
                {seriesName(s, names, by)} <span class="amount">{short(s.total, unit === "bytes" ? "B" : "")}</span>
              </button>
            </li>
          ))}
        </ul>
      </figcaption>
    </figure>
  );
}

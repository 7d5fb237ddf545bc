// The largest conversations as a picture: who sends how much to which service of whom.
import { sankeyLinkHorizontal, type SankeyLink, type SankeyNode } from "d3-sankey";
import { useMemo, useState } from "preact/hooks";
import type { Column } from "../columns";
import { bytes, percent } from "../format";
import { buildGraph, graphHeight, serviceColours, type Link, type Node } from "../graph";
import type { Result } from "../types";
import { useWidth } from "../use";

interface Props {
  result: Result;
  names: Record<string, string>;
  stale: boolean;
  onDrill: (terms: [Column, string][]) => void;
}

type LaidNode = SankeyNode<Node, Link>;
type LaidLink = SankeyLink<Node, Link>;

const path = sankeyLinkHorizontal<Node, Link>();
const end = (n: LaidLink["source"]): LaidNode => n as LaidNode;

function shortened(text: string, room: number): string {
  const fits = Math.max(6, Math.floor(room / 7));
  return text.length > fits ? `${text.slice(0, fits - 1)}…` : text;
}

function Label({ node, width }: { node: LaidNode; width: number }) {
  const [x0, x1] = [node.x0 ?? 0, node.x1 ?? 0];
  const middle = ((node.y0 ?? 0) + (node.y1 ?? 0)) / 2;
  const right = node.layer !== 2;
  const room = node.layer === 1 ? width * 0.2 : width * 0.24;
  return (
    <text x={right ? x1 + 6 : x0 - 6} y={middle} dy="0.35em" text-anchor={right ? "start" : "end"}>
      {shortened(node.name, room)}
      <tspan class="amount"> {bytes(node.value ?? 0)}</tspan>
    </text>
  );
}

export function Conversations({ result, names, stale, onDrill }: Props) {
  const [attach, width] = useWidth<HTMLDivElement>();
  const [lit, setLit] = useState<Set<number> | null>(null);
  const rows = result.rows ?? [];
  const height = graphHeight(rows);
  const graph = useMemo(() => (width > 100 ? buildGraph(rows, width, height, names) : null), [result, width, names]);
  const colours = useMemo(() => (graph ? serviceColours(graph) : new Map<string, string>()), [graph]);
  const shown = rows.reduce((n, r) => n + (r.counters.br ?? 0) + (r.counters.bs ?? 0), 0);
  const totals = result.summary.totals;
  const all = (totals.br ?? 0) + (totals.bs ?? 0);

  const of = (n: LaidNode): Set<number> => new Set([...(n.sourceLinks ?? []), ...(n.targetLinks ?? [])].map((l) => l.conversation));
  return (
    <div class={stale ? "graph stale" : "graph"} tabIndex={-1}>
      <div class="graph-heads" ref={attach} aria-hidden="true">
        <span>Source</span>
        <span>Service</span>
        <span>Destination</span>
      </div>
      {graph && (
        <svg width={width} height={height} role="group" aria-label="Conversations" onMouseLeave={() => setLit(null)}>
          <g class="links">
            {graph.links.map((l, i) => (
              <path
                key={i}
                d={path(l) ?? ""}
                stroke-width={Math.max(1, l.width ?? 1)}
                class={lit === null ? undefined : lit.has(l.conversation) ? "lit" : "dim"}
                style={{ stroke: colours.get(end(end(l.source).layer === 1 ? l.source : l.target).id) }}
                onMouseEnter={() => setLit(new Set([l.conversation]))}
              >
                <title>{`${end(l.source).about} → ${end(l.target).about}: ${bytes(l.received)} in, ${bytes(l.sent)} out`}</title>
              </path>
            ))}
          </g>
          {graph.nodes.map((n) => (
            <g
              key={n.id}
              class="node"
              role="button"
              tabIndex={0}
              aria-label={`${n.about}, ${bytes(n.value ?? 0)}. Show only this.`}
              onMouseEnter={() => setLit(of(n))}
              onFocus={() => setLit(of(n))}
              onBlur={() => setLit(null)}
              onClick={() => onDrill(n.drill)}
              onKeyDown={(e) => {
                if (e.key === "Enter" || e.key === " ") {
                  e.preventDefault();
                  onDrill(n.drill);
                }
              }}
            >
              <rect style={{ fill: colours.get(n.id) }} x={n.x0} y={n.y0} width={(n.x1 ?? 0) - (n.x0 ?? 0)} height={Math.max(2, (n.y1 ?? 0) - (n.y0 ?? 0))} />
              <Label node={n} width={width} />
              <title>{`${n.about}: ${bytes(n.value ?? 0)} — click to show only this`}</title>
            </g>
          ))}
        </svg>
      )}
      <p class="note">
        {rows.length === 1 ? "The only conversation" : `The ${rows.length} largest conversations`}: {percent(shown, all)} % of the traffic, coloured by service. Click a name to see only it.
      </p>
    </div>
  );
}

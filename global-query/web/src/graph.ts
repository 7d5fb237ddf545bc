// Conversations as a Sankey diagram: source, service, destination; layout by d3-sankey.
import { sankey, sankeyJustify, type SankeyGraph } from "d3-sankey";
import type { Column } from "./columns";
import { protocolName, serviceName } from "./protocols";
import type { Row } from "./types";

export const GRAPH_ROWS = 40;
const LABEL = 17; // pixels from name to name

export interface Node {
  id: string;
  name: string;
  about: string;
  layer: 0 | 1 | 2;
  drill: [Column, string][]; // what a click on it asks for
}

export interface Link {
  received: number;
  sent: number;
  conversation: number; // index of the row that it belongs to, for highlighting
}

export type Graph = SankeyGraph<Node, Link>;

function serviceNode(row: Row): Node {
  const { dport, proto } = row.attributes;
  const name = protocolName(proto ?? 0);
  const service = serviceName(dport ?? 0);
  return {
    id: `1/${dport ?? 0}/${proto ?? 0}`,
    name: dport ? `${service ?? dport}/${name.toLowerCase()}` : name,
    about: dport ? `port ${dport}/${name.toLowerCase()}` : name,
    layer: 1,
    drill: dport
      ? [
          ["dport", String(dport)],
          ["proto", name],
        ]
      : [["proto", name]],
  };
}

function addressNode(layer: 0 | 2, column: Column, address: string, names: Record<string, string>): Node {
  return { id: `${layer}/${address}`, name: names[address] ?? address, about: address, layer, drill: [[column, address]] };
}

export function buildGraph(rows: Row[], width: number, height: number, names: Record<string, string>): Graph | null {
  const nodes = new Map<string, Node>();
  const links: (Link & { source: string; target: string; value: number })[] = [];
  rows.forEach((row, conversation) => {
    const received = row.counters.br ?? 0;
    const sent = row.counters.bs ?? 0;
    if (!received && !sent) return;
    const steps = [
      addressNode(0, "sip", row.attributes.sip ?? "", names),
      serviceNode(row),
      addressNode(2, "dip", row.attributes.dip ?? "", names),
    ];
    steps.forEach((n) => nodes.set(n.id, nodes.get(n.id) ?? n));
    const link = { received, sent, conversation, value: received + sent };
    links.push({ ...link, source: steps[0]!.id, target: steps[1]!.id }, { ...link, source: steps[1]!.id, target: steps[2]!.id });
  });
  if (!links.length) return null;
  const layout = sankey<Node, Link>()
    .nodeId((n) => n.id)
    .nodeAlign(sankeyJustify)
    .nodeWidth(10)
    .nodePadding(LABEL)
    .extent([
      [1, 4],
      [width - 1, height - 4],
    ]);
  return layout({ nodes: [...nodes.values()], links: links as never });
}

/** Colours of the services, the largest first; those beyond the palette share one. */
export function serviceColours(graph: Graph): Map<string, string> {
  const services = graph.nodes.filter((n) => n.layer === 1).sort((a, b) => (b.value ?? 0) - (a.value ?? 0));
  return new Map(services.map((n, i) => [n.id, `var(--series-${i < 8 ? i : "other"})`]));
}

/** How tall the picture must be for its names to be legible. */
export function graphHeight(rows: Row[]): number {
  const layer = (of: (r: Row) => unknown): number => new Set(rows.map(of)).size;
  const most = Math.max(1, layer((r) => r.attributes.sip), layer((r) => r.attributes.dip), layer((r) => `${r.attributes.dport}/${r.attributes.proto}`));
  return Math.max(280, most * LABEL + 200);
}

/** Draws the cluster; the table below it has the same contents as text. */
import type { Member } from "../../../api/cluster.ts";
import { count } from "../lib/format.ts";
import { svg } from "../ui/dom.ts";

const WIDTH = 640;
const HEIGHT = 262;
const HEIGHT_ALONE = 110;
const RADIUS = 22;
const AROUND = { x: 220, y: 76 };
const CENTRE = { x: WIDTH / 2, y: HEIGHT / 2 - 8 };
const ALONE = { x: WIDTH / 2, y: 40 };

export class ClusterMap {
  readonly element = svg("svg", {
    class: "map",
    role: "img",
    "aria-label": "Map of the cluster",
  });
  #drawn = "";

  update(nodes: readonly Member[], leader: string | null): void {
    const drawn = JSON.stringify([nodes, leader]);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    const most = Math.max(0, ...nodes.map((node) => node.match_index ?? 0));
    const places = nodes.map((node, i) => ({ node, ...placeOf(i, nodes.length) }));
    const from = places.find(({ node }) => node.node_id === leader);
    const lines = places.flatMap(({ node, x, y }) => {
      if (from === undefined || node.node_id === leader) return [];
      const className = `link ${node.healthy ? "good" : "bad"}`;
      return [svg("line", { class: className, x1: from.x, y1: from.y, x2: x, y2: y })];
    });
    const height = nodes.length === 1 ? HEIGHT_ALONE : HEIGHT;
    this.element.setAttribute("viewBox", `0 0 ${WIDTH} ${height}`);
    this.element.replaceChildren(
      ...lines,
      ...places.map(({ node, x, y }) => drawnNode(node, x, y, most)),
    );
    const said = nodes.map(
      (node) => `${node.node_id} ${node.role}${node.healthy ? "" : ", not healthy"}`,
    );
    this.element.setAttribute("aria-label", `Map of the cluster: ${said.join("; ")}`);
  }
}

/** Positions on a circle, the first one at the top. */
function placeOf(i: number, nodes: number): { x: number; y: number } {
  if (nodes === 1) return ALONE;
  const angle = (2 * Math.PI * i) / nodes - Math.PI / 2;
  return {
    x: CENTRE.x + AROUND.x * Math.cos(angle),
    y: CENTRE.y + AROUND.y * Math.sin(angle),
  };
}

function drawnNode(node: Member, x: number, y: number, most: number): SVGElement {
  const { node_id: id, role, healthy, match_index: index } = node;
  const behind =
    index === null ? "" : most === index ? "up to date" : `${count(most - index)} behind`;
  const state = healthy ? behind : "not healthy";
  return svg(
    "g",
    { class: `node ${role} ${healthy ? "good" : "bad"}`, transform: `translate(${x} ${y})` },
    svg("circle", { r: RADIUS }),
    svg("text", { class: "mark", y: 5 }, role === "leader" ? "★" : role.charAt(0).toUpperCase()),
    svg("text", { y: RADIUS + 20 }, id),
    svg("text", { class: "small", y: RADIUS + 38 }, state === "" ? role : `${role}, ${state}`),
  );
}

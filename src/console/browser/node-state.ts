/** State of the connected node from `/metrics_ha`: its role, and the leader. */

import type { Membership } from "../../api/cluster.ts";
import { send, sendForText } from "./api.ts";
import { parseMetrics, sumOf } from "./lib/prometheus.ts";
import { membership, metricsHa } from "./lib/requests.ts";

const ROLES = ["leader", "follower", "candidate", "learner"] as const;

export type NodeState = {
  readonly role: (typeof ROLES)[number];
  readonly nodes: number;
  readonly term: number;
};

let last: NodeState | null = null;

/** The last result; null before the first. */
export const nodeState = (): NodeState | null => last;

export async function readNodeState(signal?: AbortSignal): Promise<NodeState> {
  const scrape = parseMetrics(await sendForText(metricsHa, signal));
  last = {
    role: ROLES[sumOf(scrape, "ramforge_ha_role")] ?? "follower",
    nodes: scrape.get("ayder_ha_node_info")?.length ?? 1,
    term: sumOf(scrape, "ramforge_ha_term"),
  };
  return last;
}

/** Name and console address of the leader; null without a leader or without permission to ask. */
export async function leaderConsole(): Promise<{ id: string; url: string } | null> {
  try {
    const { nodes, leader_id: id } = (await send<Membership>(membership)).membership;
    const leader = nodes.find((node) => node.node_id === id);
    if (leader === undefined || leader.http_addr === "") return null;
    return { id: leader.node_id, url: consoleAt(leader.http_addr) };
  } catch {
    return null;
  }
}

/** The same place in the console of another node. The token is not passed on. */
export const consoleAt = (httpAddress: string): string =>
  `${location.protocol}//${httpAddress.replace(/^https?:\/\//, "")}/ui${location.hash}`;

import type { PeerAddress } from "../../env/network.ts";
import type { NodeId } from "../../lib/ids.ts";
import type { MemberRecord } from "../../machine/members.ts";
import type { Configuration } from "../../raft/types.ts";

/** The addresses of a node. */
export type MemberAddress = {
  readonly id: NodeId;
  readonly host: string;
  readonly raftPort: number;
  readonly httpPort: number;
  /** A higher priority is preferred as leader. It never overrides the state of the log. */
  readonly priority: number;
};

/**
 * The addresses of members, from the log or, for nodes that are not in the log yet, from the settings.
 * The settings are a hint for the first contact. Once a member is in the log, the log wins.
 */
export class MemberBook {
  readonly #self: NodeId;
  readonly #hints: ReadonlyMap<NodeId, MemberAddress>;
  readonly #records: () => ReadonlyMap<string, MemberRecord>;

  constructor(
    self: NodeId,
    hints: readonly MemberAddress[],
    records: () => ReadonlyMap<string, MemberRecord>,
  ) {
    this.#self = self;
    this.#hints = new Map(hints.map((hint) => [hint.id, hint]));
    this.#records = records;
  }

  /** Nodes for which the settings differ from the log. The log wins. */
  contradictions(configuration: Configuration): string[] {
    const members = idsOf(configuration);
    if (members.length === 0) return [];
    return [...this.#hints.values()]
      .filter((hint) => !members.includes(hint.id) || !isSame(hint, this.find(hint.id)))
      .map(({ id }) => id);
  }

  find(id: NodeId): MemberAddress | null {
    const record = this.#records().get(id);
    if (record === undefined || this.lacksAddress(id)) return this.#hints.get(id) ?? null;
    const { host, raftPort, httpPort, priority } = record;
    return { id, host, raftPort, httpPort, priority };
  }

  /** A node that was alone when it was recorded had no Raft address. Its settings are used then. */
  lacksAddress(id: NodeId): boolean {
    const record = this.#records().get(id);
    const hint = this.#hints.get(id);
    if (record?.raftPort !== 0 || hint === undefined) return false;
    const { host, raftPort, httpPort } = hint;
    return raftPort > 0 || host !== record.host || httpPort !== record.httpPort;
  }

  /** True if the node is a member according to the log. */
  isRecorded(id: NodeId): boolean {
    return this.#records().has(id);
  }

  /** Null: the node is not a member, or its disk is not known yet. */
  storageIdOf(id: NodeId): string | null {
    return this.#records().get(id)?.storageId ?? null;
  }

  priorities(configuration: Configuration): Map<NodeId, number> {
    return new Map(idsOf(configuration).map((id) => [id, this.find(id)?.priority ?? 0]));
  }

  /** All nodes to connect to: the members, or the nodes in the settings before there are any. */
  peers(configuration: Configuration): PeerAddress[] {
    const members = idsOf(configuration);
    const ids = members.length > 0 ? members : [...this.#hints.keys()];
    const peers: PeerAddress[] = [];
    for (const id of ids) {
      const address = id === this.#self ? null : this.find(id);
      if (address !== null) peers.push({ id, host: address.host, port: address.raftPort });
    }
    return peers;
  }

  /**
   * Number of voters, except the lost leader, that campaign before this node: those with a higher
   * priority, and those with the same priority and a lower id, so that two do not split the votes.
   */
  rankAmong(voters: readonly NodeId[], leader: NodeId | null): number {
    const priorityOf = (id: NodeId) => this.find(id)?.priority ?? 0;
    const own = priorityOf(this.#self);
    let rank = 0;
    for (const id of voters) {
      if (id === leader || id === this.#self) continue;
      const other = priorityOf(id);
      if (other > own || (other === own && id < this.#self)) rank++;
    }
    return rank;
  }

  /** `http://host:port` of a node according to the topology. */
  httpUrl(id: NodeId, scheme: "http" | "https"): string | null {
    const address = this.find(id);
    if (address === null) return null;
    return `${scheme}://${hostAndPort(address.host, address.httpPort)}`;
  }
}

/** `host:port`, with an IPv6 address in brackets. */
export const hostAndPort = (host: string, port: number): string =>
  `${host.includes(":") ? `[${host}]` : host}:${port}`;

const isSame = (a: MemberAddress, b: MemberAddress | null): boolean =>
  a.host === b?.host &&
  a.raftPort === b.raftPort &&
  a.httpPort === b.httpPort &&
  a.priority === b.priority;

/** Voters of both configurations, learners, and voters that become learners, without duplicates. */
export const idsOf = (configuration: Configuration): NodeId[] => [
  ...new Set([
    ...configuration.voters,
    ...configuration.votersOutgoing,
    ...configuration.learners,
    ...configuration.learnersNext,
  ]),
];

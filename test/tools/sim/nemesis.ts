/** Breaks things, one after the other, as the plan allows; each fault ends by itself. */
import type { Node } from "../../../src/node/node.ts";
import type { Random } from "../random.ts";
import { type SimCluster, SimViolation } from "./cluster.ts";
import type { Ghost } from "./invariants.ts";
import { Life } from "./life.ts";
import { type FaultKind, streamOf } from "./plan.ts";
import type { SimNode } from "./sim-node.ts";

const LENGTHS_MS = [50, 200, 800, 2500] as const;
const JUMPS_MS = [-86_400_000, -3000, 0, 3000, 3_600_000, 86_400_000] as const;

export class Nemesis {
  readonly #cluster: SimCluster;
  readonly #ghost: Ghost;
  readonly #random: Random;
  #stopped = false;

  constructor(cluster: SimCluster, ghost: Ghost) {
    this.#cluster = cluster;
    this.#ghost = ghost;
    this.#random = streamOf(cluster.plan.seed, "nemesis");
    if (cluster.plan.faults.length > 0) this.#later();
  }

  stop(): void {
    this.#stopped = true;
  }

  #later(): void {
    const { faultEveryMs, faults } = this.#cluster.plan;
    this.#cluster.queue.after(1 + this.#random.below(2 * faultEveryMs), () => {
      if (this.#stopped) return;
      this.#inject(this.#random.pick(faults));
      this.#later();
    });
  }

  #inject(kind: FaultKind): void {
    const node = this.#random.pick(this.#cluster.nodes);
    const effect = FAULTS[kind](this, node, this.#random);
    if (effect === null) return;
    this.#cluster.count(kind);
    this.#cluster.note(`fault ${kind} ${effect}`);
  }

  get cluster(): SimCluster {
    return this.#cluster;
  }

  get ghost(): Ghost {
    return this.#ghost;
  }

  /** Undone after a while, unless all faults ended before. */
  during(undo: () => void): void {
    this.#cluster.queue.after(this.#random.pick(LENGTHS_MS), () => {
      if (!this.#stopped) undo();
    });
  }

  /** Runs unless all faults ended before. */
  soon(ms: number, run: () => void): void {
    this.#cluster.queue.after(ms, () => {
      if (!this.#stopped) run();
    });
  }

  get leader(): SimNode | null {
    return this.#cluster.nodes.find(({ node }) => node?.health().role === "leader") ?? null;
  }

  /** Nothing passes between the two groups. */
  separate(group: readonly SimNode[]): void {
    const { networks, nodes } = this.#cluster;
    for (const a of group) {
      for (const b of nodes) {
        if (group.includes(b)) continue;
        networks.block(a.id, b.id);
        networks.block(b.id, a.id);
      }
    }
    this.during(() => networks.heal());
  }

  /** One more disk may be lost for good without taking records with it. */
  mayBreak(node: SimNode): boolean {
    const { initialMembers, plan } = this.#cluster;
    if (!initialMembers.includes(node) || node.broken !== null) return false;
    // Entries that only a leader has may be lost; a change of members moves the majority.
    if (plan.faults.includes("membership")) return false;
    const spoilt = initialMembers.filter(
      ({ id, broken }) =>
        broken !== null || this.#cluster.excused.get(id)?.has("bit-flip") === true,
    );
    return spoilt.length < Math.floor((initialMembers.length - 1) / 2) && !spoilt.includes(node);
  }

  /** The disk of a minority may lie, as often as it likes. */
  mayFlip(node: SimNode): boolean {
    const isVictim = this.#cluster.excused.get(node.id)?.has("bit-flip") === true;
    return node.broken === null && (isVictim || this.mayBreak(node));
  }

  /** An operator's command at the leader; whatever comes of it. */
  command(run: (node: Node) => Promise<unknown>): string | null {
    const { leader } = this;
    if (leader === null) return null;
    const { node } = leader;
    leader.life.run(() => {
      if (node === null) return;
      run(node).then(
        (result) => this.#cluster.note(`command ${JSON.stringify(result)}`),
        (error: unknown) => this.#cluster.fail(new SimViolation("command", String(error), error)),
      );
    });
    return leader.id;
  }
}

/** `shards/0/partitions@1/0-0/…` → `partitions` */
const kindOf = (path: string): string => (path.split("/")[2] ?? "").replace(/@.*/, "");

/** Milliseconds from an end to the next start, and from a start to the next power loss. */
const START_MS = [0, 0.1, 1, 5] as const;
const POWER_MS = [0.05, 0.3, 1, 3, 10] as const;

/** Starts a node that is down and takes its power away again, as many times as given. */
function startAndLosePower(nemesis: Nemesis, node: SimNode, random: Random, times: number): void {
  const { cluster } = nemesis;
  if (times === 0) {
    cluster.startLater(node);
    return;
  }
  nemesis.soon(random.pick(START_MS), () => {
    if (node.up || node.broken !== null) return;
    node.start();
    const { life } = node;
    nemesis.soon(random.pick(POWER_MS) * (1 + random.below(100) / 100), () => {
      if (node.life !== life || !life.alive) return;
      cluster.count(node.node === null ? "power lost while starting" : "power lost after a start");
      cluster.note(`power loss ${node.id} ${node.disk.pending} pending`);
      node.losePower(random);
      startAndLosePower(nemesis, node, random, times - 1);
    });
  });
}

/** The message of a stranger; null: nothing. */
function strangerFrame(recorded: readonly Uint8Array[], random: Random): Uint8Array | null {
  const kind = random.below(4);
  if (kind === 0) return null;
  if (kind === 1) return Uint8Array.from({ length: random.below(200) }, () => random.below(256));
  if (kind === 2) return new Uint8Array(5_000);
  return recorded.length === 0 ? null : (recorded[random.below(recorded.length)]?.slice() ?? null);
}

/** @returns what was done, or null if it would have had no effect. */
type Fault = (nemesis: Nemesis, node: SimNode, random: Random) => string | null;

const FAULTS: Readonly<Record<FaultKind, Fault>> = {
  kill: ({ cluster }, node) => {
    if (!node.up) return null;
    node.kill();
    cluster.startLater(node);
    return node.id;
  },
  "power-loss": ({ cluster }, node, random) => {
    if (!node.up) return null;
    const { pending } = node.disk;
    node.losePower(random);
    cluster.startLater(node);
    return `${node.id} ${pending} pending`;
  },
  "power-loss-all": ({ cluster }, _, random) => {
    const up = cluster.nodes.filter((node) => node.up);
    for (const node of up) {
      node.losePower(random);
      cluster.startLater(node);
    }
    return up.map(({ id }) => id).join(" ");
  },
  // An end of the process or of the power, then power losses within milliseconds of each start.
  "start-power-loss": (nemesis, node, random) => {
    if (!node.up) return null;
    const { pending } = node.disk;
    const isKill = random.below(2) === 0;
    const times = 1 + random.below(3);
    if (isKill) node.kill();
    else node.losePower(random);
    startAndLosePower(nemesis, node, random, times);
    return `${node.id} ${isKill ? "kill" : "power"} ${pending} pending ${times}`;
  },
  shortage: (_, node, random) => {
    node.disk.faults.shortages = random.pick([1, 3, 10, 30]);
    return `${node.id} ${node.disk.faults.shortages}`;
  },
  pause: (nemesis, node) => {
    if (!node.up || node.life.paused) return null;
    const { life } = node;
    life.pause();
    nemesis.during(() => life.resume());
    return node.id;
  },
  partition: (nemesis, _, random) => {
    const group = nemesis.cluster.nodes.filter(() => random.below(2) === 0);
    nemesis.separate(group);
    return group.map(({ id }) => id).join(" ");
  },
  "one-way": (nemesis, node, random) => {
    const { nodes, networks } = nemesis.cluster;
    const deaf = random.below(2) === 0;
    for (const other of nodes) {
      if (other === node) continue;
      if (deaf) networks.block(other.id, node.id);
      else networks.block(node.id, other.id);
    }
    nemesis.during(() => networks.heal());
    return `${node.id} ${deaf ? "deaf" : "dumb"}`;
  },
  // Each sees its neighbours only.
  ring: (nemesis) => {
    const { nodes, networks } = nemesis.cluster;
    for (const [i, a] of nodes.entries()) {
      for (const [k, b] of nodes.entries()) {
        const distance = Math.abs(i - k);
        if (distance > 1 && distance < nodes.length - 1) networks.block(a.id, b.id);
      }
    }
    nemesis.during(() => networks.heal());
    return "";
  },
  "isolate-leader": (nemesis) => {
    const { leader } = nemesis;
    if (leader === null) return null;
    nemesis.separate([leader]);
    return leader.id;
  },
  "cut-links": ({ cluster }, node, random) => {
    const count = cluster.networks.cut(node.id, random.pick(cluster.nodes).id);
    return count === 0 ? null : `${node.id} ${count}`;
  },
  "slow-links": (nemesis, node, random) => {
    const { nodes, networks } = nemesis.cluster;
    const ms = random.pick([30, 200, 1000]);
    for (const other of nodes) networks.slowMs.set(`${node.id}>${other.id}`, ms);
    nemesis.during(() => networks.slowMs.clear());
    return `${node.id} ${ms}`;
  },
  "slow-disk": (nemesis, node) => {
    node.diskState.slow = 30;
    nemesis.during(() => {
      node.diskState.slow = 1;
    });
    return node.id;
  },
  "stuck-sync": ({ cluster }, node, random) => {
    node.diskState.stuckUntilMs = cluster.queue.elapsedMs + random.pick(LENGTHS_MS);
    return node.id;
  },
  "sync-error": ({ cluster }, node) => {
    if (!node.up) return null;
    cluster.excuse(node, "sync-error");
    node.disk.faults.syncError = "shards";
    return node.id;
  },
  "disk-full": (nemesis, node) => {
    nemesis.cluster.excuse(node, "disk-full");
    node.disk.faults.full = true;
    nemesis.during(() => {
      node.disk.faults.full = false;
    });
    return node.id;
  },
  "bit-flip": (nemesis, node, random) => {
    if (!nemesis.mayFlip(node)) return null;
    const paths = node.disk.paths().filter((path) => path.startsWith("shards"));
    const kinds = [...new Set(paths.map(kindOf))];
    if (kinds.length === 0) return null;
    const kind = random.pick(kinds);
    const path = random.pick(paths.filter((one) => kindOf(one) === kind));
    const bytes = node.disk.peek(path) ?? new Uint8Array(0);
    // Behind what is written nobody looks.
    const used = bytes.findLastIndex((byte) => byte !== 0) + 1;
    if (used === 0) return null;
    nemesis.cluster.excuse(node, "bit-flip");
    node.disk.flipBit(path, random.below(used * 8));
    nemesis.cluster.count(`flipped ${kind}`);
    return `${node.id} ${path}`;
  },
  wipe: (nemesis, node) => {
    if (!nemesis.mayBreak(node)) return null;
    node.wipe();
    nemesis.ghost.wiped(node.id);
    node.broken = "wiped";
    // It comes back blank, and nobody may take it for the one that voted.
    nemesis.cluster.queue.after(100, () => node.start());
    return node.id;
  },
  "clock-jump": ({ cluster }, node, random) => {
    const { nodes, plan } = cluster;
    const wrong = nodes.filter((other) => other !== node && other.clock.skewMs !== 0);
    // A majority that is wrong alike is right; with changing members few are a majority.
    const few = plan.faults.includes("membership") ? 1 : Math.max(1, (plan.nodes - 1) >> 1);
    const skewMs = wrong.length < few ? random.pick(JUMPS_MS) : 0;
    if (skewMs === node.clock.skewMs) return null;
    // A node alone believes what its clock shows when it starts.
    const isAlone = plan.nodes === 1 || plan.faults.includes("membership");
    if (isAlone && node.node?.health().ready !== true) return null;
    node.clock.skewMs = skewMs;
    return `${node.id} ${skewMs}`;
  },
  // Links that prove nothing: silent, with noise, too long, or with what was recorded on others.
  strangers: (nemesis, node, random) => {
    if (!node.up) return null;
    const { networks, queue } = nemesis.cluster;
    const count = random.pick([1, 5, 40]);
    for (let i = 0; i < count; i++) {
      const name = `stranger${i % 3}`;
      const life = new Life(name, 1, queue);
      const say = strangerFrame(networks.recorded, random);
      const link = networks.stranger(name, life, node.id, {
        opened: () => {},
        // The challenge is answered.
        frame: () => {
          if (say !== null) link.send(say);
        },
        closed: () => nemesis.cluster.count("stranger closed"),
      });
    }
    return `${node.id} ${count}`;
  },
  // One end of a link gives it up and makes another while the other end still has the old one.
  "late-links": ({ cluster }, node, random) => {
    const other = random.pick(cluster.nodes);
    const count = cluster.networks.abandon(node.id, other.id, random.pick(LENGTHS_MS));
    return count === 0 ? null : `${node.id} ${other.id} ${count}`;
  },
  transfer: (nemesis, node, random) =>
    nemesis.command(async (leader) =>
      leader.transferLeadership(random.below(2) === 0 ? null : node.id),
    ),
  membership: (nemesis, node, random) => {
    const kind = random.below(4);
    if (kind === 0) return nemesis.command((leader) => leader.removeMember(node.id));
    if (kind === 1) return nemesis.command((leader) => leader.promoteMember(node.id));
    const place = {
      nodeId: node.id,
      host: node.id,
      raftPort: 7000,
      httpPort: 8000,
      priority: null,
    };
    return nemesis.command((leader) => leader.addMember(place));
  },
  compact: (_, node) => {
    const { node: running } = node;
    if (running === null) return null;
    node.life.run(() => {
      running.compact().catch(() => {});
    });
    return node.id;
  },
};

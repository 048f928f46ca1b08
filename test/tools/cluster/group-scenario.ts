/** Members share the partitions of topics while nodes and members are killed and stopped. */
import { GroupMember } from "../groups/member.ts";
import { Random } from "../random.ts";
import { Client } from "./client.ts";
import { ELECTION_TIMEOUT_MS } from "./cluster.ts";
import type { Fault } from "./faults.ts";
import { groupPath, httpLink, noted } from "./group-link.ts";
import type { Body } from "./outcome.ts";
import type { Run } from "./run-state.ts";

const GROUP = "workers";
const SHARED = "shared";
const RENEWED = "renewed";
const PARTITIONS = 12;
const MEMBERS = 10;
const OPTIONS = {
  group: GROUP,
  topics: [SHARED, RENEWED],
  leasesMs: [1000, 2000, 3000],
  waitsMs: [0, 100, 500],
  workMs: 100,
};
const PRODUCE_MS = 12;
const POLL_MS = 50;
/** A hand-over that takes this much longer than it should is a hang; a busy machine is none. */
const HANG_MS = 20_000;

type Partition = {
  readonly topic: string;
  readonly partition: number;
  readonly owner: string | null;
  readonly next?: string;
  readonly generation: number;
  readonly committed_offset: number | null;
  readonly lag: number;
};
type Described = {
  readonly members: readonly { readonly member: string; readonly topics: readonly string[] }[];
  readonly partitions: readonly Partition[];
};

/** Runs the faults, one after the other, and lets the group settle when all have ended. */
export const membersShare =
  (...faults: readonly Fault[]) =>
  async (run: Run): Promise<void> => {
    const team = new ProcessTeam(run);
    await team.start();
    while (!run.isOver) {
      await run.random.pick(faults)(run);
      await run.leader();
      await run.pause(400, 1_500);
    }
    await team.settle();
    await team.stop();
  };

class ProcessTeam {
  readonly #run: Run;
  readonly #random: Random;
  readonly #client: Client;
  readonly #members: readonly GroupMember[];
  readonly #clients: Client[] = [];
  #running: Promise<unknown> = Promise.resolve();
  #disturbed: Promise<void> = Promise.resolve();
  #isCalm = false;
  #ids = 0;

  constructor(run: Run) {
    this.#run = run;
    this.#random = new Random(run.options.seed * 31);
    this.#client = this.#open("group admin");
    this.#members = Array.from({ length: MEMBERS }, (_, i) => {
      const random = new Random(run.options.seed * 100 + i);
      return new GroupMember(httpLink(run, this.#open(`m${i}`), random), OPTIONS);
    });
  }

  #open(name: string): Client {
    const client = new Client(name, this.#run.cluster);
    this.#clients.push(client);
    return client;
  }

  async start(): Promise<void> {
    for (const topic of OPTIONS.topics) {
      await this.#run.until(async () =>
        (await this.#createTopic(topic, PARTITIONS)) ? true : null,
      );
    }
    this.#disturbed = this.#disturb();
    this.#running = Promise.all(this.#members.map((member) => member.run()));
    this.#running.catch(() => undefined);
  }

  async stop(): Promise<void> {
    this.#isCalm = true;
    for (const member of this.#members) member.stopped = true;
    await Promise.all([this.#running, this.#disturbed]);
    for (const client of this.#clients) client.close();
  }

  async #disturb(): Promise<void> {
    while (!this.#isCalm) {
      await Bun.sleep(this.#random.below(2 * PRODUCE_MS));
      const dice = this.#random.below(200);
      if (dice < 150) await this.#produce(dice % 8 === 0 ? RENEWED : SHARED);
      else if (dice < 194) await this.#show(null);
      else if (dice < 197) await this.#seek();
      else if (dice < 198) await this.#renewTopic();
    }
  }

  async #produce(topic: string): Promise<void> {
    const partition = this.#random.below(PARTITIONS);
    const value = `${this.#client.name}-${this.#ids++}`;
    const target = `/broker/topics/${topic}/produce?partition=${partition}`;
    const request = { method: "POST", target, body: value } as const;
    const world = { ...this.#world(), client: this.#client };
    if (topic === RENEWED) {
      await this.#client.send(this.#random.pick(this.#run.cluster.nodes), request);
      return;
    }
    const args = { topic, partition, key: null, values: [value] };
    await noted(world, this.#client, "produce", args, request, (body) => ({
      offset: body["offset"] as number,
      count: 1,
      duplicate: false,
      payloadMatches: true,
    }));
  }

  async #seek(): Promise<void> {
    const topic = this.#random.pick(OPTIONS.topics);
    const to = this.#random.below(2) === 0 ? "earliest" : { offset: this.#random.below(50) };
    const partition = this.#random.below(PARTITIONS);
    const body = JSON.stringify({ topic, partition, to });
    const request = { method: "POST", target: groupPath(GROUP, "/seek"), body } as const;
    const args = { group: GROUP, topic };
    const told = await noted(
      this.#world(),
      this.#client,
      "group-seek",
      args,
      request,
      (answer) => ({
        offsets: (answer["offsets"] as readonly Body[]).map((each) => ({
          topic: each["topic"] as string,
          partition: each["partition"] as number,
          committed: each["committed_offset"] as number,
        })),
      }),
    );
    if (told.result !== null) this.#run.count("group seek");
  }

  async #renewTopic(): Promise<void> {
    const request = { method: "DELETE", target: `/broker/topics/${RENEWED}` } as const;
    const args = { group: null, topic: RENEWED };
    await noted(this.#world(), this.#client, "group-reset", args, request, () => ({}));
    await this.#createTopic(RENEWED, 1 + this.#random.below(2 * PARTITIONS));
    this.#run.count("group topic deleted");
  }

  async #createTopic(name: string, partitions: number): Promise<boolean> {
    const body = JSON.stringify({ name, partitions });
    const request = { method: "POST", target: "/broker/topics", body } as const;
    const answer = await this.#client.send(this.#random.pick(this.#run.cluster.nodes), request);
    return answer.outcome === "ok" || answer.body?.["error"] === "topic_exists";
  }

  #world() {
    return { recorder: this.#run.recorder, cluster: this.#run.cluster, random: this.#random };
  }

  async #show(living: readonly string[] | null): Promise<Described | null> {
    const request = { method: "GET", target: groupPath(GROUP) } as const;
    const args = { group: GROUP, living };
    const told = await noted(this.#world(), this.#client, "group-show", args, request, (body) => ({
      partitions: (body as unknown as Described).partitions.map((each) => ({
        topic: each.topic,
        partition: each.partition,
        owner: each.owner ?? null,
        next: each.next ?? null,
        generation: each.generation,
        committed: each.committed_offset,
      })),
    }));
    return told.result === null ? null : (told.body as unknown as Described);
  }

  /** As in the simulator: a member falls silent while the leader is killed; then all is worked off. */
  async settle(): Promise<void> {
    this.#isCalm = true;
    for (const member of this.#members) member.isCalm = true;
    await this.#disturbed;
    await this.#untilShared(this.#members);
    const [victim, ...rest] = this.#members as readonly [GroupMember, ...GroupMember[]];
    await this.#takeOver(victim);
    await this.#untilShared(rest);
    const done = await this.#run.until(async () => {
      const group = await this.#show(null);
      return group?.partitions.every(({ lag }) => lag === 0) === true ? group : null;
    });
    if (done === null) this.#run.findings.push("the group did not work all records off");
    await this.#untilShared(rest);
    await this.#show(rest.map(({ name }) => name));
  }

  async #takeOver(victim: GroupMember): Promise<void> {
    victim.isSilent = true;
    victim.stopped = true;
    await Bun.sleep(this.#random.below(victim.leaseMs / 2));
    const leader = await this.#run.leader();
    await leader?.kill();
    if (leader !== null) this.#run.cluster.start(leader);
    const { name: member } = victim;
    const taken = await this.#run.until(async () => {
      const group = await this.#show(null);
      const isTaken = group?.partitions.every(({ owner }) => owner != null && owner !== member);
      return isTaken === true ? true : null;
    });
    if (taken === null) this.#run.findings.push(`the partitions of ${member} were not taken over`);
    const boundMs = victim.leaseMsMax + 2 * ELECTION_TIMEOUT_MS;
    const call = victim.lastEndMs;
    const tookMs = Math.round(this.#run.recorder.now() - call);
    this.#run.notes.push(`a member's partitions went over after ${tookMs} ms, of ${boundMs} ms`);
    const args = { group: GROUP, member, msMax: boundMs + HANG_MS };
    const process = this.#client.name;
    const ended = {
      process,
      node: leader?.id ?? "",
      call,
      outcome: "ok",
      args,
      result: {},
    } as const;
    this.#run.recorder.add("group-takeover", ended);
  }

  /** All partitions are owned by these members, which have joined with all topics. */
  async #untilShared(members: readonly GroupMember[]): Promise<void> {
    const shared = await this.#run.until(async () => {
      const names = new Set(members.map(({ name }) => name));
      const group = await this.#show(null);
      if (group === null) return null;
      const isOwned = ({ owner, next }: Partition) => next == null && names.has(owner ?? "");
      const isJoined = ({ member, topics }: Described["members"][number]) =>
        names.has(member) && topics.length === OPTIONS.topics.length;
      const isShared = group.partitions.every(isOwned) && group.members.every(isJoined);
      if (isShared && group.members.length === names.size) return group;
      await this.#createTopic(RENEWED, PARTITIONS);
      await Bun.sleep(POLL_MS);
      return null;
    });
    if (shared === null) this.#run.findings.push("the partitions were not shared in the end");
  }
}

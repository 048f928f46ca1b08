import type { Clock } from "../../env/clock.ts";
import { commitMember, type MemberOffset } from "../../groups/commands/commit-member.ts";
import { joinGroup } from "../../groups/commands/join-group.ts";
import { leaveGroup } from "../../groups/commands/leave-group.ts";
import { type SeekTarget, seekGroup } from "../../groups/commands/seek-group.ts";
import { topicsOf } from "../../groups/standings.ts";
import { findMember, findSlot, type GroupMember } from "../../groups/state.ts";
import type { Machine } from "../../machine/machine.ts";
import type { Offset } from "../../record/offset.ts";
import type { Rejected, Result } from "../api.ts";
import type {
  GroupJoined,
  GroupsApi,
  JoinGroupReject,
  JoinGroupRequest,
  MemberCommit,
  MemberCommitReject,
  MemberCommitRequest,
  MemberCommits,
  MemberRef,
  MemberWriteReject,
  SeekGroupRequest,
  SeekReject,
  Sought,
} from "../groups-api.ts";
import { findAfterCatchUp, findPartition } from "../reads/find-partition.ts";
import type { Linearizer } from "../reads/linearizer.ts";
import { offsetsAt } from "../reads/offsets-at.ts";
import type { Commander } from "../writes/commander.ts";
import { Deliveries } from "./deliveries.ts";
import { GroupDescriptions } from "./descriptions.ts";
import { MemberReads, refOf } from "./member-reads.ts";
import { type Applied, Sessions } from "./sessions.ts";

const COMMAND_BYTES = 600;
/** Upper bound of the bytes of one offset in a command. */
const OFFSET_BYTES = 24;

export type GroupsOptions = {
  readonly machine: Machine;
  readonly commander: Commander;
  readonly linearizer: Linearizer;
  readonly clock: Clock;
  readonly time: Pick<Clock, "now">;
  readonly replica: { readonly isLeader: boolean; readonly core: Applied };
  readonly limits: { readonly groupsMax: number; readonly offsetsMax: number };
};

/** A partition of a seek, and where it goes. */
type Target = SeekTarget & { readonly topic: string };

/** Groups whose members share partitions: members join, read, commit and leave. */
export class Groups implements GroupsApi {
  readonly #options: GroupsOptions;
  readonly #deliveries = new Deliveries();
  readonly #sessions: Sessions;
  readonly #reads: MemberReads;
  readonly #descriptions: GroupDescriptions;

  constructor(options: GroupsOptions) {
    this.#options = options;
    this.#sessions = new Sessions(options.replica.core);
    this.#reads = new MemberReads({
      ...options,
      deliveries: this.#deliveries,
      sessions: this.#sessions,
    });
    this.#descriptions = new GroupDescriptions(options.machine, options.clock, options.time);
    this.read = (request) => this.#reads.read(request);
    this.describe = (group) => this.#descriptions.describe(group);
    this.list = () => this.#descriptions.list();
  }

  readonly read: GroupsApi["read"];
  readonly describe: GroupsApi["describe"];
  readonly list: GroupDescriptions["list"];

  /** Called when this node becomes leader or stops to be it, and when it stops. */
  roleChanged(): void {
    this.#deliveries.reset();
    this.#sessions.reset();
  }

  memberChanged(member: GroupMember): void {
    this.#sessions.changed(member);
  }

  topicsOfMember({ group, member }: MemberRef): readonly string[] {
    const found = findMember(this.#options.machine.parts.groups, group, member);
    return (found?.topics ?? []).map(({ name }) => name);
  }

  async join(request: JoinGroupRequest): Promise<Result<GroupJoined, JoinGroupReject>> {
    const { commander } = this.#options;
    const refusal = await commander.whenCurrent();
    if (refusal !== null) return { ok: false, code: refusal };
    const { group, member, leaseMs, topics } = request;
    const joined = await commander.run({
      kind: joinGroup,
      fields: { group, member, leaseMs, topics },
      bytes: COMMAND_BYTES + topics.length * 250,
      grows: true,
      check: () => this.#tooManyGroups(group),
      done: ({ leaseUntilMs }) => ({ ok: true, leaseUntilMs }) as const,
    });
    if (!joined.ok) return withTopic(joined);
    const found = findMember(this.#options.machine.parts.groups, group, member);
    const assigned = found === undefined ? [] : this.#reads.assigned(found);
    return { ...joined, assigned };
  }

  /** Checked here and not at apply, as for commits: the limit protects the memory of this node. */
  #tooManyGroups(group: string): Rejected<"too_many_groups"> | null {
    const { machine, limits } = this.#options;
    const { broker, parts } = machine;
    const { byName } = parts.groups;
    if (broker.groups.has(group) || byName.has(group)) return null;
    let count = broker.groups.size;
    if (count + byName.size < limits.groupsMax) return null;
    for (const name of byName.keys()) if (!broker.groups.has(name)) count++;
    if (count < limits.groupsMax) return null;
    return { ok: false, code: "too_many_groups", details: { groupsMax: limits.groupsMax } };
  }

  leave({ group, member }: MemberRef): Promise<Result<object, MemberWriteReject>> {
    return this.#options.commander.run({
      kind: leaveGroup,
      fields: { group, member },
      bytes: COMMAND_BYTES,
      done: () => ({ ok: true }) as const,
    });
  }

  async commit(request: MemberCommitRequest): Promise<Result<MemberCommits, MemberCommitReject>> {
    const { commander, machine } = this.#options;
    const refusal = await commander.whenCurrent();
    if (refusal !== null) return { ok: false, code: refusal };
    const { group, member } = request;
    const found = findMember(machine.parts.groups, group, member);
    if (found === undefined) return { ok: false, code: "not_a_member" };
    const missing: (MemberCommit | null)[] = [];
    const offsets: MemberOffset[] = [];
    for (const { topic, partition, generation, offset } of request.offsets) {
      const place = findPartition(machine, { topic, partition });
      missing.push(place.ok ? null : { topic, partition, ok: false, code: place.code });
      if (!place.ok) continue;
      const { topicId } = place.topic;
      offsets.push({ topicId, partition, generation, offset: offset as Offset });
    }
    const released = [...this.#reads.givenUp(found), ...this.#told(found, request)];
    return await commander.run({
      kind: commitMember,
      fields: { group, member, offsets, released },
      bytes: COMMAND_BYTES + (offsets.length + released.length) * OFFSET_BYTES,
      grows: true,
      check: () => this.#tooManyOffsets(group, offsets),
      done: ({ leaseUntilMs, results }) => {
        const rest = results.values();
        const all = request.offsets.map(({ topic, partition }, i): MemberCommit => {
          const none = missing[i] ?? null;
          if (none !== null) return none;
          const result = rest.next().value;
          if (result?.ok === true) return { topic, partition, ...result };
          return { topic, partition, ok: false, code: "fenced", owner: result?.owner ?? null };
        });
        return { ok: true, leaseUntilMs, results: all } as const;
      },
    });
  }

  /** Partitions of a commit that the member knows to be revoked: it gives them up with the commit. */
  #told(member: GroupMember, { offsets }: MemberCommitRequest) {
    return offsets.flatMap(({ topic, partition, generation }) => {
      const slot = findSlot(member.group, topic, partition);
      const isTold = slot !== undefined && slot.owner === member && this.#deliveries.isTold(slot);
      return isTold && slot.generation === generation ? [refOf(slot)] : [];
    });
  }

  #tooManyOffsets(
    group: string,
    offsets: readonly { readonly topicId: number; readonly partition: number }[],
  ): Rejected<"too_many_offsets"> | null {
    const { machine, limits } = this.#options;
    const { broker } = machine;
    const { offsetsMax } = limits;
    if (broker.committedOffsets + offsets.length <= offsetsMax) return null;
    const added = offsets.filter(({ topicId, partition }) => {
      return broker.topicsById.get(topicId)?.partitions[partition]?.committed.has(group) === false;
    });
    if (added.length === 0 || broker.committedOffsets + added.length <= offsetsMax) return null;
    return { ok: false, code: "too_many_offsets", details: { offsetsMax } };
  }

  async seek(
    request: SeekGroupRequest,
  ): Promise<Result<{ offsets: readonly Sought[] }, SeekReject>> {
    const { commander, machine } = this.#options;
    const refusal = await commander.whenCurrent();
    if (refusal !== null) return { ok: false, code: refusal };
    const { group } = request;
    const exists = machine.parts.groups.byName.has(group) || machine.broker.groups.has(group);
    if (!exists) return { ok: false, code: "group_not_found" };
    const placed = await this.#targets(request);
    if (!placed.ok) return placed;
    const { targets } = placed;
    return await commander.run({
      kind: seekGroup,
      fields: { group, targets },
      bytes: COMMAND_BYTES + targets.length * OFFSET_BYTES,
      grows: true,
      check: () => this.#tooManyOffsets(group, targets),
      done: ({ offsets }) => {
        const sought = targets.flatMap(({ topic, partition, to }, i): Sought[] => {
          const committedOffset = offsets[i] ?? null;
          if (committedOffset === null) return [];
          const clamped = typeof to === "number" && to > committedOffset;
          return [{ topic, partition, committedOffset, clamped }];
        });
        return { ok: true, offsets: sought } as const;
      },
    });
  }

  async #targets({
    group,
    topic,
    partition,
    to,
  }: SeekGroupRequest): Promise<Result<{ targets: readonly Target[] }, SeekReject>> {
    const { parts, broker } = this.#options.machine;
    const names =
      topic === null ? topicsOf(parts.groups, broker, group).map(({ name }) => name) : [topic];
    const targets: Target[] = [];
    for (const name of names) {
      const placed = await this.#targetsIn(name, partition, to);
      if (!placed.ok) return placed;
      targets.push(...placed.targets);
    }
    return { ok: true, targets };
  }

  async #targetsIn(
    topic: string,
    partition: number | null,
    to: SeekGroupRequest["to"],
  ): Promise<Result<{ targets: readonly Target[] }, SeekReject>> {
    const { machine, linearizer } = this.#options;
    if (typeof to === "object" && "timeMs" in to) {
      const at = { topic, partition, timeMs: to.timeMs, linearizable: true };
      const placed = await offsetsAt(machine, linearizer, at);
      if (!placed.ok) return placed.code === "offset_out_of_range" ? GONE : without(placed);
      const { topicId } = placed;
      const targets = placed.offsets.map((each) => {
        return { topic, topicId, partition: each.partition, to: each.offset as Offset };
      });
      return { ok: true, targets };
    }
    const found = await findAfterCatchUp(machine, { topic, partition: partition ?? 0 }, linearizer);
    if (!found.ok) return found;
    const { topicId, partitions } = found.topic;
    const goal = typeof to === "string" ? to : (to.offset as Offset);
    const asked = partition === null ? partitions.map((each) => each.partition) : [partition];
    return {
      ok: true,
      targets: asked.map((each) => ({ topic, topicId, partition: each, to: goal })),
    };
  }
}

const GONE = { ok: false, code: "topic_not_found" } as const;

/** A search by time never asks for an offset. */
const without = (rejection: Rejected): Rejected<SeekReject> => rejection as Rejected<SeekReject>;

/** Names the topic in the message: a join has several. */
function withTopic<R extends Rejected>(rejection: R): R {
  const topic = rejection.details?.["topic"];
  if (rejection.code !== "topic_not_found" || topic === undefined) return rejection;
  return { ...rejection, message: `No such topic: topic "${topic}"` };
}

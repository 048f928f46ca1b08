import type { Clock } from "../../env/clock.ts";
import { lagIn, standingsIn, topicLags, topicsOf } from "../../groups/standings.ts";
import type { GroupMember } from "../../groups/state.ts";
import type { Machine } from "../../machine/machine.ts";
import type {
  GroupDescription,
  GroupMemberDescription,
  GroupPartition,
  GroupTopic,
} from "../groups-api.ts";
import { GroupLagReader } from "../reads/group-lag.ts";
import { Slicer } from "../slicer.ts";

/** Describes groups from the applied state of this node. */
export class GroupDescriptions {
  readonly #machine: Machine;
  readonly #slicer: Slicer;
  readonly #lags: GroupLagReader;

  constructor(machine: Machine, clock: Clock, time: Pick<Clock, "now">) {
    this.#machine = machine;
    this.#slicer = new Slicer(clock);
    this.#lags = new GroupLagReader(machine, time, this.#slicer);
  }

  async describe(name: string): Promise<GroupDescription | null> {
    const { parts, broker } = this.#machine;
    const group = parts.groups.byName.get(name);
    if (group === undefined && !broker.groups.has(name)) return null;
    const members = [...(group?.members.values() ?? [])].map(memberOf);
    const standings = topicsOf(parts.groups, broker, name).flatMap((topic) => [
      ...standingsIn(parts.groups, topic, name),
    ]);
    const seconds = await this.#lags.secondsOf(standings);
    const partitions = standings.map(
      ({ topic, partition, committed, slot }, i): GroupPartition => ({
        topic: topic.name,
        partition: partition.partition,
        owner: slot?.owner?.name ?? null,
        next: slot?.isRevoked === true ? (slot.target?.name ?? null) : null,
        generation: slot?.generation ?? 0,
        committedOffset: committed,
        lag: lagIn(partition, committed),
        lagSeconds: seconds[i] ?? null,
      }),
    );
    return { members, partitions };
  }

  list(): readonly GroupTopic[] {
    const { parts, broker } = this.#machine;
    const members = new Map<string, number>();
    for (const group of parts.groups.byName.values()) {
      for (const member of group.members.values()) {
        for (const { name } of member.topics) {
          const key = `${group.name}/${name}`;
          members.set(key, (members.get(key) ?? 0) + 1);
        }
      }
    }
    return [...topicLags(parts.groups, broker)].map((each) => ({
      ...each,
      members: members.get(`${each.group}/${each.topic}`) ?? 0,
    }));
  }
}

const memberOf = (member: GroupMember): GroupMemberDescription => ({
  member: member.name,
  leaseUntilMs: member.dueAt,
  leaseMs: member.leaseMs,
  topics: member.topics.map(({ name }) => name),
  partitions: member.owned.length,
});

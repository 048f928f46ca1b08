/** How a member of a group asks simulated nodes. */
import type { MemberPage, OwnedPartition } from "../../../src/node/groups-api.ts";
import { RecordCursor } from "../../../src/record/batch-reader.ts";
import type { MemberLink, Told } from "../groups/member.ts";
import type { GroupRead, Owned } from "../history/group-operations.ts";
import type { Operation, OperationOf } from "../history/operations.ts";
import { outcomeOf, type Reply, type SimClient } from "./client.ts";
import type { SimNode } from "./sim-node.ts";

type Answer = { readonly ok: boolean; readonly code?: string };

export function simulatedLink(client: SimClient): MemberLink {
  /** Notes the end of an operation. */
  function told<Name extends Operation["op"]>(
    op: Name,
    at: { readonly to: SimNode; readonly call: number; readonly args: OperationOf<Name>["args"] },
    reply: Reply<Answer>,
    result: NonNullable<OperationOf<Name>["result"]> | null,
  ): Told<NonNullable<OperationOf<Name>["result"]>> {
    const outcome = outcomeOf(reply);
    client.add<Name>(op, at.to, at.call, at.args, outcome, result);
    if (result === null) client.forgetLeader();
    return { outcome, code: reply?.value.code ?? null, result };
  }
  const ask = <Args>(args: Args) => ({ to: client.pick(), call: client.recorder.now(), args });
  return {
    name: client.name,
    random: client.random,
    now: () => client.recorder.now(),
    sleep: (ms) => client.sleep(ms),
    count: (effect) => client.cluster.count(effect),
    async join(args) {
      const at = ask(args);
      const reply = await client.call(at.to, (node) => node.groups.join(args));
      const assigned = reply?.value.ok === true ? reply.value.assigned.map(ownedOf) : null;
      return told("group-join", at, reply, assigned === null ? null : { assigned });
    },
    async read(args, how) {
      const at = ask(args);
      const gone = new AbortController();
      const { life } = at.to;
      const request = { ...args, ...how, maxBytes: 1 << 20, signal: gone.signal };
      const reply = await client.call(at.to, (node) => node.groups.read(request));
      if (reply === null) life.run(() => gone.abort());
      return told("group-read", at, reply, reply?.value.ok === true ? pageOf(reply.value) : null);
    },
    async commit(args) {
      const at = ask(args);
      const offsets = args.offsets.map(({ next, ...each }) => ({ ...each, offset: next }));
      const reply = await client.call(at.to, (node) => node.groups.commit({ ...args, offsets }));
      const results = reply?.value.ok === true ? reply.value.results : null;
      const committed = results?.map((each) => (each.ok ? each.committedOffset : null));
      return told("group-commit", at, reply, committed === undefined ? null : { committed });
    },
    async leave(args) {
      const at = ask(args);
      const reply = await client.call(at.to, (node) => node.groups.leave(args));
      return told("group-leave", at, reply, reply?.value.ok === true ? {} : null);
    },
  };
}

const ownedOf = ({ topic, partition, generation, nextOffset: next }: OwnedPartition): Owned => {
  return { topic, partition, generation, next };
};

function pageOf(page: MemberPage): NonNullable<GroupRead["result"]> {
  const decoder = new TextDecoder();
  const runs = page.records.map(({ topic, partition, startOffset, nextOffset, slices }) => {
    const values: string[] = [];
    for (const slice of slices) {
      const cursor = new RecordCursor(slice);
      for (let more = cursor.seek(startOffset); more; more = cursor.next()) {
        if (cursor.offset >= nextOffset) break;
        values.push(decoder.decode(slice.subarray(cursor.valueStart, cursor.valueEnd)));
      }
    }
    return { topic, partition, first: startOffset, values };
  });
  const positions = page.positions.map(ownedOf);
  return { runs, positions, assigned: page.assigned.map(ownedOf), revoked: page.revoked };
}

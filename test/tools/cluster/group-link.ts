/** How a member of a group asks real nodes, by HTTP. */
import type { MemberLink, Told } from "../groups/member.ts";
import type { GroupRead, Owned, Place } from "../history/group-operations.ts";
import type { Operation, OperationOf } from "../history/operations.ts";
import type { Random } from "../random.ts";
import type { Answer, Client, Request } from "./client.ts";
import type { Body } from "./outcome.ts";
import type { Run } from "./run-state.ts";

type WireOwned = Place & { readonly generation: number; readonly next_offset: number };
type WireRecord = Place & { readonly offset: number; readonly value: string };
type WirePage = {
  readonly messages: readonly WireRecord[];
  readonly positions: readonly WireOwned[];
  readonly assigned: readonly WireOwned[];
  readonly revoked: readonly Place[];
};

export const groupPath = (group: string, rest = ""): string => `/broker/groups/${group}${rest}`;

/** A request that goes into the history when it has ended. */
export async function noted<Name extends Operation["op"]>(
  { recorder, cluster, random }: Pick<Run, "recorder" | "cluster"> & { readonly random: Random },
  client: Client,
  op: Name,
  args: OperationOf<Name>["args"],
  request: Request,
  resultOf: (body: Body) => NonNullable<OperationOf<Name>["result"]>,
): Promise<Told<NonNullable<OperationOf<Name>["result"]>> & Pick<Answer, "body">> {
  const call = recorder.now();
  const answer = await client.send(random.pick(cluster.nodes), request);
  const { outcome, body } = answer;
  const result = outcome === "ok" && body !== null ? resultOf(body) : null;
  const node = answer.node.id;
  recorder.add<Name>(op, { process: client.name, node, call, outcome, args, result });
  return {
    outcome,
    code: typeof body?.["error"] === "string" ? body["error"] : null,
    result,
    body,
  };
}

export function httpLink(run: Run, client: Client, random: Random): MemberLink {
  const { recorder } = run;
  const world = { recorder, cluster: run.cluster, random };
  const post = (group: string, what: string, body: object): Request => {
    return { method: "POST", target: groupPath(group, `/${what}`), body: JSON.stringify(body) };
  };
  return {
    name: client.name,
    random,
    now: () => recorder.now(),
    sleep: (ms) => Bun.sleep(ms),
    count: (effect) => run.count(effect),
    join(args) {
      const { group, member, topics, leaseMs: lease_ms } = args;
      const request = post(group, "join", { topics, member, lease_ms });
      return noted(world, client, "group-join", args, request, (body) => ({
        assigned: (body["assigned"] as readonly WireOwned[]).map(ownedOf),
      }));
    },
    read(args, { limit, waitMs }) {
      const query = `member=${args.member}&limit=${limit}&wait_ms=${waitMs}`;
      const target = groupPath(args.group, `/messages?${query}`);
      return noted(world, client, "group-read", args, { method: "GET", target }, pageOf);
    },
    commit(args) {
      const offsets = args.offsets.map(({ next, ...each }) => ({ ...each, offset: next }));
      const request = post(args.group, "commit", { member: args.member, offsets });
      return noted(world, client, "group-commit", args, request, (body) => ({
        committed: (body["results"] as readonly { readonly committed_offset?: number }[]).map(
          ({ committed_offset: committed = null }) => committed,
        ),
      }));
    },
    leave(args) {
      const request = post(args.group, "leave", { member: args.member });
      return noted(world, client, "group-leave", args, request, () => ({}));
    },
  };
}

const ownedOf = ({ topic, partition, generation, next_offset: next }: WireOwned): Owned => {
  return { topic, partition, generation, next };
};

function pageOf(body: Body): NonNullable<GroupRead["result"]> {
  const page = body as unknown as WirePage;
  const runs: { topic: string; partition: number; first: number; values: string[] }[] = [];
  for (const { topic, partition, offset, value } of page.messages) {
    const last = runs.at(-1);
    const isNext =
      last?.topic === topic &&
      last.partition === partition &&
      last.first + last.values.length === offset;
    if (isNext) last.values.push(value);
    else runs.push({ topic, partition, first: offset, values: [value] });
  }
  const { positions, assigned, revoked } = page;
  return { runs, positions: positions.map(ownedOf), assigned: assigned.map(ownedOf), revoked };
}

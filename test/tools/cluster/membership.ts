/** Changes of membership as an operator makes them: asked again until they are in force. */
import { Client, type Request } from "./client.ts";
import type { Member } from "./cluster.ts";
import type { NodeProcess } from "./node-process.ts";
import type { Run } from "./run-state.ts";

/** A finding and false if it does not come to pass. */
export async function join(run: Run, node: NodeProcess): Promise<boolean> {
  const { cluster } = run;
  const address = {
    advertise_addr: cluster.raftAddress(node),
    http_addr: cluster.httpAddress(node),
    priority: 100,
  };
  const added = await change(run, "add", node, address, (member) => member !== null);
  if (!added) return false;
  const promoted = await change(run, "promote", node, {}, (member) => member?.isVoter === true);
  return promoted && (await hasCaughtUp(run, node));
}

/** Only then may another node fail: a voter that has nothing yet counts towards no majority. */
export async function hasCaughtUp(
  { cluster, until, findings }: Run,
  node: NodeProcess,
): Promise<boolean> {
  const target = (await cluster.leader())?.members.map(({ matchIndex }) => matchIndex ?? 0) ?? [];
  const wanted = Math.max(0, ...target);
  const reached = await until(async () => {
    const member = (await cluster.leader())?.members.find(({ id }) => id === node.id);
    return (member?.matchIndex ?? -1) >= wanted ? true : null;
  });
  if (reached === true) return true;
  findings.push(`${node.id} is a voter, but never got what it lacked:\n${node.logTail()}`);
  return false;
}

export const leave = (run: Run, node: NodeProcess): Promise<boolean> =>
  change(run, "remove", node, {}, (member) => member === null);

async function change(
  run: Run,
  action: "add" | "promote" | "remove",
  node: NodeProcess,
  fields: object,
  isDone: (member: Member | null) => boolean,
): Promise<boolean> {
  const { cluster, random } = run;
  const client = new Client(`operator ${action} ${node.id}`, cluster);
  const body = JSON.stringify({ node_id: node.id, ...fields });
  const request: Request = { method: "POST", target: `/ha/membership/${action}`, body };
  const answers = new Map<string, string>();
  const done = await run.until(async () => {
    const status = await cluster.leader();
    if (status === null) return null;
    if (isDone(status.members.find(({ id }) => id === node.id) ?? null)) return true;
    const answer = await client.send(random.pick(cluster.running), request);
    const error = `${answer.status} ${answer.body?.["error"] ?? ""}`;
    answers.set(error, `${error} ${answer.body?.["message"] ?? ""}`);
    return null;
  });
  client.close();
  if (done === true) return true;
  run.findings.push(`${action} ${node.id} never came to pass: ${[...answers.values()].join("; ")}`);
  return false;
}

/** Out with the disk, back as a new member with an empty one. */
export async function replaceDisk(run: Run, node: NodeProcess): Promise<boolean> {
  await node.kill();
  node.wipe();
  if (!(await leave(run, node))) return false;
  run.cluster.start(node);
  return (await run.serves(node)) && (await join(run, node));
}

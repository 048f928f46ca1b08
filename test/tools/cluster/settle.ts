/** The end of a run: all faults end, the cluster works again, and all of it is read. */
import type { Consume, Dump, KvDump } from "../history/operations.ts";
import { Client } from "./client.ts";
import { CHAIN_NS, GROUPS, MIXED_NS, PARTITIONS, TOPIC } from "./knowledge.ts";
import type { NodeProcess } from "./node-process.ts";
import type { Body } from "./outcome.ts";
import type { Run } from "./run-state.ts";
import { decodeValue } from "./workload-kv.ts";
import { pageOf } from "./workload-log.ts";

const PAGE_LIMIT = 1000;
const SHOWN_MAX = 400;
const READ_TIMEOUT_MS = 10_000;

/** Nothing is broken any more; nodes that are down come back. */
export function heal({ cluster, recorder, members }: Run): void {
  cluster.links?.heal(true);
  for (const node of cluster.nodes) node.resume();
  for (const node of members) if (node.state === "stopped") cluster.start(node);
  recorder.heal();
}

/** Waits for the first acknowledged write that was called after the faults ended. */
export async function waitForWrite(run: Run): Promise<void> {
  const { operations } = run.recorder;
  const healed = operations.at(-1)?.call ?? 0;
  let looked = operations.length;
  const found = await run.until(async () => {
    for (; looked < operations.length; looked++) {
      const one = operations[looked];
      if (one?.op === "produce" && one.outcome === "ok" && one.call >= healed) return one;
    }
    return null;
  });
  if (found === null) run.findings.push("no write succeeded after healing");
  else run.notes.push(`first write ${Math.round(found.ret - healed)} ms after healing`);
}

/**
 * Waits until all members have the same.
 *
 * @returns those that do: a node that stays behind is a finding, and what it lacks is not lost.
 */
export async function converge(run: Run): Promise<readonly NodeProcess[]> {
  const begin = run.recorder.now();
  let states: (string | null)[] = [];
  const equal = await run.until(async () => {
    states = await Promise.all(run.members.map((node) => stateOf(run, node)));
    return states.every((state) => state !== null && state === states[0]) ? true : null;
  });
  const ms = Math.round(run.recorder.now() - begin);
  if (equal === true) {
    run.notes.push(`all nodes equal after ${ms} ms`);
    return run.members;
  }
  const shown = run.members.map((node, i) => `${node.id}: ${states[i]?.slice(0, SHOWN_MAX)}`);
  run.findings.push(`the nodes did not become equal in ${ms} ms:\n${shown.join("\n")}`);
  const leader = await run.leader();
  const wanted = leader === null ? null : await stateOf(run, leader);
  return run.members.filter((_, i) => wanted === null || states[i] === wanted);
}

async function stateOf({ cluster }: Run, node: NodeProcess): Promise<string | null> {
  const topic = await cluster.ask(node, `/broker/topics/${TOPIC}`);
  const keys = await Promise.all(
    [CHAIN_NS, MIXED_NS].map((ns) => cluster.ask(node, `/kv/${ns}?limit=1000`)),
  );
  return topic === null || keys.includes(null) ? null : JSON.stringify([topic, keys]);
}

/** Each node's own copy of everything goes into the history. */
export async function dumpAll(run: Run, nodes: readonly NodeProcess[]): Promise<void> {
  await Promise.all(
    nodes.map(async (node) => {
      const dumper = new Dumper(run, node);
      for (let partition = 0; partition < PARTITIONS; partition++) await dumper.log(partition);
      for (const ns of [CHAIN_NS, MIXED_NS]) await dumper.keys(ns);
      dumper.close();
    }),
  );
}

class Dumper {
  readonly #run: Run;
  readonly #node: NodeProcess;
  readonly #client: Client;

  constructor(run: Run, node: NodeProcess) {
    this.#run = run;
    this.#node = node;
    this.#client = new Client(`dump ${node.id}`, run.cluster, READ_TIMEOUT_MS);
  }

  close(): void {
    this.#client.close();
  }

  async log(partition: number): Promise<void> {
    const { recorder } = this.#run;
    const call = recorder.now();
    const messages: NonNullable<Dump["result"]>["messages"][number][] = [];
    const committed: Record<string, number> = {};
    for (const group of GROUPS) {
      const page = await this.#page(partition, group, 0, 1);
      if (page === null) return;
      committed[group] = page.committed;
    }
    for (let offset = 0; ; ) {
      const page = await this.#page(partition, GROUPS[0], offset, PAGE_LIMIT);
      if (page === null) return;
      messages.push(...page.messages);
      offset = page.next;
      if (page.messages.length > 0 && page.next < page.end) continue;
      const result = { messages, low: page.low, end: page.end, committed };
      this.#add("dump", call, { topic: TOPIC, partition }, result);
      return;
    }
  }

  async keys(ns: string): Promise<void> {
    const call = this.#run.recorder.now();
    const entries: NonNullable<KvDump["result"]>["entries"][number][] = [];
    for (let after: string | null = ""; after !== null; ) {
      const list: Body | null = await this.#get(`/kv/${ns}?limit=1000&after=${after}`);
      if (list === null) return;
      for (const { key } of list["keys"] as readonly { readonly key: string }[]) {
        const found = await this.#get(`/kv/${ns}/${key}`);
        if (found === null) return;
        entries.push([key, decodeValue(found["value"]), found["cas"] as number]);
      }
      after = list["next"] as string | null;
    }
    this.#add("kv-dump", call, { ns }, { entries });
  }

  #add(
    op: "dump" | "kv-dump",
    call: number,
    args: Dump["args"] | KvDump["args"],
    result: NonNullable<Dump["result"] | KvDump["result"]>,
  ): void {
    const { recorder } = this.#run;
    const process = this.#client.name;
    const ended = { process, node: this.#node.id, call, outcome: "ok", args, result } as const;
    recorder.add(op, ended as Parameters<typeof recorder.add<typeof op>>[1]);
  }

  async #page(
    partition: number,
    group: string,
    offset: number,
    limit: number,
  ): Promise<NonNullable<Consume["result"]> | null> {
    const target = `/broker/consume/${TOPIC}/${group}/${partition}?offset=${offset}&limit=${limit}`;
    const body = await this.#get(target);
    return body === null ? null : pageOf(body);
  }

  async #get(target: string) {
    const answer = await this.#client.send(this.#node, { method: "GET", target });
    if (answer.outcome === "ok" && answer.body !== null) return answer.body;
    this.#run.findings.push(`${this.#node.id} did not answer GET ${target}: ${answer.status}`);
    return null;
  }
}

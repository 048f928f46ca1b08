/** One flipped bit in a file of a stopped node, of every kind of file in turn. */
import { closeSync, openSync, readdirSync, readSync, statSync, writeSync } from "node:fs";
import { join, relative } from "node:path";
import type { Random } from "../sim/random.ts";
import { Client } from "./client.ts";
import { PARTITIONS, TOPIC } from "./knowledge.ts";
import { replaceDisk } from "./membership.ts";
import type { NodeProcess } from "./node-process.ts";
import type { Observer } from "./observer.ts";
import type { Run } from "./run-state.ts";
import { readPage } from "./workload-log.ts";

const LIMIT = 1000;

/** Kind of file → files, newest last; the lock has no content. */
export function filesByKind(directory: string): Map<string, string[]> {
  const kinds = new Map<string, string[]>();
  const paths = readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== "LOCK")
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => statSync(path).size > 0)
    .sort();
  for (const path of paths) {
    const kind = relative(directory, path)
      .replace(/^shards\/\d+\//, "")
      .replace(/^partitions[^/]*\/[^/]+\//, "partitions/")
      .replace(/\/[^/]*\.(\w+)$/, "/*.$1");
    kinds.set(kind, [...(kinds.get(kind) ?? []), path]);
  }
  return kinds;
}

/** @returns where, for the log. */
export function flipBit(path: string, random: Random): string {
  const at = random.below(statSync(path).size);
  const bit = random.below(8);
  const file = openSync(path, "r+");
  const byte = new Uint8Array(1);
  readSync(file, byte, 0, 1, at);
  byte[0] = (byte[0] as number) ^ (1 << bit);
  writeSync(file, byte, 0, 1, at);
  closeSync(file);
  return `${path} byte ${at} bit ${bit}`;
}

/** The node must refuse, repair or not need it; whatever it answers must be right. */
export async function flipBits(run: Run, observer: Observer): Promise<void> {
  const seen = new Map<string, string[]>();
  const todo: string[] = [];
  while (!run.isOver) {
    const node = run.random.pick(run.cluster.nodes);
    await node.kill();
    const kinds = filesByKind(node.dataDir);
    if (todo.length === 0) todo.push(...kinds.keys());
    const kind = todo.shift() ?? "";
    const files = kinds.get(kind);
    observer.mayEnd.add(node);
    let fate = "";
    await run.fault(`flip ${kind}`, node.id, async () => {
      if (files !== undefined) node.note(flipBit(run.random.pick(files), run.random));
      run.cluster.start(node);
      fate = await fateOf(run, node);
      node.note(`after the flip it ${fate}`);
    });
    seen.set(kind, [...(seen.get(kind) ?? []), fate]);
    const back = fate === "serves" || (await replaceDisk(run, node));
    observer.mayEnd.delete(node);
    if (!back) break;
    await run.leader();
    await run.pause(300, 1_000);
  }
  for (const [kind, fates] of seen) run.notes.push(`${kind}: ${fates.join(", ")}`);
}

/** Reads all that the node has: damage may show only there. */
async function fateOf(run: Run, node: NodeProcess): Promise<string> {
  if (!(await run.serves(node))) return `refuses (${node.ending})`;
  const { cluster, recorder, knowledge, random } = run;
  const client = new Client(`scrub ${node.id} ${node.lives}`, cluster);
  const actor = { client, recorder, knowledge, random };
  try {
    for (let partition = 0; partition < PARTITIONS; partition++) {
      for (let offset = 0; ; ) {
        const place = { topic: TOPIC, partition, group: "g0", limit: LIMIT, linearizable: false };
        const answer = await readPage(actor, node, { ...place, offset });
        if (node.state === "stopped") return `ends (${node.ending})`;
        if (answer.outcome !== "ok") return `answers ${answer.status}`;
        offset = answer.body?.["next_offset"] as number;
        if (answer.body?.["count"] === 0) break;
      }
    }
    return "serves";
  } finally {
    client.close();
  }
}

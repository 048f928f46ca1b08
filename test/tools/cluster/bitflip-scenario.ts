/** One flipped bit in a file of one node, of every kind of file in turn. */
import { closeSync, openSync, readdirSync, readFileSync, statSync, writeSync } from "node:fs";
import { join, relative } from "node:path";
import type { Random } from "../random.ts";
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
  const bytes = readFileSync(path);
  const used = bytes.findLastIndex((byte) => byte !== 0) + 1;
  // Sometimes behind what is written, too.
  const at = random.below(random.below(4) === 0 || used === 0 ? bytes.length : used);
  const bit = random.below(8);
  const file = openSync(path, "r+");
  writeSync(file, Uint8Array.of((bytes[at] as number) ^ (1 << bit)), 0, 1, at);
  closeSync(file);
  return `${path} byte ${at} bit ${bit}`;
}

/** A node cannot repair these files: without them it does not know its identity. */
const REFUSED = ["FORMAT"];
const PATIENCE_MS = 20_000;

/**
 * A node repairs the damage by itself, under load, and its answers meanwhile are right. Half of
 * the flips happen to a node that runs; it is stopped afterwards, so that it reads all anew.
 */
export async function flipBits(run: Run, observer: Observer): Promise<void> {
  const counts = new Map<string, number>();
  const seen = new Map<string, string[]>();
  while (!run.isOver) {
    const node = run.random.pick(run.cluster.nodes);
    const kind = rarest(counts, [...filesByKind(node.dataDir).keys()]);
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
    observer.mayEnd.add(node);
    let fate = "";
    await run.fault(`flip ${kind}`, node.id, async () => {
      fate = await flipOne(run, node, kind);
      node.note(`after the flip it ${fate}`);
    });
    seen.set(kind, [...(seen.get(kind) ?? []), fate]);
    const isHealed = fate === "serves";
    if (!isHealed && !REFUSED.includes(kind)) {
      run.findings.push(`${node.id} after a flip in ${kind}: ${fate}\n${node.logTail(15)}`);
    }
    const back = isHealed || (await replaceDisk(run, node));
    observer.mayEnd.delete(node);
    if (!back) break;
    await run.leader();
    await run.pause(300, 1_000);
  }
  for (const [kind, fates] of seen) run.notes.push(`${kind}: ${fates.join(", ")}`);
}

/** The kind that was flipped least, of those that are there. */
function rarest(counts: ReadonlyMap<string, number>, kinds: readonly string[]): string {
  const sorted = kinds.toSorted((a, b) => (counts.get(a) ?? 0) - (counts.get(b) ?? 0));
  return sorted[0] ?? "";
}

/** @returns what became of the node. */
async function flipOne(run: Run, node: NodeProcess, kind: string): Promise<string> {
  const isRunning = run.random.below(2) === 0;
  if (!isRunning) await node.kill();
  // The files may be deleted by now.
  const paths = filesByKind(node.dataDir).get(kind) ?? [];
  if (paths.length > 0) node.note(flipBit(run.random.pick(paths), run.random));
  if (isRunning) {
    const fate = await readAll(run, node);
    if (fate !== "serves") return fate;
    await node.kill();
  }
  run.cluster.start(node);
  return await readAll(run, node);
}

/** Reads all that the node has, once it is ready: damage may show only there. */
async function readAll(run: Run, node: NodeProcess): Promise<string> {
  const isReady = await run.until(async () => {
    if (node.state === "stopped") return false;
    return (await run.cluster.ask(node, "/ready"))?.["ready"] === true ? true : null;
  }, PATIENCE_MS);
  if (isReady === null) return "does not get ready";
  if (!isReady) return `refuses (${node.ending})`;
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

/**
 * `bun bench/restart.ts [messages]`: fills 8 partitions with 64-byte messages, SIGKILLs the server
 * and measures how long it takes to be ready again and what memory it then has.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommandLine } from "../test/tools/arguments.ts";
import { fillPartitions } from "./load/fill.ts";
import { bigValue } from "./load/requests.ts";
import { residentMiB, type Subject, startSubject } from "./load/subject.ts";

const LINE = new CommandLine(`usage: bun bench/restart.ts [MESSAGES]
variables:
  BENCH_DIR  directory for the data of the server (default: that for temporary files)`);
const MESSAGES = LINE.integer("MESSAGES", LINE.read({}, 1).positionals[0], 8_000_000);
const PARTITIONS = 8;

const directory = mkdtempSync(join(process.env["BENCH_DIR"] ?? tmpdir(), "ayder-restart-"));
const binary = join(import.meta.dir, "../dist/ayder");
const command = existsSync(binary)
  ? [binary]
  : [process.execPath, join(import.meta.dir, "../src/main.ts")];
const start = (): Promise<Subject> =>
  startSubject([...command, "--port", "0", "--data-dir", directory], { RF_LOG_LEVEL: "warn" });

const headers = { authorization: "Bearer dev" };
try {
  let subject = await start();
  await fillPartitions(subject.port, PARTITIONS, MESSAGES);
  const before = await residentMiB(subject.pid);
  await subject.kill();
  for (let round = 0; round < 3; round++) {
    const begin = performance.now();
    subject = await start();
    await waitReady(subject);
    const readyMs = performance.now() - begin;
    const readyMiB = await residentMiB(subject.pid);
    await readEnds(subject);
    const line = {
      name: "restart/kill",
      messages: MESSAGES,
      ready_ms: Math.round(readyMs),
      resident_mib: readyMiB,
      resident_after_reads_mib: await residentMiB(subject.pid),
      resident_before_kill_mib: before,
    };
    console.log(JSON.stringify(line));
    await subject.kill();
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}

async function waitReady(subject: Subject): Promise<void> {
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${subject.port}/ready`);
    if (answer.status === 200) return;
    await Bun.sleep(5);
  }
}

/** First and last record of every partition, with the value that was written there. */
async function readEnds(subject: Subject): Promise<void> {
  const perPartition = MESSAGES / PARTITIONS;
  for (let partition = 0; partition < PARTITIONS; partition++) {
    for (const offset of [0, perPartition - 1]) {
      const path = `/broker/consume/big/g/${partition}?offset=${offset}&limit=1`;
      const answer = await fetch(`http://127.0.0.1:${subject.port}${path}`, { headers });
      const page = (await answer.json()) as { messages: { value: string }[]; end_offset: number };
      if (page.messages[0]?.value !== bigValue(offset)) {
        throw new Error(`partition ${partition}: offset ${offset} is not there`);
      }
      if (page.end_offset !== perPartition) throw new Error("records are missing");
    }
  }
}

/**
 * `bun bench/client.ts`: the producer of the TypeScript client in a process of its own, with a number
 * of 64-byte messages in flight, each of them acknowledged once it is on the disk. The ways a client
 * can send are compared in one run, rounds alternating.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "../src/client/index.ts";
import { CommandLine } from "../test/tools/arguments.ts";
import { medianOf } from "./load/measure.ts";
import { MESSAGE } from "./load/requests.ts";
import { cpuMicros, startSubject } from "./load/subject.ts";

const LINE = new CommandLine(`usage: bun bench/client.ts
variables:
  ROUNDS   rounds of each row (default: 3)
  SECONDS  seconds of each row in a round (default: 2)`);
LINE.read({});
const ROUNDS = LINE.variable("ROUNDS", 3);
const SECONDS = LINE.variable("SECONDS", 2);
const WARMUP_SECONDS = 2;
const IN_FLIGHT = [64, 1024, 8192];
const binary = join(import.meta.dir, "../dist/ayder");

type Figures = { rate: number; clientUs: number; serverUs: number };

const directory = mkdtempSync(join(tmpdir(), "ayder-client-"));
const server = await startSubject([binary, "--port", "0", "--data-dir", directory], {
  RF_LOG_LEVEL: "warn",
});
const url = `http://127.0.0.1:${server.port}`;

try {
  await createClient({ url, token: "dev" }).topics.create("bench", { partitions: 8 });
  console.log(`${ROUNDS} rounds of ${SECONDS} s; 64-byte messages in 8 partitions\n`);
  console.log("in flight   as           messages/s   client us   server us");
  for (const inFlight of IN_FLIGHT) {
    const results = { batches: [] as Figures[], text: [] as Figures[] };
    for (const as of ["batches", "text"] as const) await produce(as, inFlight, WARMUP_SECONDS);
    for (let round = 0; round < ROUNDS; round++) {
      for (const as of ["batches", "text"] as const) {
        results[as].push(await produce(as, inFlight, SECONDS));
      }
    }
    for (const [as, list] of Object.entries(results)) {
      const of = (name: keyof Figures) => medianOf(list.map((each) => each[name]));
      console.log(
        `${String(inFlight).padStart(9)}   ${as.padEnd(8)}${Math.round(of("rate")).toLocaleString("en").padStart(15)}` +
          `${of("clientUs").toFixed(2).padStart(12)}${of("serverUs").toFixed(2).padStart(12)}`,
      );
    }
  }
} finally {
  await server.kill();
  rmSync(directory, { recursive: true, force: true });
}

/** @param as `text`: as to a server that does not know batches. */
async function produce(
  as: "batches" | "text",
  inFlight: number,
  seconds: number,
): Promise<Figures> {
  const unknown = { ok: false, error: "route_not_found", message: "" };
  const client = createClient({
    url,
    token: "dev",
    fetch: async (target, init) =>
      as === "text" && target.includes("/produce-batches")
        ? Response.json(unknown, { status: 404 })
        : await fetch(target, init as RequestInit),
  });
  const producer = client.producer("bench");
  let acknowledged = 0;
  const serverBefore = await cpuMicros(server.pid);
  const before = process.cpuUsage();
  const begin = performance.now();
  const until = begin + seconds * 1000;
  const work = async () => {
    while (performance.now() < until) {
      await producer.send(MESSAGE);
      acknowledged++;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, work));
  const taken = (performance.now() - begin) / 1000;
  const { user, system } = process.cpuUsage(before);
  const after = await cpuMicros(server.pid);
  const serverUs = after.main + after.others - serverBefore.main - serverBefore.others;
  return {
    rate: acknowledged / taken,
    clientUs: (user + system) / acknowledged,
    serverUs: serverUs / acknowledged,
  };
}

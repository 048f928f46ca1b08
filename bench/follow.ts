/**
 * `bun bench/follow.ts [followers]`: that many real connections follow one partition. How long a
 * record takes to all of them, what a record and a silent second cost the server, memory a follower,
 * pings, resumption by Last-Event-ID, and how they end when the server stops.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Socket } from "bun";
import { CommandLine } from "../test/tools/arguments.ts";
import { residentMiB, startSubject } from "./load/subject.ts";

const LINE = new CommandLine(`usage: bun bench/follow.ts [FOLLOWERS]
variables:
  AYDER_BINARY    binary of Ayder (default: dist/ayder)
  ROUNDS          records that are followed (default: 50)
  SILENT_SECONDS  how long nothing is written (default: 32)`);
const FOLLOWERS = LINE.integer("FOLLOWERS", LINE.read({}, 1).positionals[0], 1000);
const ROUNDS = LINE.variable("ROUNDS", 50);
const SILENT_SECONDS = LINE.variable("SILENT_SECONDS", 32);
const binary = process.env["AYDER_BINARY"] ?? join(import.meta.dir, "../dist/ayder");

type Follower = { records: number; pings: number; text: string; closed: boolean; whole: boolean };
const decoder = new TextDecoder();
const directory = mkdtempSync(join(tmpdir(), "ayder-follow-"));
const server = await startSubject([binary, "--port", "0", "--data-dir", directory], {
  RF_LOG_LEVEL: "error",
});
const url = `http://127.0.0.1:${server.port}`;
const headers = { authorization: "Bearer dev" };
const produce = () =>
  fetch(`${url}/broker/topics/t/produce?partition=0`, { method: "POST", body: "x", headers });

const report = (name: string, value: number | string) => console.log(`${name.padEnd(44)} ${value}`);
const median = (values: number[]) =>
  values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
/** User and system time of the server so far, ms. */
async function cpuMs(): Promise<number> {
  const fields =
    (await Bun.file(`/proc/${server.pid}/stat`).text()).split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function open(lastEventId: string): Promise<Socket<Follower>> {
  const state = { records: 0, pings: 0, text: "", closed: false, whole: false };
  return Bun.connect<Follower>({
    hostname: "127.0.0.1",
    port: server.port,
    data: state,
    socket: {
      open: (socket) => {
        socket.write(
          "GET /broker/consume/t/g/0 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer dev\r\n" +
            `Accept: text/event-stream\r\n${lastEventId}\r\n`,
        );
      },
      data: (_, bytes) => {
        state.text += decoder.decode(bytes);
        const events = state.text.split("\n\n");
        state.text = events.pop() ?? "";
        for (const event of events) {
          if (event.includes("data: {")) state.records++;
          else if (event.includes(": ")) state.pings++;
        }
        state.whole ||=
          state.text.endsWith("0\r\n\r\n") ||
          events.some((e) => e.endsWith("\r\n0\r\n") || e === "0\r");
      },
      close: () => {
        state.closed = true;
      },
      error: () => {},
    },
  });
}

const all: Follower[] = [];
const everybody = async (isSo: (one: Follower) => boolean) => {
  while (!all.every(isSo)) await Bun.sleep(1);
};

try {
  await produce();
  const before = await residentMiB(server.pid);
  const beganAt = performance.now();
  const sockets: Socket<Follower>[] = [];
  for (let i = 0; i < FOLLOWERS; i++) sockets.push(await open("Last-Event-ID: 0\r\n"));
  all.push(...sockets.map(({ data }) => data));
  await everybody(({ pings }) => pings > 0);
  report("followers", FOLLOWERS);
  report("all opened, ms", Math.round(performance.now() - beganAt));

  const spread: number[] = [];
  const cpuBefore = await cpuMs();
  for (let round = 1; round <= ROUNDS; round++) {
    const at = performance.now();
    await produce();
    await everybody(({ records }) => records >= round);
    spread.push(performance.now() - at);
  }
  report("a record to all of them, median ms", median(spread).toFixed(1));
  report("server CPU a record, ms", (((await cpuMs()) - cpuBefore) / ROUNDS).toFixed(1));
  report(
    "records that came, none twice",
    all.every(({ records }) => records === ROUNDS) ? "all" : "NO",
  );
  report(
    "memory a follower, KiB",
    Math.round((((await residentMiB(server.pid)) - before) * 1024) / FOLLOWERS),
  );

  for (const one of all) one.pings = 0;
  const silentBefore = await cpuMs();
  await Bun.sleep(SILENT_SECONDS * 1000);
  report(
    "server CPU a silent second, ms",
    (((await cpuMs()) - silentBefore) / SILENT_SECONDS).toFixed(1),
  );
  const pings = all.map((one) => one.pings);
  report(
    `pings in ${SILENT_SECONDS} s, least and most`,
    `${Math.min(...pings)} ${Math.max(...pings)}`,
  );

  const resumed = await open("Last-Event-ID: 10\r\n");
  await Bun.sleep(500);
  report("Last-Event-ID 10 resumes with", `${resumed.data.records} of ${ROUNDS - 10}`);
  all.push(resumed.data);

  const stoppedAt = performance.now();
  process.kill(server.pid, "SIGTERM");
  await everybody(({ closed }) => closed);
  report("all ended after SIGTERM, ms", Math.round(performance.now() - stoppedAt));
  report("with their last chunk", `${all.filter(({ whole }) => whole).length} of ${all.length}`);
} finally {
  await server.kill();
  rmSync(directory, { recursive: true, force: true });
}

/**
 * `bun run test:durable-differential [--operations 10000] [--seed 1]`: random requests to the binary and
 * to the reference server of the Durable Streams protocol, whose answers must be the same. Offsets are
 * opaque, so those of one server are mapped to those of the other. Differences that are meant are listed
 * in `test/tools/durable/differential/explained.ts`; any other one fails the run.
 */
import { cpSync, existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import {
  type Answer,
  type Difference,
  differencesOf,
  send,
  tagKey,
} from "../tools/durable/differential/compare.ts";
import {
  EXPLANATIONS,
  type Explanation,
  explain,
} from "../tools/durable/differential/explained.ts";
import { drawOperation, type Operation } from "../tools/durable/differential/operations.ts";
import { type Slot, World } from "../tools/durable/differential/world.ts";
import { startServer, temporaryDirectory } from "../tools/process/server.ts";
import { Random } from "../tools/random.ts";

const BINARY = "dist/ayder";
const LONG_POLL_MS = 50;
/** A stream whose time may be over now is left alone until it is over. */
const NEAR_MS = 700;
/** One in so many operations waits until a stream has expired. */
const REST_ONE_IN = 800;
const SHOWN_MAX = 40;

const { values } = parseArgs({
  options: {
    operations: { type: "string", default: "10000" },
    seed: { type: "string", default: String(Date.now() % 1_000_000_000) },
    /** A directory with the packages, so that nothing is installed. */
    installed: { type: "string" },
  },
});
const seed = Number(values.seed);
console.log(`bun run test:durable-differential --operations ${values.operations} --seed ${seed}`);

if (process.env["AYDER_BINARY"] === undefined && existsSync(BINARY)) {
  process.env["AYDER_BINARY"] = join(process.cwd(), BINARY);
}

const directory = temporaryDirectory();

async function install(): Promise<string> {
  if (values.installed !== undefined) return values.installed;
  const place = join(directory.path, "reference");
  cpSync(join(import.meta.dir, "durable-streams"), place, { recursive: true });
  const child = Bun.spawn([process.execPath, "install", "--frozen-lockfile"], {
    cwd: place,
    stdio: ["ignore", "ignore", "inherit"],
  });
  if ((await child.exited) !== 0) throw new Error("the reference server could not be installed");
  return place;
}

/** The reference server, in a process of Node. */
async function startReference(place: string) {
  const script = `
    import { DurableStreamTestServer } from "@durable-streams/server";
    const server = new DurableStreamTestServer({ port: 0, longPollTimeout: ${LONG_POLL_MS} });
    console.log(await server.start());
  `;
  const child = Bun.spawn(["node", "--input-type=module", "-e", script], {
    cwd: place,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  const url = new TextDecoder().decode(value).trim();
  return {
    url,
    stop: async () => {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

class Run {
  readonly #random = new Random(seed);
  readonly #world = new World();
  readonly #ours: string;
  readonly #theirs: string;
  readonly counts = new Map<string, number>();
  readonly statuses = new Map<string, number>();
  readonly unexplained: string[] = [];

  constructor(ours: string, theirs: string) {
    this.#ours = ours;
    this.#theirs = theirs;
  }

  async step(at: number): Promise<void> {
    if (this.#random.below(REST_ONE_IN) === 0) await this.#rest();
    const operation = drawOperation(this.#random, this.#world);
    await this.#untilSure([
      operation.slot,
      ...(operation.forkFrom === null ? [] : [operation.forkFrom]),
    ]);
    const startedAt = Date.now();
    const [ours, theirs] = await Promise.all([
      send(this.#ours, "ours", operation),
      send(this.#theirs, "theirs", operation),
    ]);
    if (this.#isUnsure(operation, startedAt)) return this.#world.renameAll();
    const differences = differencesOf(this.#world, operation, ours, theirs);
    const key = `${operation.method} ${ours.status}`;
    this.statuses.set(key, (this.statuses.get(key) ?? 0) + 1);
    this.#judge(at, operation, ours, theirs, differences);
    if (ours.status === theirs.status) this.#learn(operation, ours, theirs, startedAt);
  }

  /** A time to live may have ended on one server only, while the request was under way. */
  #isUnsure({ slot, forkFrom }: Operation, startedAt: number): boolean {
    return [slot, forkFrom].some((each) => {
      if (each === null || each.ttlSeconds === null || !each.exists) return false;
      const end = each.usedFrom + each.ttlSeconds * 1000;
      return startedAt < end && Date.now() > end - NEAR_MS / 2;
    });
  }

  async #untilSure(slots: readonly Slot[]): Promise<void> {
    for (const { exists, ttlSeconds, usedFrom } of slots) {
      if (!exists || ttlSeconds === null) continue;
      const end = usedFrom + ttlSeconds * 1000;
      const now = Date.now();
      if (now > end - NEAR_MS && now < end + NEAR_MS) await Bun.sleep(end + NEAR_MS - now);
    }
  }

  async #rest(): Promise<void> {
    const short = this.#world.slots.find(
      ({ exists, ttlSeconds }) => exists && (ttlSeconds ?? 60) < 60,
    );
    if (short !== undefined) await Bun.sleep((short.ttlSeconds ?? 0) * 1000 + NEAR_MS);
  }

  #judge(
    at: number,
    operation: Operation,
    ours: Answer,
    theirs: Answer,
    differences: readonly Difference[],
  ): void {
    for (const difference of differences) {
      const found: Explanation | null = explain(difference, { operation, ours, theirs });
      const name = found?.name ?? "unexplained";
      this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
      if (found === null) this.unexplained.push(shown(at, operation, difference));
      if (found?.diverges || (found === null && isChange(operation))) this.#world.renameAll();
    }
  }

  #learn(operation: Operation, ours: Answer, theirs: Answer, startedAt: number): void {
    const { slot, method, offset } = operation;
    this.#world.note(operation, ours.status);
    if (method === "PUT" && ours.status === 201) {
      slot.contentType = ours.headers.get("content-type") ?? "";
      const [next, other] = [
        ours.headers.get("stream-next-offset") ?? "",
        theirs.headers.get("stream-next-offset") ?? "",
      ];
      this.#world.learn(slot, other, next);
    }
    if (method !== "HEAD" && ours.status < 300) slot.usedFrom = startedAt;
    const tags = { ours: ours.headers.get("etag"), theirs: theirs.headers.get("etag") };
    if (method === "GET" && tags.ours !== null && tags.theirs !== null) {
      slot.tags.set(tagKey(offset), { ours: tags.ours, theirs: tags.theirs });
    }
  }
}

const isChange = ({ method }: Operation): boolean => method !== "GET" && method !== "HEAD";

function shown(at: number, operation: Operation, { what, ours, theirs }: Difference): string {
  const { method, slot, headers, body, offset, forkFrom, forkOffset, live, tags } = operation;
  const request = {
    headers,
    body,
    offset: offset?.ours,
    forkFrom: forkFrom?.path,
    forkOffset: forkOffset?.ours,
    live,
    tags: [...tags],
  };
  return `${at} ${method} ${slot.path} ${JSON.stringify(request)}\n    ${what}: ours ${ours}, theirs ${theirs}`;
}

const reference = await startReference(await install());
const server = await startServer({
  dataDir: join(directory.path, "data"),
  env: {
    RF_AUTH_SKIP_PREFIXES: "/v1/stream",
    RF_STREAM_LONG_POLL_MS: String(LONG_POLL_MS),
    RF_LOG_LEVEL: "warn",
  },
});
try {
  const run = new Run(server.url, reference.url);
  for (let at = 0; at < Number(values.operations); at++) await run.step(at);
  console.log(
    [...run.statuses]
      .sort()
      .map(([key, count]) => `${key}: ${count}`)
      .join(", "),
  );
  for (const { name, why } of EXPLANATIONS) {
    console.log(`${String(run.counts.get(name) ?? 0).padStart(6)}  ${name}: ${why}`);
  }
  for (const line of run.unexplained.slice(0, SHOWN_MAX)) console.log(line);
  console.log(`${values.operations} operations, ${run.unexplained.length} unexplained differences`);
  process.exitCode = run.unexplained.length === 0 ? 0 : 1;
} finally {
  await server.kill();
  await reference.stop();
  directory.remove();
}

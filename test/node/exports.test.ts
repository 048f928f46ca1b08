// Goal: ranges are cut by date, age and size, a store that is away for long is asked less and less
// often, and everything is committed once when it is back. Method: a node on a simulated clock, and
// files in memory.
import { expect, test } from "bun:test";
import { utf8 } from "../../src/lib/bytes.ts";
import type { ExportJob, ExportWriter, ReadRecords } from "../../src/node/exports/writer.ts";
import type { Node } from "../../src/node/node.ts";
import { BatchBuilder } from "../../src/record/batch-builder.ts";
import { RecordCursor } from "../../src/record/batch-reader.ts";
import { produced } from "../tools/node/as-promises.ts";
import { SingleNode } from "../tools/node/single-node.ts";
import { Random } from "../tools/random.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

class MemoryWriter implements ExportWriter {
  readonly files = new Map<string, number[]>();
  readonly objects = new Map<string, string>();
  isAway = false;
  attempts = 0;

  check = () => null;
  stop = () => undefined;
  /** The next pointer is not answered, and arrives when this is called. */
  loses: ((arrive: () => void) => void) | null = null;

  put = (_url: string, name: string, text: string): Promise<void> => {
    this.#attempt();
    const lost = name === "_ayder/latest" ? this.loses : null;
    if (lost !== null) {
      this.loses = null;
      lost(() => this.objects.set(name, text));
      return Promise.reject(new Error("no progress"));
    }
    this.objects.set(name, text);
    return Promise.resolve();
  };
  remove = (_url: string, name: string): Promise<void> => {
    this.#attempt();
    this.files.delete(name);
    return Promise.resolve();
  };
  get = (_url: string, name: string): Promise<string | null> => {
    this.#attempt();
    return Promise.resolve(this.objects.get(name) ?? null);
  };

  async write({ path, first, end }: ExportJob, read: ReadRecords) {
    this.#attempt();
    const offsets: number[] = [];
    for (let next = first; next < end; next = (offsets.at(-1) ?? end) + 1) {
      const cursor = new RecordCursor(await read(next));
      for (let more = cursor.seek(next); more && cursor.offset < end; more = cursor.next()) {
        offsets.push(cursor.offset);
      }
    }
    this.files.set(path, offsets);
    return { rows: offsets.length, bytes: offsets.length };
  }

  #attempt(): void {
    this.attempts++;
    if (this.isAway) throw new Error("the store is away");
  }
}

class World {
  readonly writer = new MemoryWriter();
  readonly single = new SingleNode(new Random(7));
  #node: Node | null = null;

  get node(): Node {
    if (this.#node === null) throw new Error("the node is not running");
    return this.#node;
  }

  async open(definition: { readonly everyMs: number; readonly maxBytes: number }): Promise<void> {
    this.single.exportWriter = this.writer;
    this.#node = await this.single.open();
    await this.single.settled(this.node.createTopic("t", 1));
    const rest = { compression: "zstd", from: "earliest", hold: false, format: "" } as const;
    const whole = { topic: "t", url: "s3://lake/x", ...definition, ...rest };
    const put = await this.single.settled(this.node.exports.putExport("e", whole));
    expect(put).toEqual({ ok: true, created: true });
  }

  async produce(count: number, bytes = 10): Promise<void> {
    const builder = new BatchBuilder();
    for (let i = 0; i < count; i++) builder.add(null, utf8("x".repeat(bytes)));
    const request = {
      ...{ topic: "t", partition: 0, key: null, idempotencyKey: null, timeoutMs: null },
      ...{ records: builder.finish(), rocket: false, traced: false, producer: null },
    };
    const outcome = await this.single.settled(produced(this.node, request));
    expect(outcome).toMatchObject({ ok: true });
  }

  /** Lets time pass in steps, so that timers run in their order. */
  async pass(ms: number): Promise<void> {
    const step = 250;
    for (let passed = 0; passed < ms; passed += step) {
      await this.single.clock.advance(step);
      for (let i = 0; i < 20; i++) await Promise.resolve();
    }
  }

  /** Ranges of the files in their order. */
  get ranges(): string[] {
    return [...this.writer.files.keys()];
  }
}

test("a file ends where the day ends, after its time, and at its size", async () => {
  const world = new World();
  const { clock } = world.single;
  // Shortly before midnight.
  clock.skewMs = DAY_MS - (clock.now() % DAY_MS) - MINUTE_MS;
  await world.open({ everyMs: 10 * MINUTE_MS, maxBytes: 4_096 });
  const day = new Date(clock.now()).toISOString().slice(0, 10);
  await world.produce(5);
  await clock.advance(MINUTE_MS);
  const next = new Date(clock.now()).toISOString().slice(0, 10);
  expect(next).not.toBe(day);
  await world.produce(7);
  await world.pass(3_000);
  expect(world.ranges).toEqual([`topic=t/date=${day}/partition=0/0-5.parquet`]);
  await world.pass(9 * MINUTE_MS);
  expect(world.ranges.length).toBe(1);
  await world.pass(2 * MINUTE_MS);
  expect(world.ranges.slice(1)).toEqual([`topic=t/date=${next}/partition=0/5-12.parquet`]);
  await world.produce(100, 100);
  await world.pass(5_000);
  expect(world.ranges.slice(2)).toEqual([
    `topic=t/date=${next}/partition=0/12-53.parquet`,
    `topic=t/date=${next}/partition=0/53-94.parquet`,
  ]);
});

test("a store that is away for ten minutes is asked less and less often, and gets each record once", async () => {
  const world = new World();
  await world.open({ everyMs: 1_000, maxBytes: 1_000_000 });
  await world.produce(3);
  await world.pass(5_000);
  expect(world.ranges.length).toBe(1);
  world.writer.isAway = true;
  world.writer.attempts = 0;
  await world.produce(4);
  await world.pass(10 * MINUTE_MS);
  // 1 s, 2 s, 4 s … and then once a minute.
  expect(world.writer.attempts).toBeGreaterThan(8);
  expect(world.writer.attempts).toBeLessThan(30);
  const [state] = await world.node.exports.listExports();
  expect(state).toMatchObject({
    state: "retrying",
    lagRecords: 4,
    lastError: "the store is away",
    failures: world.writer.attempts,
  });
  // The log goes on meanwhile.
  await world.produce(5);
  world.writer.isAway = false;
  await world.pass(2 * MINUTE_MS);
  expect([...world.writer.files.values()].flat()).toEqual(
    Array.from({ length: 12 }, (_, at) => at),
  );
  expect(await world.node.exports.listExports()).toMatchObject([
    { state: "running", lagRecords: 0, failures: 0, rows: 12 },
  ]);
});

test("manifests list the files, and the pointer names the newest", async () => {
  const world = new World();
  await world.open({ everyMs: 1_000, maxBytes: 1_000_000 });
  for (let i = 0; i < 3; i++) {
    await world.produce(2);
    await world.pass(4_000);
  }
  const { objects } = world.writer;
  const latest = JSON.parse(objects.get("_ayder/latest") ?? "") as { manifest: string };
  const manifest = JSON.parse(objects.get(latest.manifest) ?? "") as {
    previous: string | null;
    files: { first_offset: number; end_offset: number; rows: number }[];
  };
  expect(manifest).toMatchObject({ version: 1, export: "e", topic: "t", previous: null });
  expect(manifest.files.map((each) => [each.first_offset, each.end_offset, each.rows])).toEqual([
    [0, 2, 2],
    [2, 4, 2],
    [4, 6, 2],
  ]);
  // Earlier ones do not change.
  const first = JSON.parse(objects.get("_ayder/manifest-1.json") ?? "") as { files: object[] };
  expect(first.files.length).toBe(1);
});

test("a pointer that a late request sets back is written again", async () => {
  const world = new World();
  await world.open({ everyMs: 1_000, maxBytes: 1_000_000 });
  const { writer } = world;
  const latest = () => JSON.parse(writer.objects.get("_ayder/latest") ?? "{}").manifest as string;
  await world.produce(2);
  await world.pass(4_000);
  // The pointer of a new leader is certain after this.
  await world.pass(6 * MINUTE_MS);
  let arrive = (): void => undefined;
  writer.loses = (late) => {
    arrive = late;
  };
  await world.produce(2);
  await world.pass(10_000);
  await world.produce(2);
  await world.pass(10_000);
  expect(latest()).toBe("_ayder/manifest-3.json");
  arrive();
  expect(latest()).toBe("_ayder/manifest-2.json");
  await world.pass(4 * MINUTE_MS);
  expect(latest()).toBe("_ayder/manifest-3.json");
  const { attempts } = writer;
  await world.pass(20 * MINUTE_MS);
  expect(writer.attempts).toBe(attempts);
});

/** Exports of a topic with retention, and of topics that come and go, and what must be in the bucket. */
import { utf8 } from "../../../src/lib/bytes.ts";
import type { ExportDefinition } from "../../../src/node/export-api.ts";
import type { Node } from "../../../src/node/node.ts";
import { encodeRecord } from "../../../src/record/batch-builder.ts";
import { produced } from "../node/as-promises.ts";
import type { SimClient } from "./client.ts";
import type { SimCluster } from "./cluster.ts";
import { type ExportedFiles, filesOf, leftoversOf } from "./export-judge.ts";
import type { SimBucket } from "./sim-bucket.ts";
import { insist, once, until } from "./team.ts";

const MAIN = "lake";
const PARTITIONS = 2;
const RETRY_MS = 40;
const TTL_MS = 300;

/** The part that retention plays. */
type Mode = "held" | "overtaking" | "none";
type Done = { readonly ok: boolean; readonly code?: string };

export class ExportTeam {
  readonly #cluster: SimCluster;
  readonly #bucket: SimBucket;
  readonly #admin: SimClient;
  readonly #producer: SimClient;
  readonly #guest: SimClient;
  readonly #mode: Mode;
  /** Values that were sent, by topic, and those that are acknowledged. */
  readonly #sent = new Map<string, Set<string>>();
  readonly #acknowledged = new Set<string>();
  readonly #guests: string[] = [];
  #work: Promise<unknown> = Promise.resolve();
  #isCalm = false;
  #stopped = false;
  shown = "nothing was described";
  readonly #isOver = (): boolean => this.#stopped;

  constructor(cluster: SimCluster, bucket: SimBucket, clientOf: (name: string) => SimClient) {
    this.#cluster = cluster;
    this.#bucket = bucket;
    this.#admin = clientOf("exports admin");
    this.#producer = clientOf("exports producer");
    this.#guest = clientOf("exports guest");
    this.#mode = (["held", "overtaking", "none"] as const)[cluster.plan.seed % 3] ?? "none";
  }

  async create(): Promise<void> {
    await this.#topic(this.#admin, MAIN, PARTITIONS);
    await insist(this.#admin, this.#isOver, (node) =>
      node.exports.putExport(MAIN, this.#definition(MAIN)),
    );
    if (this.#mode === "none") return;
    const policy = { topic: MAIN, partition: null, ttlMs: TTL_MS, maxBytes: null } as const;
    await insist(this.#admin, this.#isOver, (node) => node.setRetention(policy));
  }

  run(): Promise<unknown> {
    this.#work = Promise.all([this.#produce(), this.#change(), this.#comeAndGo()]);
    return this.#work;
  }

  stop(): void {
    this.#isCalm = true;
    this.#stopped = true;
  }

  /** Everything is exported and listed, and nothing else is in the bucket. */
  async settle(): Promise<void> {
    this.#isCalm = true;
    await this.#work;
    await insist(this.#admin, this.#isOver, (node) => node.exports.pauseExport(MAIN, false));
    for (const name of this.#guests) await this.#end(this.#admin, name, false);
    for (;;) {
      await insist(this.#admin, this.#isOver, (node) => node.exports.flushExport(MAIN));
      const described = await insist(this.#admin, this.#isOver, async (node) => {
        if ((await node.catchUp()) !== null) return { ok: false as const };
        return await node.exports.describeExport(MAIN);
      });
      const { files, rows, lost, lagRecords, lastError } = described;
      const listed = await filesOf(this.#bucket, `s3://${MAIN}`);
      const leftovers = await this.#leftovers();
      this.shown = JSON.stringify({ files, rows, lost, lagRecords, lastError, leftovers });
      if (lagRecords === 0 && listed.files === files && leftovers.length === 0) return;
      await this.#admin.sleep(RETRY_MS * 10);
    }
  }

  /** @throws Error that says which promise was broken. */
  async judge(client: SimClient, node: Node): Promise<void> {
    const described = await node.exports.describeExport(MAIN);
    if (!described.ok) throw new Error(described.code);
    const main = await filesOf(this.#bucket, `s3://${MAIN}`);
    this.#check(MAIN, main);
    for (const { partition, nextOffset } of described.partitions) {
      const end = main.ends.get(partition) ?? 0;
      if (end > nextOffset) throw new Error(`a file ends at ${end}, before it is committed`);
    }
    const { rows, lost } = described;
    if (main.rows !== rows) throw new Error(`${main.rows} rows are listed, ${rows} are counted`);
    if (main.missing > lost)
      throw new Error(`${main.missing} offsets are in no file, ${lost} are lost`);
    this.#checkLoss(main, lost);
    for (const name of this.#guests) this.#check(name, await filesOf(this.#bucket, `s3://${name}`));
    const { cluster } = client;
    cluster.count("exports: judged");
    const add = (what: string, many: number) =>
      cluster.effects.set(
        `exports: ${what}`,
        (cluster.effects.get(`exports: ${what}`) ?? 0) + many,
      );
    add("rows", main.rows);
    add("files", main.files);
    add("lost", lost);
    add("topics that came and went", this.#guests.length);
  }

  /** A clock that jumps ahead ends the patience of retention. */
  #checkLoss({ values }: ExportedFiles, lost: number): void {
    const { faults } = this.#cluster.plan;
    const mayLose = this.#mode === "overtaking" || faults.includes("clock-jump");
    if (lost > 0 && !(mayLose && this.#mode !== "none"))
      throw new Error(`${lost} records are lost`);
    const missing = [...this.#acknowledged].filter((value) => !values.has(value));
    if (missing.length > lost) throw new Error(`acknowledged, in no file: ${missing.join(" ")}`);
  }

  /** Rows are records that were sent to this topic, each once. */
  #check(topic: string, { rows, values }: ExportedFiles): void {
    // After a jump of a clock, the idempotency key of a repetition may be forgotten.
    const mayRepeat = this.#cluster.plan.faults.includes("clock-jump");
    if (values.size !== rows && !mayRepeat) throw new Error(`a record of ${topic} is in two rows`);
    const sent = this.#sent.get(topic);
    for (const value of values) {
      if (sent?.has(value) !== true) throw new Error(`nobody sent ${value} to ${topic}`);
    }
  }

  async #leftovers(): Promise<string[]> {
    const names = [MAIN, ...this.#guests];
    const each = names.map((name) => leftoversOf(this.#bucket, `s3://${name}`));
    return (await Promise.all(each)).flat();
  }

  #definition(topic: string, changes: Partial<ExportDefinition> = {}): ExportDefinition {
    return {
      topic,
      url: `s3://${topic}`,
      everyMs: 300,
      maxBytes: 200,
      compression: "none",
      from: "earliest",
      hold: this.#mode === "held",
      format: "",
      ...changes,
    };
  }

  async #produce(): Promise<void> {
    const { random } = this.#producer;
    for (let i = 0; !this.#isCalm; i++) {
      await this.#producer.sleep(random.below(40));
      await this.#record(this.#producer, MAIN, random.below(PARTITIONS), i);
    }
  }

  async #record(client: SimClient, topic: string, partition: number, i: number): Promise<void> {
    const value = `${topic} ${i} ${"x".repeat(client.random.below(30))}`;
    const sent = this.#sent.get(topic) ?? new Set();
    this.#sent.set(topic, sent.add(value));
    const records = encodeRecord(null, utf8(value));
    const request = { topic, partition, key: null, idempotencyKey: utf8(`${topic} ${i}`), records };
    const done = await until(client, this.#isOver, (node) =>
      produced(node, { ...request, timeoutMs: null, rocket: false }),
    );
    const isProven = done?.synced === true && this.#cluster.plan.writeConcern.kind !== "appended";
    if (topic === MAIN && isProven) this.#acknowledged.add(value);
  }

  /** Pauses, flushes and changes the export. */
  async #change(): Promise<void> {
    const { random } = this.#admin;
    while (!this.#isCalm) {
      await this.#admin.sleep(random.below(600));
      const dice = random.below(4);
      await once(this.#admin, (node): Promise<Done> => {
        if (dice < 2) return node.exports.pauseExport(MAIN, dice === 0);
        if (dice === 2) return node.exports.flushExport(MAIN);
        const changes = { everyMs: 100 + random.below(500), maxBytes: 100 + random.below(400) };
        return node.exports.putExport(MAIN, this.#definition(MAIN, changes));
      });
    }
  }

  /** Exports that are deleted at work, by themselves or with their topics. */
  async #comeAndGo(): Promise<void> {
    const client = this.#guest;
    const { random } = client;
    for (let i = 0; !this.#isCalm; i++) {
      const name = `guest-${i}`;
      this.#guests.push(name);
      await this.#topic(client, name, 1);
      await until(client, this.#isOver, async (node) => {
        const put = await node.exports.putExport(name, this.#definition(name));
        return put.ok || put.code === "topic_not_found" ? { ok: true } : put;
      });
      for (let n = 0; n < 3 && !this.#isCalm; n++) {
        await client.sleep(random.below(150));
        await this.#record(client, name, 0, n);
        await once(client, (node) => node.exports.flushExport(name));
      }
      await client.sleep(random.below(400));
      await this.#end(client, name, random.below(2) === 0);
    }
  }

  /** Deletes an export, or its topic. */
  async #end(client: SimClient, name: string, withTopic: boolean): Promise<void> {
    await until(client, this.#isOver, async (node) => {
      const gone = withTopic ? await node.deleteTopic(name) : await node.exports.deleteExport(name);
      const isGone = gone.ok || gone.code === "topic_not_found" || gone.code === "export_not_found";
      return isGone ? { ok: true } : gone;
    });
  }

  async #topic(client: SimClient, topic: string, partitions: number): Promise<void> {
    await until(client, this.#isOver, async (node) => {
      const created = await node.createTopic(topic, partitions);
      return created.ok || created.code === "topic_exists" ? { ok: true } : created;
    });
  }
}

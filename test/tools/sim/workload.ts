/** The operations of clients: produce, consume, commit, delete, keys and values. */
import { utf8 } from "../../../src/lib/bytes.ts";
import { crc32 } from "../../../src/lib/crc32.ts";
import type { ConsumePage, ProduceOutcome } from "../../../src/node/api.ts";
import { BatchBuilder, type EncodedRecords } from "../../../src/record/batch-builder.ts";
import { RecordCursor } from "../../../src/record/batch-reader.ts";
import { decodeHeaders, encodeHeaders } from "../../../src/record/headers.ts";
import type { Consume, KvDelete, KvPut, Message, Produce } from "../history/operations.ts";
import { produced, read, stored } from "../node/as-promises.ts";
import { outcomeOf, type Reply, type SimClient } from "./client.ts";
import type { SimNode } from "./sim-node.ts";

export const TOPIC = "t";
export const GROUPS = ["g1", "g2"] as const;
export const NAMESPACE: string = "kv";
const KEYS = 4;
const BATCH_MAX = 8;
const RETRIES_MAX = 5;
const RETRY_PAUSE_MS = 30;
const PAGE_BYTES = 1 << 24;
const DELETED_MAX = 10;
const EXPIRING = "expiring";
const TTL_MS = 3000;
const TTL_LONG_MS = 600_000;
/** Above what the history's judge allows clocks to be off. */
const TTL_SLACK_MS = 1300;

type Series = { epoch: number; seq: number };

function beginEpoch(series: Series): void {
  series.epoch++;
  series.seq = 0;
}

const REFUSALS: readonly string[] = ["sequence_gap", "stale_epoch"];
/** Name of a header that repeats the value, so that a read can compare them. */
const ECHO = "echo";

/** The shared knowledge of the clients. */
export class Knowledge {
  readonly ends: number[];
  readonly floors: number[];
  readonly revisions = new Map<string, number>();
  #ids = 0;
  #epochs = new Map<string, number>();

  constructor(partitions: number) {
    this.ends = Array.from({ length: partitions }, () => 0);
    this.floors = Array.from({ length: partitions }, () => 0);
  }

  id(client: string): string {
    return `${client}-${this.#ids++}`;
  }

  /** A new key after an unknown result or two, so that histories stay searchable. */
  key(slot: number): string {
    return `k${slot}.${this.#epochs.get(`${slot}`) ?? 0}`;
  }

  retire(key: string): void {
    const slot = key.slice(1, key.indexOf("."));
    if (this.key(Number(slot)) === key) this.#epochs.set(slot, (this.#epochs.get(slot) ?? 0) + 1);
  }

  saw(partition: number, low: number, end: number): void {
    this.ends[partition] = Math.max(this.ends[partition] ?? 0, end);
    this.floors[partition] = Math.max(this.floors[partition] ?? 0, low);
  }
}

export class Actor {
  readonly client: SimClient;
  readonly knowledge: Knowledge;
  stopped = false;
  readonly #partitions: number;
  /** The next number of this client's producer in each partition. */
  readonly #series: Series[] = [];
  readonly #valueBytesMax: number;

  constructor(client: SimClient, knowledge: Knowledge) {
    this.client = client;
    this.knowledge = knowledge;
    const { plan } = client.cluster;
    this.#partitions = plan.partitions;
    this.#valueBytesMax = plan.valueBytesMax;
  }

  async run(): Promise<void> {
    const { client } = this;
    const { thinkMs } = client.cluster.plan;
    while (!this.stopped) {
      await client.sleep(client.random.below(thinkMs * 2000) / 1000);
      if (!this.stopped) await this.#act();
    }
  }

  async #act(): Promise<void> {
    const { cluster, random } = this.client;
    if (cluster.plan.numbers && random.below(4) === 0) return await this.#produceNumbered();
    const dice = this.client.random.below(100);
    if (dice < 35) await this.produce();
    else if (dice < 48) await this.#produceOnce();
    else if (dice < 65) await this.#consume();
    else if (dice < 72) await this.#commit();
    else if (dice < 75) await this.#deleteBefore();
    else if (dice < 76) await this.#scratch();
    else if (dice < 79) await this.#keyThatExpires();
    else await this.#keys(dice);
  }

  #place() {
    return { topic: TOPIC, partition: this.client.random.below(this.#partitions) };
  }

  /** @param patient wants proof, and waits for it. */
  async produce(patient = false): Promise<boolean> {
    const { client, knowledge } = this;
    const count = client.random.below(3) === 0 ? 1 + client.random.below(BATCH_MAX) : 1;
    const values = Array.from({ length: count }, () => knowledge.id(client.name));
    const hurried = patient ? -1 : client.random.below(20);
    return await this.#send(client.pick(), { ...this.#place(), key: null, values }, hurried);
  }

  /** Under one key, at any node, until there is an answer; sometimes once more after it. */
  async #produceOnce(): Promise<void> {
    const { client, knowledge } = this;
    const id = knowledge.id(client.name);
    const args = { ...this.#place(), key: `key-${id}`, values: [id] };
    let done = await this.#send(client.pick(), args);
    for (let i = 0; i < RETRIES_MAX && !done && !this.stopped; i++) {
      await client.sleep(RETRY_PAUSE_MS);
      done = await this.#send(client.pick(), args);
    }
    if (client.random.below(3) === 0) await this.#send(client.pick(), args);
  }

  /** The next number of this client's producer, at any node, until its end is known. */
  async #produceNumbered(): Promise<void> {
    const { client } = this;
    const at = this.#place();
    const series = this.#series[at.partition] ?? { epoch: 0, seq: 0 };
    this.#series[at.partition] = series;
    if (client.random.below(8) === 0) await this.#leaveOut(at, series);
    const args = this.#numbered(at, series.epoch, series.seq);
    let told = await this.#sendNumber(args);
    for (let i = 0; i < RETRIES_MAX && told === "again" && !this.stopped; i++) {
      await client.sleep(RETRY_PAUSE_MS);
      told = await this.#sendNumber(args);
    }
    if (told === "stored") series.seq++;
    else beginEpoch(series);
    // A repetition after the answer, or after a higher epoch has begun.
    if (client.random.below(3) > 0) return;
    if (told === "stored" && client.random.below(2) === 0) beginEpoch(series);
    if (series.seq === 0) {
      const next = this.#numbered(at, series.epoch, series.seq);
      if ((await this.#sendNumber(next)) === "stored") series.seq++;
      else beginEpoch(series);
    }
    await this.#sendNumber(args);
  }

  /** A number beyond the next one, which must be refused. */
  async #leaveOut(at: { topic: string; partition: number }, series: Series): Promise<void> {
    const told = await this.#sendNumber(this.#numbered(at, series.epoch, series.seq + 1));
    // It may arrive late, when it is the next one.
    if (told === "again") beginEpoch(series);
  }

  #numbered(at: { topic: string; partition: number }, epoch: number, seq: number): Produce["args"] {
    const { name } = this.client;
    const number = { producer: name, epoch, seq, refused: null };
    const key = `number ${name} ${epoch}/${seq}`;
    return { ...at, key, values: [this.knowledge.id(name)], number };
  }

  /** @returns `again` if the end is not known, or if nothing was done. */
  async #sendNumber(args: Produce["args"]): Promise<"stored" | "refused" | "again"> {
    const { client, knowledge } = this;
    const { topic, partition, values, number } = args;
    const to = client.pick();
    const call = client.recorder.now();
    const reply = await client.call(to, (node) =>
      produced(node, {
        topic,
        partition,
        key: null,
        idempotencyKey: null,
        producer: { id: number?.producer ?? "", epoch: number?.epoch ?? 0, seq: number?.seq ?? 0 },
        records: this.#encode(values),
        timeoutMs: null,
        rocket: false,
      }),
    );
    const { writeConcern } = client.cluster.plan;
    const value = reply?.value;
    if (value?.ok === true) {
      const isProven = writeConcern.kind !== "appended" && value.synced === true;
      // A duplicate of a number before the last one is told without its place.
      const result = isProven && value.firstOffset !== null ? resultOf(reply) : null;
      if (result !== null) knowledge.saw(partition, 0, result.offset + result.count);
      client.add("produce", to, call, args, result === null ? "unknown" : "ok", result);
      return "stored";
    }
    const refused = value !== undefined && REFUSALS.includes(value.code) ? value.code : null;
    if (refused === null) client.forgetLeader();
    else client.cluster.count(refused);
    const told = number === undefined ? args : { ...args, number: { ...number, refused } };
    client.add("produce", to, call, told, outcomeOf(reply), null);
    return refused === null ? "again" : "refused";
  }

  async #send(to: SimNode, args: Produce["args"], hurried = -1): Promise<boolean> {
    const { client, knowledge } = this;
    const { topic, partition, key, values } = args;
    const call = client.recorder.now();
    const reply = await client.call(to, (node) =>
      produced(node, {
        topic,
        partition,
        key: null,
        idempotencyKey: key === null ? null : utf8(key),
        records: this.#encode(values),
        timeoutMs: hurried === 0 ? 5 : null,
        rocket: hurried === 1,
      }),
    );
    // Answers from memory, or with a weaker concern, promise nothing that is judged here.
    const isProven =
      client.cluster.plan.writeConcern.kind !== "appended" &&
      reply?.value.ok === true &&
      reply.value.synced === true;
    const outcome = reply?.value.ok === true && !isProven ? "unknown" : outcomeOf(reply);
    const result = outcome === "ok" ? resultOf(reply) : null;
    if (result !== null) knowledge.saw(partition, 0, result.offset + result.count);
    else client.forgetLeader();
    client.add("produce", to, call, args, outcome, result);
    return reply?.value.ok === true;
  }

  #encode(values: readonly string[]): EncodedRecords {
    const builder = new BatchBuilder();
    for (const value of values) {
      // Drawn from the value alone, because a repetition must be the same.
      const crc = crc32(utf8(value));
      const filler = ".".repeat(crc % this.#valueBytesMax);
      const hasHeaders = this.client.cluster.plan.numbers && crc % 3 === 0;
      const headers = hasHeaders ? [{ name: ECHO, value }] : [];
      builder.add(null, utf8(`${value}|${filler}`), encodeHeaders(headers));
    }
    return builder.finish();
  }

  async #consume(): Promise<void> {
    const { client, knowledge } = this;
    const { random } = client;
    const at = this.#place();
    const end = knowledge.ends[at.partition] ?? 0;
    const offset = random.below(6) === 0 ? null : Math.max(0, end - random.below(60));
    const group = random.pick(GROUPS);
    const linearizable = random.below(2) === 0;
    await this.readPage(client.pick(), {
      ...at,
      group,
      offset,
      limit: 1 + random.below(50),
      linearizable,
    });
  }

  async readPage(to: SimNode, args: Omit<Consume["args"], "session">): Promise<void> {
    const { client, knowledge } = this;
    const call = client.recorder.now();
    const life = to.lives;
    const reply = await client.call(to, async (node) => {
      const page = await node.consume({ ...args, maxBytes: PAGE_BYTES });
      return page.ok ? { ok: true, page: pageOf(page, args.limit) } : page;
    });
    const session = `${client.name}@${to.id}#${life}${args.linearizable ? "!" : ""}`;
    const page = reply !== null && "page" in reply.value ? reply.value.page : null;
    if (page !== null) knowledge.saw(args.partition, page.low, page.end);
    const outcome = page === null ? outcomeOf(reply) : "ok";
    client.add("consume", to, call, { ...args, session }, outcome, page);
  }

  async #commit(): Promise<void> {
    const { client, knowledge } = this;
    const at = this.#place();
    const group = client.random.pick(GROUPS);
    const offset = client.random.below((knowledge.ends[at.partition] ?? 0) + 1);
    const to = client.pick();
    const call = client.recorder.now();
    const reply = await client.call(to, (node) => node.commitOffset({ ...at, group, offset }));
    const result = reply?.value.ok === true ? { committed: reply.value.committedOffset } : null;
    client.add("commit", to, call, { ...at, group, offset }, this.#proven(reply), result);
  }

  /** An answer by a weaker concern is not held against a leader that is lost. */
  #proven(reply: Parameters<typeof outcomeOf>[0]) {
    return outcomeOf(reply);
  }

  async #deleteBefore(): Promise<void> {
    const { client, knowledge } = this;
    const at = this.#place();
    const floor = knowledge.floors[at.partition] ?? 0;
    const room = Math.min(DELETED_MAX, (knowledge.ends[at.partition] ?? 0) - floor);
    const before = floor + client.random.below(Math.max(1, room));
    const to = client.pick();
    const call = client.recorder.now();
    const reply = await client.call(to, (node) =>
      node.deleteBefore({ ...at, beforeOffset: before }),
    );
    const result = reply?.value.ok === true ? { deleted: reply.value.deletedCount } : null;
    client.add("delete-before", to, call, { ...at, before }, this.#proven(reply), result);
  }

  /** Not in the history: only that all nodes come to the same. */
  async #scratch(): Promise<void> {
    const { client, knowledge } = this;
    const topic = `s${client.random.below(3)}`;
    const to = client.pick();
    const kind = client.random.below(5);
    const records = this.#encode([knowledge.id(client.name)]);
    await client.call(to, async (node) => {
      if (kind === 0) await node.deleteTopic(topic);
      else if (kind === 1) await node.createTopic(topic, 1);
      else if (kind === 2)
        await node.setRetention({ topic, partition: null, ttlMs: 500, maxBytes: 300 });
      else if (kind === 3) await this.#putShortLived(node, topic);
      else
        await produced(node, {
          topic,
          partition: 0,
          key: null,
          idempotencyKey: null,
          records,
          timeoutMs: null,
          rocket: false,
        });
    });
  }

  #putShortLived(node: NonNullable<SimNode["node"]>, key: string) {
    const value = utf8(key);
    const rest = { cas: null, ttlMs: 300, timeoutMs: null };
    return stored(node, { namespace: "scratch", key, value, ...rest });
  }

  async #keys(dice: number): Promise<void> {
    const { knowledge, client } = this;
    const key = knowledge.key(client.random.below(KEYS));
    const cas = client.random.below(2) === 0 ? null : (knowledge.revisions.get(key) ?? 0);
    if (dice < 88) await this.#get(key);
    else if (dice < 97) await this.#put({ ns: NAMESPACE, key, cas, ttlMs: null });
    else await this.#remove({ ns: NAMESPACE, key, cas });
  }

  /** Written once; read while it must be there, and when it must be gone. */
  async #keyThatExpires(): Promise<void> {
    const { client, knowledge } = this;
    const key = `e-${knowledge.id(client.name)}`;
    // Where wrong clocks may keep a majority from agreeing, time is right within minutes only.
    const areRight = !client.cluster.plan.faults.includes("clock-jump");
    const ttlMs = areRight ? TTL_MS : TTL_LONG_MS;
    await this.#put({ ns: EXPIRING, key, cas: 0, ttlMs });
    for (const pauseMs of [TTL_MS - TTL_SLACK_MS, 2 * TTL_SLACK_MS]) {
      await client.sleep(pauseMs);
      if (!this.stopped) await this.#get(key, EXPIRING);
    }
  }

  async #put(to: Omit<KvPut["args"], "value">): Promise<void> {
    const { client, knowledge } = this;
    const { ns, key, cas, ttlMs } = to;
    const value = knowledge.id(client.name);
    const node = client.pick();
    const call = client.recorder.now();
    const reply = await client.call(node, (target) =>
      stored(target, { namespace: ns, key, value: utf8(value), cas, ttlMs, timeoutMs: null }),
    );
    const outcome = this.#proven(reply);
    const revision = reply === null ? null : revisionOf(reply.value);
    this.#learnt(key, outcome, revision);
    const result = revision === null ? null : { revision };
    client.add("kv-put", node, call, { ...to, value }, outcome, result);
  }

  async #remove(args: KvDelete["args"]): Promise<void> {
    const { client } = this;
    const node = client.pick();
    const call = client.recorder.now();
    const { ns, key, cas } = args;
    const reply = await client.call(node, (target) =>
      target.kvDelete({ namespace: ns, key, cas, timeoutMs: null }),
    );
    const outcome = this.#proven(reply);
    const mismatch = reply !== null && !reply.value.ok ? revisionOf(reply.value) : null;
    this.#learnt(key, outcome, mismatch ?? (outcome === "ok" ? 0 : null));
    const result =
      reply?.value.ok === true
        ? { deleted: reply.value.deleted, revision: null }
        : mismatch === null
          ? null
          : { deleted: false, revision: mismatch };
    client.add("kv-delete", node, call, args, outcome, result);
  }

  #learnt(key: string, outcome: string, revision: number | null): void {
    if (outcome === "unknown") this.knowledge.retire(key);
    if (revision !== null) this.knowledge.revisions.set(key, revision);
  }

  async #get(key: string, ns = NAMESPACE): Promise<void> {
    const { client, knowledge } = this;
    const linearizable = client.random.below(4) > 0;
    const to = client.pick();
    const session = `${client.name}@${to.id}#${to.lives}${linearizable ? "!" : ""}`;
    const call = client.recorder.now();
    const reply = await client.call(to, (node) => read(node, { namespace: ns, key, linearizable }));
    const args = { ns, key, linearizable, session };
    const value = reply?.value;
    if (value?.ok === true) {
      knowledge.revisions.set(key, value.cas);
      const result = { value: new TextDecoder().decode(value.value), revision: value.cas };
      client.add("kv-get", to, call, args, "ok", result);
    } else if (value?.code === "not_found") {
      client.add("kv-get", to, call, args, "ok", { value: null, revision: 0 });
    } else client.add("kv-get", to, call, args, outcomeOf(reply), null);
  }
}

function resultOf(reply: Reply<ProduceOutcome>): NonNullable<Produce["result"]> | null {
  if (reply?.value.ok !== true) return null;
  const { firstOffset, count, duplicate, payloadMatches } = reply.value;
  return { offset: firstOffset ?? -1, count, duplicate, payloadMatches };
}

/** The new revision, or after a mismatch the one in force; null: nothing is known. */
function revisionOf(value: {
  readonly ok: boolean;
  readonly cas?: number;
  readonly code?: string;
  readonly details?: Readonly<Record<string, number | string | null>>;
}): number | null {
  if (value.ok) return value.cas ?? null;
  if (value.code !== "cas_mismatch") return null;
  return Number(value.details?.["current"] ?? 0);
}

export function pageOf(page: ConsumePage, limit: number): NonNullable<Consume["result"]> {
  const messages: Message[] = [];
  const decoder = new TextDecoder();
  for (const slice of page.slices) {
    const cursor = new RecordCursor(slice);
    while (messages.length < limit && cursor.next()) {
      if (cursor.offset < page.startOffset) continue;
      if (cursor.offset >= page.endOffset) break;
      const text = decoder.decode(slice.subarray(cursor.valueStart, cursor.valueEnd));
      const value = text.slice(0, text.indexOf("|"));
      const [echo] = decodeHeaders(cursor.bytes, cursor.headersStart, cursor.headersEnd);
      // A header of another record counts as a record that nobody wrote.
      const isOwn = echo === undefined || echo.value === value;
      messages.push([cursor.offset, isOwn ? value : `${value} with header ${echo.value}`]);
    }
  }
  return {
    messages,
    next: page.startOffset + messages.length,
    committed: page.committedOffset ?? 0,
    low: page.lowWatermark,
    end: page.endOffset,
    truncated: false,
  };
}

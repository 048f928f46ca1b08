/** A client of durable streams: creates, appends, closes, forks, deletes and reads them at any node. */
import { utf8 } from "../../../src/lib/bytes.ts";
import type { StreamPage } from "../../../src/node/api.ts";
import type { Node } from "../../../src/node/node.ts";
import { encodeRecord } from "../../../src/record/batch-builder.ts";
import type { SimClient } from "./client.ts";
import type { SimNode } from "./sim-node.ts";
import { type At, atOf, FORKS, type Known, type Page, type StreamLedger } from "./stream-ledger.ts";

export const PATHS = ["s/0", "s/1", "s/2", `${FORKS}0`, `${FORKS}1`] as const;
const SOURCES = PATHS.filter((path) => !path.startsWith(FORKS));
const LIVES = "lives/";
const TYPE = "text/plain";
const END = "|";
const PAGE_BYTES = 1 << 20;
const RETRIES_MAX = 6;
const RETRY_PAUSE_MS = 30;
const TTL_SECONDS = 3;
/** Above what clocks of nodes are off. */
const TTL_SLACK_MS = 1300;

type Series = { epoch: number; seq: number };
type Append = {
  readonly path: string;
  readonly value: string | null;
  readonly close: boolean;
  readonly producer: { readonly id: string; readonly epoch: number; readonly seq: number } | null;
};
/** `again`: the outcome is not known, or nothing was done. */
type Told = "stored" | "duplicate" | "again" | "refused" | "absent";

export class StreamActor {
  stopped = false;
  readonly #client: SimClient;
  readonly #ledger: StreamLedger;
  readonly #series = new Map<string, Series>();
  #values = 0;

  constructor(client: SimClient, ledger: StreamLedger) {
    this.#client = client;
    this.#ledger = ledger;
  }

  async run(): Promise<void> {
    const { thinkMs } = this.#client.cluster.plan;
    while (!this.stopped) {
      await this.#client.sleep(this.#client.random.below(thinkMs * 2000) / 1000);
      if (!this.stopped) await this.#act();
    }
  }

  async #act(): Promise<void> {
    const { random } = this.#client;
    const dice = random.below(100);
    const path = random.pick(PATHS);
    if (dice < 35) await this.#numbered(path);
    else if (dice < 55) await this.#appendOnce(path, random.below(20) === 0);
    else if (dice < 65) await this.#create(random.pick(SOURCES));
    else if (dice < 71) await this.#fork();
    else if (dice < 74) await this.#delete(path);
    else if (dice < 76) await this.#close(path);
    else if (dice < 85) await this.#describe(path);
    else if (dice < 97) await this.#read(path);
    else await this.#life();
  }

  /** Calls a node, and notes how it went. @returns null if there was no answer. */
  async #call<T extends { readonly ok: boolean; readonly code?: string }>(
    what: string,
    ask: (node: Node) => Promise<T>,
  ): Promise<T | null> {
    const client = this.#client;
    const to: SimNode = client.pick();
    const reply = await client.call(to, ask);
    const value = reply?.value ?? null;
    if (value === null || (!value.ok && !DECIDED.has(value.code ?? ""))) client.forgetLeader();
    client.cluster.note(
      `${client.name} ${what} at ${to.id} ${value === null ? "unknown" : (value.code ?? "ok")}`,
    );
    return value;
  }

  async #create(path: string): Promise<void> {
    const known = this.#ledger.known();
    const answer = await this.#call(`create ${path}`, ({ durable }) =>
      durable.createStream({ ...NEW, path, contentType: TYPE }),
    );
    if (answer?.ok !== true) return;
    this.#ledger.sawEnd(path, atOf(answer.nextOffset), answer.closed, known);
  }

  async #fork(): Promise<void> {
    const { random } = this.#client;
    const source = random.pick(SOURCES);
    const path = random.pick(PATHS.filter((each) => each.startsWith(FORKS)));
    const tokens = this.#ledger.tokensOf(source);
    if (tokens.length === 0) return;
    const from = random.pick(tokens);
    const fork = { path: source, offset: tokenOf(from), sub: 0 };
    const answer = await this.#call(`fork ${path} ${fork.offset}`, ({ durable }) =>
      durable.createStream({ ...NEW, path, contentType: "", fork }),
    );
    // A fork that exists is the same if it is of the same source and offset.
    if (answer?.ok === true && answer.created) {
      this.#ledger.forked(path, { ...atOf(answer.nextOffset) }, from.streamId);
    }
  }

  async #delete(path: string): Promise<void> {
    const ledger = this.#ledger;
    const known = ledger.known();
    ledger.endangers(path);
    const answer = await this.#call(`delete ${path}`, ({ durable }) => durable.deleteStream(path));
    if (answer?.ok === true) ledger.deleted(path, known);
  }

  async #close(path: string): Promise<void> {
    const known = this.#ledger.known();
    await this.#append({ path, value: null, close: true, producer: null }, known);
  }

  async #appendOnce(path: string, close: boolean): Promise<void> {
    const value = this.#value();
    const told = await this.#append({ path, value, close, producer: null }, this.#ledger.known());
    if (told === "refused" || told === "absent") this.#ledger.refused(value);
  }

  /** The next number of this client's producer, repeated until its outcome is known. */
  async #numbered(path: string): Promise<void> {
    const { random, name } = this.#client;
    const series = this.#series.get(path) ?? { epoch: 0, seq: 0 };
    this.#series.set(path, series);
    const value = this.#value();
    const skips = random.below(12) === 0 ? 1 : 0;
    const producer = { id: name, epoch: series.epoch, seq: series.seq + skips };
    const append = { path, value, close: false, producer };
    const { told, isUnknown } = await this.#untilTold(append);
    if (told === "stored" || told === "duplicate") series.seq = producer.seq + 1;
    else {
      series.epoch++;
      series.seq = 0;
    }
    if ((told === "refused" || told === "absent") && !isUnknown) this.#ledger.refused(value);
    // A repetition of what was stored stores nothing, also after a higher epoch has begun.
    if (told === "stored" && random.below(3) === 0) {
      await this.#append(append, this.#ledger.known());
    }
  }

  async #untilTold(append: Append): Promise<{ told: Told; isUnknown: boolean }> {
    let isUnknown = false;
    for (let i = 0; i < RETRIES_MAX && !this.stopped; i++) {
      if (i > 0) await this.#client.sleep(RETRY_PAUSE_MS);
      const told = await this.#append(append, this.#ledger.known());
      if (told !== "again") return { told, isUnknown };
      isUnknown = true;
    }
    return { told: "again", isUnknown };
  }

  #value(): string {
    const value = `${this.#client.name}.${this.#values++}`;
    this.#ledger.sends(value);
    return value;
  }

  async #append(append: Append, known: Known): Promise<Told> {
    const { path, value, close, producer } = append;
    const ledger = this.#ledger;
    const what = `append ${path} ${value} ${producer?.epoch}/${producer?.seq}${close ? " close" : ""}`;
    const answer = await this.#call(what, ({ durable }) =>
      durable.appendStream({
        path,
        contentType: value === null ? "" : TYPE,
        seq: null,
        producer,
        close,
        records: value === null ? null : encodeRecord(null, utf8(value + END)),
      }),
    );
    if (answer === null) return "again";
    if (!answer.ok) {
      if (!DECIDED.has(answer.code)) return "again";
      this.#client.cluster.count(answer.code);
      return answer.code === "stream_not_found" || answer.code === "stream_gone"
        ? "absent"
        : "refused";
    }
    const end = atOf(answer.nextOffset);
    if (value !== null) ledger.appended(path, value, end, answer.duplicate, known);
    if (answer.closed && (close || answer.duplicate)) ledger.closes(path, end);
    return answer.duplicate ? "duplicate" : "stored";
  }

  async #describe(path: string): Promise<void> {
    const known = this.#ledger.known();
    const answer = await this.#call(`describe ${path}`, ({ durable }) =>
      durable.describeStream(path),
    );
    if (answer?.ok === true) {
      this.#ledger.sawEnd(path, atOf(answer.nextOffset), answer.closed, known);
    }
  }

  async #read(path: string): Promise<void> {
    const { random } = this.#client;
    const tokens = this.#ledger.tokensOf(path);
    const dice = random.below(10);
    const known = this.#ledger.known();
    if (dice < 2 || tokens.length === 0) {
      const page = await this.#page(path, dice === 0 ? "now" : "-1");
      if (page === null || page.code !== null) return;
      const at = atOf(page.next);
      const from = dice === 0 ? at : { ...at, record: 0 };
      this.#ledger.readFrom(path, from, page, known);
      return;
    }
    const from = random.pick(tokens);
    const page = await this.#page(path, tokenOf(from));
    if (page !== null) this.#ledger.readFrom(path, from, page, known);
  }

  async #page(path: string, offset: string): Promise<Page | null> {
    const request = { path, offset, maxBytes: PAGE_BYTES, streamId: null };
    const answer = await this.#call(`read ${path} ${offset}`, ({ durable }) =>
      durable.readStream(request),
    );
    if (answer === null) return null;
    if (!answer.ok) return { ...NO_PAGE, code: answer.code };
    return pageOf(answer);
  }

  /** A stream with a time to live: it is there while it is used, and gone when it was not. */
  async #life(): Promise<void> {
    const client = this.#client;
    // Where wrong clocks may keep a majority from agreeing, time is right within minutes only.
    if (client.cluster.plan.faults.includes("clock-jump")) return;
    const path = `${LIVES}${client.name}.${this.#values++}`;
    const { recorder } = client;
    const calledAt = recorder.now();
    const created = await this.#call(`create ${path}`, ({ durable }) =>
      durable.createStream({ ...NEW, path, contentType: TYPE, ttlSeconds: TTL_SECONDS }),
    );
    if (created?.ok !== true || !created.created) return;
    const createdAt = recorder.now();
    const surelyUntil = calledAt + TTL_SECONDS * 1000 - TTL_SLACK_MS;
    await client.sleep(client.random.below(TTL_SECONDS * 500));
    const first = await this.#call(`describe ${path}`, ({ durable }) =>
      durable.describeStream(path),
    );
    const isGone = first?.ok === false && first.code === "stream_not_found";
    if (isGone && recorder.now() < surelyUntil) throw new Error(`${path} expired before its time`);
    await client.sleep(createdAt + TTL_SECONDS * 1000 + TTL_SLACK_MS - recorder.now());
    const second = await this.#call(`describe ${path}`, ({ durable }) =>
      durable.describeStream(path),
    );
    if (second?.ok === true) throw new Error(`${path} is there after its time`);
    client.cluster.count("stream expired");
  }
}

/** Codes after which nothing was done, and the same request may not be repeated. */
const DECIDED: ReadonlySet<string> = new Set([
  "stream_not_found",
  "stream_gone",
  "stream_closed",
  "stream_exists",
  "stream_has_forks",
  "sequence_gap",
  "stale_epoch",
  "epoch_not_at_zero",
  "offset_gone",
  "fork_source_not_found",
  "fork_source_gone",
  "fork_source_changed",
  "fork_offset_beyond_end",
]);

const NEW = {
  ttlSeconds: null,
  expiresAt: null,
  closed: false,
  fork: null,
  records: null,
} as const;
const NO_PAGE = { values: [], next: "", upToDate: false, closed: false } as const;

const tokenOf = ({ streamId, record }: At): string =>
  `${String(streamId).padStart(16, "0")}_${String(record).padStart(16, "0")}`;

const decoder = new TextDecoder();

export const pageOf = (page: StreamPage): Page => ({
  code: null,
  values: decoder.decode(page.body).split(END).slice(0, -1),
  next: page.nextOffset,
  upToDate: page.upToDate,
  closed: page.closed,
});

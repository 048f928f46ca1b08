/** Webhooks, those who change them while they deliver, and how they have to end. */
import type { SenderRequest } from "../../../src/env/webhook-sender.ts";
import { utf8 } from "../../../src/lib/bytes.ts";
import type { WebhookDefinition } from "../../../src/node/api.ts";
import type { Node } from "../../../src/node/node.ts";
import { encodeRecord } from "../../../src/record/batch-builder.ts";
import { produced } from "../node/as-promises.ts";
import { type Order, WebhookLedger } from "../webhook/webhook-ledger.ts";
import { outcomeOf, type SimClient } from "./client.ts";
import type { SimCluster } from "./cluster.ts";
import { insist, rowsOf, until } from "./team.ts";

const TOPIC = "events";
const PARTITIONS = 2;
const KEYS = 4;
const MAX_DELIVERIES = 4;
const LOOK_MS = 40;
const PASSING = '"pass":true';

const ORDERS: readonly Order[] = ["key", "partition", "none"];
/** The first is in order and gets all records, the second only some of them. */
const NAMES = ["ordered", "some"] as const;
type Name = (typeof NAMES)[number];

export class WebhookTeam {
  readonly #cluster: SimCluster;
  readonly #admin: SimClient;
  readonly #producer: SimClient;
  readonly #order: Order;
  readonly #ledgers: Readonly<Record<Name, WebhookLedger>>;
  /** Records that were acknowledged. */
  #produced = 0;
  #work: Promise<unknown> = Promise.resolve();
  #isCalm = false;
  #stopped = false;
  shown = "nothing was described";
  readonly #isOver = (): boolean => this.#stopped;

  constructor(cluster: SimCluster, clientOf: (name: string) => SimClient) {
    this.#cluster = cluster;
    this.#admin = clientOf("webhooks admin");
    this.#producer = clientOf("webhooks producer");
    this.#order = ORDERS[cluster.plan.seed % ORDERS.length] ?? "none";
    this.#ledgers = {
      ordered: new WebhookLedger("ordered", MAX_DELIVERIES, this.#order),
      some: new WebhookLedger("some", MAX_DELIVERIES, "none"),
    };
    if (cluster.receiver === null) throw new Error("the plan has no receiver");
    cluster.receiver.rules = {
      sent: (node, request) => this.#guarded(() => this.#sent(node, request)),
      answered: (request) => this.#ledgerOf(request).answered(placeOf(request), this.#now()),
      count: (effect) => cluster.count(effect),
    };
  }

  async create(): Promise<void> {
    await insist(this.#admin, this.#isOver, async (node) => {
      const created = await node.createTopic(TOPIC, PARTITIONS);
      return created.ok || created.code === "topic_exists" ? { ok: true } : created;
    });
    for (const name of NAMES) {
      await insist(this.#admin, this.#isOver, (node) =>
        node.webhooks.define(name, this.#definition(name, 300, 4)),
      );
      this.#ledgers[name].rotating();
      const { secret } = await insist(this.#admin, this.#isOver, (node) =>
        node.webhooks.rotate(name),
      );
      this.#ledgers[name].rotated(secret);
    }
  }

  run(): Promise<unknown> {
    this.#work = Promise.all([this.#produce(), this.#administer()]);
    return this.#work;
  }

  stop(): void {
    this.#isCalm = true;
    this.#stopped = true;
  }

  /** All records are delivered, dead or left out. */
  async settle(): Promise<void> {
    this.#isCalm = true;
    if (this.#cluster.receiver !== null) this.#cluster.receiver.isCalm = true;
    // A record that is still being produced would follow when all others are delivered.
    await this.#work;
    for (const name of NAMES) {
      for (;;) {
        const described = await insist(this.#admin, this.#isOver, async (node) => {
          if ((await node.catchUp()) !== null) return { ok: false };
          return await node.webhooks.describeWebhook(name);
        });
        const { ready, inFlight, delayed, acked, dead, filtered, paused } = described;
        this.shown = JSON.stringify({ name, ready, inFlight, delayed, acked, dead, filtered });
        if (paused !== null) await this.#resume(name);
        const isDone = acked + dead + filtered >= this.#produced;
        if (isDone && paused === null && ready + inFlight + delayed === 0) break;
        await this.#admin.sleep(LOOK_MS);
      }
    }
  }

  /** @throws BrokenRule */
  async judge(node: Node): Promise<void> {
    const rows = (await rowsOf(node, TOPIC, PARTITIONS)).map(
      ({ partition, offset, key, value }) => ({
        ...{ place: `${partition}/${offset}`, key, value },
      }),
    );
    const { effects } = this.#cluster;
    const add = (what: string, many: number) => effects.set(what, (effects.get(what) ?? 0) + many);
    for (const name of NAMES) {
      const described = await node.webhooks.describeWebhook(name);
      if (!described.ok) throw new Error(described.code);
      const dead = (await rowsOf(node, `${name}.dead`, PARTITIONS)).map(({ headers }) => ({
        place: `${headers["dead-partition"]}/${headers["dead-offset"]}`,
        attempts: Number(headers["dead-attempts"]),
      }));
      const ledger = this.#ledgers[name];
      const passing = rows.map((row) => ({
        ...row,
        passes: name === "ordered" || row.value.includes(PASSING),
      }));
      ledger.finish(passing, dead, described);
      add("webhook deliveries", ledger.deliveries);
      add("webhook records repeated", ledger.repeated);
      add("webhook dead letters", dead.length);
      add("webhook records left out", described.filtered);
    }
    add("webhooks judged", 1);
  }

  #definition(name: Name, timeoutMs: number, maxInFlight: number): WebhookDefinition {
    return {
      topic: TOPIC,
      url: `https://receiver.example/${name}`,
      filter: name === "some" ? '[{"field":"pass","op":"eq","value":true}]' : "",
      format: this.#cluster.plan.seed % 2 === 0 ? "raw" : "cloudevents",
      order: name === "ordered" ? this.#order : "none",
      maxInFlight,
      timeoutMs,
      maxDeliveries: MAX_DELIVERIES,
      backoffMs: [30, 120],
      deadLetter: `${name}.dead`,
      headers: new Uint8Array(0),
      from: "earliest",
    };
  }

  async #produce(): Promise<void> {
    const { random } = this.#producer;
    for (let i = 0; !this.#isCalm; i++) {
      await this.#producer.sleep(random.below(80));
      const key = utf8(`k${random.below(KEYS)}`);
      const value = utf8(`{"i":${i},"pass":${random.below(3) > 0}}`);
      const request = {
        topic: TOPIC,
        partition: random.below(PARTITIONS),
        key,
        idempotencyKey: utf8(`event ${i}`),
        records: encodeRecord(key, value),
      };
      const done = await until(this.#producer, this.#isOver, (node) =>
        produced(node, { ...request, timeoutMs: null, rocket: false }),
      );
      if (done?.synced === true && this.#isProven) this.#produced++;
    }
  }

  /** Answers with a weaker concern promise nothing. */
  get #isProven(): boolean {
    return this.#cluster.plan.writeConcern.kind !== "appended";
  }

  async #administer(): Promise<void> {
    const { random } = this.#admin;
    while (!this.#isCalm) {
      await this.#admin.sleep(random.below(400));
      const name = random.pick(NAMES);
      const dice = random.below(10);
      if (dice < 3) await this.#pause(name);
      else if (dice < 5) await this.#rotate(name);
      else if (dice < 7) await this.#redefine(name);
      else await this.#resumeIfGone(name);
    }
  }

  async #pause(name: Name): Promise<void> {
    const { random } = this.#admin;
    // The leader of the answer, and the term in which it has applied the pause.
    const reply = await this.#admin.call(this.#admin.pick(), async (node) => {
      const answer = await node.webhooks.pause(name);
      return { ...answer, term: node.health().term };
    });
    if (reply?.value.ok === true && this.#isProven) {
      this.#ledgers[name].paused(reply.value.term, this.#now());
      this.#cluster.count("webhook paused");
    }
    await this.#admin.sleep(random.below(500));
    await this.#resume(name);
  }

  async #resume(name: Name): Promise<void> {
    this.#ledgers[name].resuming();
    await until(this.#admin, this.#isOver, (node) => node.webhooks.resume(name));
  }

  /** Once, so that it is known whether a secret is missing. */
  async #rotate(name: Name): Promise<void> {
    this.#ledgers[name].rotating();
    const reply = await this.#admin.call(this.#admin.pick(), (node) => node.webhooks.rotate(name));
    if (outcomeOf(reply) === "unknown" || reply === null) return;
    const secret = reply.value.ok ? reply.value.secret : null;
    this.#ledgers[name].rotated(secret);
    if (secret !== null) this.#cluster.count("webhook secret rotated");
  }

  async #redefine(name: Name): Promise<void> {
    const { random } = this.#admin;
    const definition = this.#definition(name, random.pick([200, 300]), random.pick([1, 4]));
    await this.#admin.call(this.#admin.pick(), (node) => node.webhooks.define(name, definition));
  }

  async #resumeIfGone(name: Name): Promise<void> {
    const reply = await this.#admin.call(this.#admin.pick(), async (node) => {
      return await node.webhooks.describeWebhook(name);
    });
    if (reply?.value.ok !== true || reply.value.paused?.reason !== "gone") return;
    this.#cluster.count("webhook paused by its receiver");
    await this.#resume(name);
  }

  #sent(id: string, request: SenderRequest): void {
    const ledger = this.#ledgerOf(request);
    const { headers } = request;
    const webhookId = headers["webhook-id"] ?? "";
    ledger.sent({
      place: placeOf(request),
      key: headers["ayder-key"] ?? "",
      attempt: Number(headers["ayder-attempt"]),
      id: webhookId,
      term: this.#cluster.node(id).node?.health().term ?? 0,
      at: this.#now(),
    });
    const body = typeof request.body === "string" ? utf8(request.body) : request.body;
    ledger.verify(
      {
        id: webhookId,
        timestamp: headers["webhook-timestamp"] ?? "",
        signature: headers["webhook-signature"] ?? "",
        body,
      },
      !this.#cluster.plan.faults.includes("clock-jump"),
    );
  }

  /** A broken rule is a violation, and nothing that a leader has to deal with. */
  #guarded(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#cluster.fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #ledgerOf({ url }: SenderRequest): WebhookLedger {
    return this.#ledgers[url.endsWith("/ordered") ? "ordered" : "some"];
  }

  #now(): number {
    return this.#cluster.queue.elapsedMs;
  }
}

const placeOf = ({ headers }: SenderRequest): string =>
  `${headers["ayder-partition"]}/${headers["ayder-offset"]}`;

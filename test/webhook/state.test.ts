/** Webhooks in the replicated state: commands, snapshots, and the bytes of both. */
import { expect, test } from "bun:test";
import { applyCreateTopic } from "../../src/broker/commands/create-topic.ts";
import { applyDeleteTopic } from "../../src/broker/commands/delete-topic.ts";
import { ByteReader, ByteWriter, DecodeError, utf8 } from "../../src/lib/bytes.ts";
import { appendCommand } from "../../src/lib/command-kind.ts";
import type { Millis } from "../../src/lib/ids.ts";
import { decodeEntry } from "../../src/machine/command-codec.ts";
import { type Command, kindOf } from "../../src/machine/commands.ts";
import { endDue, nextDueAt } from "../../src/machine/due.ts";
import { Machine } from "../../src/machine/machine.ts";
import { emptyState, type MachineState } from "../../src/machine/state.ts";
import { QUEUES_MAX, type QueueDefinition } from "../../src/queue/definition.ts";
import type { Offset } from "../../src/record/offset.ts";
import {
  SECRET_OVERLAP_MS,
  WEBHOOKS_MAX,
  type WebhookDefinition,
} from "../../src/webhook/definition.ts";
import { webhooksPart } from "../../src/webhook/part.ts";
import { findWebhook, signingSecrets, type Webhook } from "../../src/webhook/state.ts";
import { entryOf, RecordedEffects } from "../tools/machine/support.ts";
import { AppendedEffects } from "../tools/queue/bench.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

const DEFINITION: WebhookDefinition = {
  topic: "orders",
  url: "https://example.com/hook",
  filter: "",
  format: "raw",
  order: "none",
  maxInFlight: 16,
  timeoutMs: 15_000,
  maxDeliveries: 10,
  backoffMs: [1_000, 10_000],
  deadLetter: null,
  headers: new Uint8Array(0),
  from: "earliest",
};
const secretOf = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);

class WebhookBench {
  readonly state: MachineState = emptyState();
  readonly effects = new AppendedEffects();

  constructor(...topics: readonly string[]) {
    this.state.now = 1_000 as Millis;
    for (const name of topics.length === 0 ? ["orders"] : topics) this.createTopic(name);
  }

  createTopic(name: string): void {
    const command = { type: "create_topic", name, partitions: 2 } as const;
    applyCreateTopic(this.state.broker, command, this.effects);
  }

  /** Applies the command as it comes out of an entry. */
  do(command: Command) {
    const [decoded] = decodeEntry(entryOf(this.state.now, command)).commands;
    return kindOf(command.type).apply(this.state, decoded as Command, new RecordedEffects());
  }

  define(definition: Partial<WebhookDefinition> = {}, name = "w", secret = secretOf(1)) {
    return this.do({
      type: "define_webhook",
      name,
      definition: { ...DEFINITION, ...definition },
      secret,
    });
  }

  find(name = "w") {
    return findWebhook(this.state, this.state.broker, name);
  }

  get webhook(): Webhook {
    return this.find()?.webhook as Webhook;
  }

  produce(count: number, partition = 0): void {
    const its = this.state.broker.topicsByName.get("orders")?.partitions[partition];
    if (its !== undefined) its.endOffset = (its.endOffset + count) as Offset;
  }
}

const created = (yes: boolean) => ({ ok: true, type: "define_webhook", created: yes }) as const;
const refused = <Code extends string>(
  code: Code,
  details: Readonly<Record<string, string | number>> = {},
) => ({ ok: false, code, details }) as const;

test("a definition makes the webhook and its queue; the same one again changes nothing", () => {
  const bench = new WebhookBench();
  expect(bench.define()).toEqual(created(true));
  const { webhook, queue } = bench.find() as NonNullable<ReturnType<WebhookBench["find"]>>;
  expect(queue.name).toBe("webhook:w");
  expect(queue.definition).toMatchObject({ visibilityMs: 20_000, order: "none", maxInFlight: 16 });
  const { version } = bench.state.parts.webhooks;
  expect(bench.define({}, "w", secretOf(2))).toEqual(created(false));
  expect(bench.state.parts.webhooks.version).toBe(version);
  expect(bench.webhook).toBe(webhook);
  expect(bench.define({ url: "https://example.com/2", timeoutMs: 1 }, "w", secretOf(2))).toEqual(
    created(false),
  );
  expect(bench.webhook.secret).toEqual({ bytes: secretOf(1), createdAt: 1_000 });
  expect(bench.find()?.queue.definition.visibilityMs).toBe(5_001);
});

test("topic, order and start stay, and the topic must exist", () => {
  const bench = new WebhookBench("orders", "other");
  expect(bench.define({ topic: "none" })).toEqual(refused("topic_not_found"));
  expect(bench.find()).toBeUndefined();
  bench.define({ order: "key" });
  const { queue } = bench.find() ?? {};
  expect(queue?.definition.order).toBe("key");
  for (const [change, field] of [
    [{ topic: "other", order: "key" }, "topic"],
    [{ order: "none" }, "order"],
    [{ order: "partition" }, "order"],
    [{ order: "key", from: "latest" }, "from"],
  ] as const) {
    expect(bench.define(change)).toEqual(refused("webhook_exists", { field }));
  }
});

test("webhooks have a bound of their own and take no room from the queues of clients", () => {
  const bench = new WebhookBench();
  for (let i = 0; i < WEBHOOKS_MAX; i++) expect(bench.define({}, `w${i}`).ok).toBe(true);
  expect(bench.define({}, "more")).toEqual(
    refused("too_many_webhooks", { webhooks_max: WEBHOOKS_MAX }),
  );
  const definition: QueueDefinition = {
    ...{ topic: "orders", visibilityMs: 1, maxDeliveries: 1, backoffMs: [1], deadLetter: null },
    ...({ order: "none", maxInFlight: 1, from: "earliest" } as const),
  };
  const queue = (name: string) => bench.do({ type: "define_queue", name, definition });
  for (let i = 0; i < QUEUES_MAX; i++) expect(queue(`q${i}`).ok).toBe(true);
  expect(queue("more")).toEqual(refused("too_many_queues", { queues_max: QUEUES_MAX }));
});

test("a deleted topic takes its webhook with it, and a later one is another webhook", () => {
  const bench = new WebhookBench();
  bench.define();
  const { queueId } = bench.webhook;
  applyDeleteTopic(bench.state, { type: "delete_topic", name: "orders" }, bench.effects);
  expect(bench.find()).toBeUndefined();
  expect(bench.do({ type: "delete_webhook", name: "w" })).toEqual(refused("webhook_not_found"));
  bench.createTopic("orders");
  expect(bench.find()).toBeUndefined();
  expect(bench.define({}, "w", secretOf(7))).toEqual(created(true));
  expect(bench.webhook.secret.bytes).toEqual(secretOf(7));
  expect(bench.webhook.queueId).toBeGreaterThan(queueId);
  expect(bench.state.parts.queues.byName.size).toBe(1);
  // A command for the former one does not change it.
  expect(bench.do({ type: "pause_webhook", name: "w", queueId, reason: "gone" })).toEqual(
    refused("webhook_not_found"),
  );
  expect(bench.do({ type: "delete_webhook", name: "w" })).toMatchObject({ ok: true });
  expect(bench.state.parts.webhooks.byName.size).toBe(0);
  expect(bench.state.parts.queues.byName.size).toBe(0);
});

test("the first reason of a pause stays until the webhook is resumed", () => {
  const bench = new WebhookBench();
  bench.define();
  const pause = (reason: "requested" | "gone" | null) =>
    bench.do({ type: "pause_webhook", name: "w", queueId: null, reason });
  const changed = (yes: boolean) => ({ ok: true, type: "pause_webhook", changed: yes }) as const;
  expect(pause(null)).toEqual(changed(false));
  expect(pause("gone")).toEqual(changed(true));
  bench.state.now = 2_000 as Millis;
  expect(pause("requested")).toEqual(changed(false));
  expect(bench.webhook.paused).toEqual({ at: 1_000, reason: "gone" });
  expect(pause(null)).toEqual(changed(true));
  expect(bench.webhook.paused).toBeNull();
});

test("two secrets sign for a day after a rotation, and the former one is forgotten then", () => {
  const bench = new WebhookBench();
  bench.define();
  const rotate = (fill: number) =>
    bench.do({ type: "rotate_secret", name: "w", secret: secretOf(fill) });
  const until = 1_000 + SECRET_OVERLAP_MS;
  expect(rotate(2)).toEqual({ ok: true, type: "rotate_secret", previousUntil: until as Millis });
  expect(signingSecrets(bench.webhook, until - 1)).toEqual([secretOf(2), secretOf(1)]);
  expect(signingSecrets(bench.webhook, until)).toEqual([secretOf(2)]);
  bench.state.now = 5_000 as Millis;
  rotate(3);
  expect(signingSecrets(bench.webhook, 5_000)).toEqual([secretOf(3), secretOf(2)]);
  expect(nextDueAt(bench.state)).toBe(5_000 + SECRET_OVERLAP_MS);
  bench.state.now = (5_000 + SECRET_OVERLAP_MS) as Millis;
  expect(endDue(bench.state, new RecordedEffects()).at(-1)).toBe(1);
  expect(bench.webhook.previous).toBeNull();
  expect(nextDueAt(bench.state)).toBe(Number.POSITIVE_INFINITY);
  rotate(4);
  bench.do({ type: "delete_webhook", name: "w" });
  expect(nextDueAt(bench.state)).toBe(Number.POSITIVE_INFINITY);
});

test("records that the filter leaves out are finished, unless they were given out or do not exist", () => {
  const bench = new WebhookBench();
  bench.define();
  bench.produce(10);
  const { queueId } = bench.webhook;
  const candidates = [{ partition: 0, offset: 2, key: 0 }];
  bench.do({ type: "receive", queueId, visibilityMs: 100, candidates });
  const skip = (...runs: [number, number][]) =>
    bench.do({ type: "skip_records", name: "w", queueId, partition: 0, runs });
  const skipped = (count: number) => ({ ok: true, type: "skip_records", skipped: count }) as const;
  expect(skip([0, 4], [6, 1])).toEqual(skipped(4));
  const partition = bench.find()?.queue.partitions[0];
  expect(partition?.low).toBe(2);
  expect(skip([0, 4], [8, 5])).toEqual(skipped(2));
  expect(bench.webhook.filtered).toBe(6);
  expect(bench.find()?.queue.acked).toBe(0);
  const leases = [{ partition: 0, offset: 2, attempt: 1 }];
  bench.do({ type: "ack_messages", queueId, leases });
  expect(partition?.low).toBe(4);
  expect(skip([4, 2], [7, 1])).toEqual(skipped(3));
  expect(partition?.low).toBe(10);
  expect(
    bench.do({ type: "skip_records", name: "w", queueId: 99, partition: 0, runs: [] }),
  ).toEqual(refused("webhook_not_found"));
});

/** Old entries must stay readable: these bytes may gain lines, but none may change. */
const GOLDEN: readonly [Command, string][] = [
  [
    { type: "define_webhook", name: "w", secret: utf8("s"), definition: DEFINITION },
    "6431 0177 0173 066f7264657273 1868747470733a2f2f6578616d706c652e636f6d2f686f6f6b 00 00 00 10 9875 0a 02 e807 904e 00",
  ],
  [
    {
      type: "define_webhook",
      name: "w",
      secret: utf8("s"),
      definition: {
        ...DEFINITION,
        ...{ filter: "[1]", format: "cloudevents", order: "partition", deadLetter: "d" },
        ...{ backoffMs: [0], headers: utf8("h"), from: "latest" },
      },
    },
    "6434 0177 0173 066f7264657273 1868747470733a2f2f6578616d706c652e636f6d2f686f6f6b 035b315d 07 0164 02 10 9875 0a 01 00 0168",
  ],
  [{ type: "delete_webhook", name: "w" }, "6502 0177"],
  [{ type: "pause_webhook", name: "w", queueId: 300, reason: "gone" }, "6605 0177 ac02 02"],
  [{ type: "pause_webhook", name: "w", queueId: null, reason: null }, "6604 0177 00 00"],
  [{ type: "rotate_secret", name: "w", secret: utf8("s") }, "6704 0177 0173"],
  [
    {
      type: "skip_records",
      ...{ name: "w", queueId: 1, partition: 2 },
      runs: [
        [5, 3],
        [10, 1],
      ],
    },
    "6808 0177 01 02 05 03 02 01",
  ],
];

test("the bytes of commands, and what they mean", () => {
  for (const [command, hex] of GOLDEN) {
    const writer = new ByteWriter();
    appendCommand(writer, kindOf(command.type), command as never);
    expect(Buffer.from(writer.view()).toString("hex")).toBe(hex.replaceAll(" ", ""));
    const [decoded] = decodeEntry(entryOf(0, command)).commands;
    expect(decoded).toEqual(command);
  }
});

test("damaged bytes are no command", () => {
  const skip = kindOf("skip_records");
  const decode = (kind: typeof skip, hex: string) => {
    const bytes = new Uint8Array(Buffer.from(hex.replaceAll(" ", ""), "hex"));
    return () => kind.decode(new ByteReader(bytes), bytes.length);
  };
  expect(decode(skip, "0177 01 02 05 914e")).toThrow(DecodeError);
  expect(decode(kindOf("pause_webhook"), "0177 00 03")).toThrow(DecodeError);
  const define = kindOf("define_webhook");
  expect(decode(define, "0177 0173 0174 0175 00 00 03")).toThrow("unknown order of a webhook");
  expect(decode(define, "0177 0173 0174 0175 00 08")).toThrow("flags 8");
});

test("a snapshot without webhooks has no section of them, and the form of one stays", () => {
  const bench = new WebhookBench();
  expect([...sectionsOf(bench.state)]).toEqual([]);
  bench.define({}, "w", utf8("s"));
  bench.do({ type: "rotate_secret", name: "w", secret: utf8("t") });
  bench.do({ type: "pause_webhook", name: "w", queueId: null, reason: "gone" });
  const [section, ...more] = sectionsOf(bench.state);
  expect(more).toEqual([]);
  expect(section?.tag).toBe(23);
  expect(Buffer.from(section?.body ?? []).toString("hex")).toBe(
    "01" +
      "01 0177 066f7264657273 1868747470733a2f2f6578616d706c652e636f6d2f686f6f6b 00 00 00 10 9875 0a 02 e807 904e 00 e807 0174 e807 0173 e8bf9929 02 e807 00".replaceAll(
        " ",
        "",
      ),
  );
});

test("a machine comes back from its snapshot with webhooks, their queues and their secrets", () => {
  const machine = new Machine();
  const apply = (...commands: Command[]) =>
    machine.apply(entryOf(5_000, ...commands), new RecordedEffects());
  const definition = { ...DEFINITION, order: "partition" } as const;
  apply(
    { type: "create_topic", name: "orders", partitions: 2 },
    { type: "define_webhook", name: "w", definition, secret: secretOf(1) },
    { type: "rotate_secret", name: "w", secret: secretOf(2) },
  );
  const snapshot = machine.beginSnapshot();
  const chunks: Uint8Array[] = [];
  for (let chunk = snapshot.next(64); chunk !== null; chunk = snapshot.next(64)) chunks.push(chunk);
  const restored = Machine.restore(chunks);
  expect(restored.digest()).toBe(machine.digest());
  const found = findWebhook(restored, restored.broker, "w");
  expect(found?.webhook.definition).toEqual(definition);
  expect(found?.queue.name).toBe("webhook:w");
  expect(signingSecrets(found?.webhook as Webhook, 5_000)).toEqual([secretOf(2), secretOf(1)]);
  expect(nextDueAt(restored)).toBe(5_000 + SECRET_OVERLAP_MS);
});

const sectionsOf = ({ parts }: MachineState) => {
  const capture = webhooksPart.capture(parts.webhooks);
  return { [Symbol.iterator]: () => capture };
};

const digestOf = (state: MachineState["parts"]["webhooks"]): string => {
  const writer = new ByteWriter();
  webhooksPart.digest(state, { writer, flush: () => undefined });
  return Buffer.from(writer.view()).toString("hex");
};

/** A webhook in the simplest words. */
type Model = {
  secrets: { fill: number; until: number }[];
  paused: string | null;
  filtered: Set<string>;
  url: string;
};

/** Does one random thing to both. */
class Run {
  readonly bench = new WebhookBench();
  readonly models = new Map<string, Model>();
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
    this.bench.produce(20);
    this.bench.produce(20, 1);
  }

  step(): void {
    const { state } = this.bench;
    state.now = (state.now + this.#random.below(SECRET_OVERLAP_MS / 4)) as Millis;
    const name = this.#random.pick(["a", "b", "c"]);
    const model = this.models.get(name);
    this.#random.pick([
      () => this.#define(name, model),
      () => this.#define(name, model),
      () => this.#delete(name),
      () => this.#rotate(name, model),
      () => this.#rotate(name, model),
      () => this.#pause(name, model),
      () => this.#pause(name, model),
      () => this.#skip(name, model),
      () => endDue(state, new RecordedEffects()),
    ])();
  }

  #define(name: string, model: Model | undefined): void {
    const url = `https://example.com/${this.#random.below(3)}`;
    const fill = this.#random.below(256);
    const defined = this.bench.define({ url }, name, secretOf(fill));
    expect(defined).toEqual(created(model === undefined));
    if (model !== undefined) model.url = url;
    else {
      const secrets = [{ fill, until: Number.POSITIVE_INFINITY }];
      this.models.set(name, { secrets, paused: null, filtered: new Set(), url });
    }
  }

  #delete(name: string): void {
    const { ok } = this.bench.do({ type: "delete_webhook", name });
    expect(ok).toBe(this.models.delete(name));
  }

  #rotate(name: string, model: Model | undefined): void {
    const fill = this.#random.below(256);
    const { ok } = this.bench.do({ type: "rotate_secret", name, secret: secretOf(fill) });
    expect(ok).toBe(model !== undefined);
    const [newest] = model?.secrets ?? [];
    if (model === undefined || newest === undefined) return;
    newest.until = this.bench.state.now + SECRET_OVERLAP_MS;
    model.secrets = [{ fill, until: Number.POSITIVE_INFINITY }, newest];
  }

  #pause(name: string, model: Model | undefined): void {
    const reason = this.#random.pick(["requested", "gone", null] as const);
    this.bench.do({ type: "pause_webhook", name, queueId: null, reason });
    if (model !== undefined) model.paused = reason === null ? null : (model.paused ?? reason);
  }

  #skip(name: string, model: Model | undefined): void {
    const queueId = this.bench.find(name)?.webhook.queueId ?? 1;
    const partition = this.#random.below(2);
    const [first, length] = [this.#random.below(30), this.#random.below(10)];
    this.bench.do({ type: "skip_records", name, queueId, partition, runs: [[first, length]] });
    const end = Math.min(first + length, 20);
    for (let at = first; at < end; at++) model?.filtered.add(`${partition}/${at}`);
  }
}

test("random commands: webhooks are as their model, and a snapshot is the state", () => {
  forEachSeed(200, (random) => {
    const run = new Run(random);
    const { bench, models } = run;
    for (let i = 0; i < 60; i++) {
      run.step();
      const { now } = bench.state;
      for (const name of ["a", "b", "c"]) {
        const webhook = bench.find(name)?.webhook;
        const model = models.get(name);
        expect(webhook === undefined).toBe(model === undefined);
        if (webhook === undefined || model === undefined) continue;
        expect(signingSecrets(webhook, now)).toEqual(
          model.secrets.filter(({ until }) => until > now).map(({ fill }) => secretOf(fill)),
        );
        expect([webhook.paused?.reason ?? null, webhook.filtered, webhook.definition.url]).toEqual([
          model.paused,
          model.filtered.size,
          model.url,
        ]);
      }
    }
    const { webhooks } = bench.state.parts;
    const restorer = webhooksPart.restorer({});
    for (const { tag, body } of sectionsOf(bench.state))
      restorer.section(tag, new ByteReader(body));
    const restored = restorer.finish();
    expect(digestOf(restored)).toBe(digestOf(webhooks));
    expect(restored.due.nextAt()).toBe(webhooks.due.nextAt());
    expect(webhooksPart.counts(restored)).toEqual(webhooksPart.counts(webhooks));
  });
});

import type { Records } from "../../../src/broker/records.ts";
import type { AppendStream } from "../../../src/durable/commands/append-stream.ts";
import type { CreateStream } from "../../../src/durable/commands/create-stream.ts";
import { NO_RECORDS } from "../../../src/durable/records.ts";
import type { SubscriptionConfig } from "../../../src/durable/subscriptions/state.ts";
import { utf8 } from "../../../src/lib/bytes.ts";
import type { Command, CommandResult } from "../../../src/machine/commands.ts";
import { Bench } from "../machine/support.ts";
import type { Random } from "../random.ts";

/** Stands for encoded batches: the machine only counts records. */
export const recordsOf = (...values: readonly string[]): Records =>
  values.length === 0
    ? NO_RECORDS
    : {
        count: values.length,
        logicalBytes: values.join("").length,
        batches: utf8(values.join("|")),
      };

export const createOf = (
  path: string,
  fields: Partial<Omit<CreateStream, "type" | "path">> = {},
): CreateStream => ({
  type: "create_stream",
  path,
  contentType: "text/plain",
  ttlSeconds: null,
  expiresAt: null,
  closed: false,
  fork: null,
  records: NO_RECORDS,
  ...fields,
});

export const appendOf = (
  path: string,
  fields: Partial<Omit<AppendStream, "type" | "path">> = {},
): AppendStream => ({
  type: "append_stream",
  path,
  contentType: "text/plain",
  seq: null,
  producer: null,
  close: false,
  records: recordsOf("x"),
  ...fields,
});

export const subscriptionOf = (
  id: string,
  fields: Partial<Omit<SubscriptionConfig, "id">> = {},
): Command => ({
  type: "put_subscription",
  config: {
    id,
    kind: "webhook",
    pattern: "events/*",
    streams: [],
    webhookUrl: "https://example.com/hook",
    wakeStream: null,
    leaseMs: 1_000,
    description: null,
    origin: "http://localhost:1109",
    ...fields,
  },
  keys: { signing: new Uint8Array(32).fill(1), token: new Uint8Array(32).fill(2) },
});

/** A machine with streams. */
export class StreamBench extends Bench {
  get durable() {
    return this.machine.parts.durable;
  }

  stream(path: string) {
    const stream = this.durable.byPath.get(path);
    if (stream === undefined) throw new Error(`no stream ${path}`);
    return stream;
  }

  create(path: string, fields: Parameters<typeof createOf>[1] = {}): CommandResult {
    return this.do(createOf(path, fields));
  }

  append(path: string, fields: Parameters<typeof appendOf>[1] = {}): CommandResult {
    return this.do(appendOf(path, fields));
  }

  /** @param from path of the source, whose id is looked up. */
  fork(
    path: string,
    from: string,
    fork: { offset?: number | null; sub?: number; hasPrefix?: boolean } = {},
    fields: Parameters<typeof createOf>[1] = {},
  ): CommandResult {
    const streamId = this.durable.byPath.get(from)?.streamId ?? 0;
    const { offset = null, sub = 0, hasPrefix = false } = fork;
    const request = { path: from, streamId, offset, sub, hasPrefix };
    return this.do(createOf(path, { contentType: "", fork: request, ...fields }));
  }
}

const PATHS = ["a", "b", "events/1", "events/2", "wake"];
const pathOf = (random: Random): string => random.pick(PATHS);
const IDS = ["s", "t", "__proto__"];

const MAKERS: readonly ((random: Random) => Command)[] = [
  (random) =>
    createOf(pathOf(random), {
      ttlSeconds: random.pick([null, null, 0, 1, 60]),
      contentType: random.pick(["text/plain", "application/json"]),
      records: recordsOf(...["x", "y", "z"].slice(random.below(4))),
    }),
  (random) =>
    createOf(pathOf(random), {
      contentType: "",
      fork: {
        path: pathOf(random),
        streamId: 1 + random.below(12),
        offset: random.pick([null, 0, 1, 2]),
        sub: random.below(2),
        hasPrefix: random.below(2) === 0,
      },
    }),
  randomAppend,
  randomAppend,
  randomAppend,
  (random) => ({ type: "delete_stream", path: pathOf(random) }),
  (random) => ({
    type: "touch_streams",
    streamIds: [1 + random.below(20), 1 + random.below(20)],
  }),
  (random) =>
    subscriptionOf(random.pick(IDS), {
      kind: random.pick(["webhook", "pull-wake"]),
      wakeStream: "wake",
      pattern: random.pick([null, "events/*", "**"]),
      streams: random.pick([[], ["a"], ["a", "b"]]),
    }),
  (random) => ({ type: "delete_subscription", id: random.pick(IDS) }),
  (random) => ({
    type: "link_streams",
    id: random.pick(IDS),
    paths: [pathOf(random)],
    unlink: random.below(2) === 0,
  }),
  (random) => ({ type: "claim_wake", id: random.pick(IDS), worker: "worker" }),
  (random) => {
    const generation = 1 + random.below(3);
    return {
      type: "settle_wake",
      id: random.pick(IDS),
      pull: random.below(2) === 0,
      wakeId: `w_${1 + random.below(4)}_${generation}`,
      generation,
      acks: [],
      done: random.below(2) === 0,
    };
  },
  (random) => ({
    type: "note_delivery",
    id: random.pick(IDS),
    serial: 1 + random.below(4),
    generation: 1 + random.below(4),
    outcome: random.pick(["taken", "done", "failed"]),
    retryInMs: random.below(3000),
  }),
  () => ({ type: "tick" }),
];

function randomAppend(random: Random): Command {
  const id = random.pick(["p", "q"]);
  return appendOf(pathOf(random), {
    contentType: random.pick(["text/plain", "application/json"]),
    seq: random.below(3) === 0 ? String(random.below(100)) : null,
    producer: random.below(2) === 0 ? { id, epoch: random.below(2), seq: random.below(3) } : null,
    close: random.below(8) === 0,
  });
}

/** Any command of streams and subscriptions. */
export const randomStreamCommand = (random: Random): Command => random.pick(MAKERS)(random);

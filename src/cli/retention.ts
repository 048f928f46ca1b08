/** `ayder retention`: lists the limits of age and size, and sets them. */

import type { RetentionPolicy } from "../client/index.ts";
import { type Arguments, type Command, EXIT, type Io, type Option, UsageError } from "./command.ts";
import { connect, jsonLine, SERVER_OPTIONS } from "./server.ts";
import { table } from "./table.ts";
import { durationOf } from "./times.ts";

/** Options of the limits. @param action the action that takes them. */
export const limitOptions = (action: string) =>
  ({
    ttl: {
      type: "string",
      value: "TIME",
      only: [action],
      help: "maximum age: 30s, 5m, 2h, 7d; 0s disables it, `inherit` removes it",
    },
    "ttl-ms": {
      type: "string",
      value: "MS",
      only: [action],
      help: "the same in milliseconds",
    },
    "max-bytes": {
      type: "string",
      value: "BYTES",
      only: [action],
      help: "maximum size of keys and values; 0 disables it, `inherit` removes it",
    },
  }) as const satisfies Readonly<Record<string, Option>>;

const INHERIT = "inherit";

export const RETENTION: Command = {
  name: "retention",
  summary: "list and set limits of age and size",
  actions: [
    { name: "list", operands: "", summary: "list all policies (default)", run: list },
    { name: "set", operands: "<topic>", summary: "set a policy, see the options", run: set },
  ],
  options: {
    ...SERVER_OPTIONS,
    partition: {
      type: "string",
      short: "p",
      value: "N",
      only: ["set"],
      help: "one partition (default: the topic)",
    },
    ...limitOptions("set"),
  },
  notes: [
    "The topic '*' covers all topics, including topics created later. The most specific policy",
    "applies: partition, topic, then '*'. A limit that is removed inherits from the next of them.",
    "Examples: ayder retention set orders --ttl 7d",
    "          ayder retention set orders -p 3 --ttl inherit --max-bytes inherit",
  ],
};

async function list(args: Arguments, io: Io): Promise<number> {
  const policies = await connect(args, io).retention.list();
  await io.out(args.flag("json") ? jsonLine({ policies }) : policyTable(policies));
  return EXIT.ok;
}

export const policyTable = (policies: readonly RetentionPolicy[]): string =>
  table(
    ["TOPIC", "PARTITION", "TTL_MS", "MAX_BYTES"],
    policies.map(({ topic, partition, ttlMs, maxBytes }) => [
      topic,
      partition ?? "all",
      ttlMs ?? "not set",
      maxBytes ?? "not set",
    ]),
  );

/** Null removes a limit. */
type Limits = { readonly ttlMs?: number | null; readonly maxBytes?: number | null };

/** The limits of the options. Undefined if none is given. @throws UsageError */
export function limitsOf(args: Arguments): Limits | undefined {
  const ttl = args.text("ttl");
  if (ttl !== undefined && args.text("ttl-ms") !== undefined) {
    throw new UsageError("--ttl and --ttl-ms exclude each other");
  }
  const ttlMs = ttl === undefined ? limitIn(args, "ttl-ms") : ttlOf(ttl);
  const maxBytes = limitIn(args, "max-bytes");
  if (ttlMs === undefined && maxBytes === undefined) return undefined;
  return {
    ...(ttlMs === undefined ? {} : { ttlMs }),
    ...(maxBytes === undefined ? {} : { maxBytes }),
  };
}

/** Sets the limits of the topic of the first operand. @throws UsageError if none is given. */
export async function set(args: Arguments, io: Io): Promise<number> {
  const topic = args.operand(0);
  const partition = args.integer("partition");
  const limits = limitsOf(args);
  if (limits === undefined) {
    throw new UsageError("nothing to set: give --ttl, --max-bytes or both");
  }
  const policy = { topic, ...(partition === undefined ? {} : { partition }), ...limits };
  await connect(args, io).retention.set(policy);
  await io.out(args.flag("json") ? jsonLine(policy) : `set the retention of ${topic}\n`);
  return EXIT.ok;
}

const ttlOf = (text: string): number | null =>
  text === INHERIT ? null : durationOf("--ttl", text, 0);

/** @returns null to remove the limit. */
function limitIn(args: Arguments, option: string): number | null | undefined {
  return args.text(option) === INHERIT ? null : args.integer(option);
}

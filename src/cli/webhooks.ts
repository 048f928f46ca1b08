/** `ayder webhooks`: lists, shows, creates, updates, tests, pauses and deletes webhooks. */

import type { WebhookDefinition, WebhookDelivery, WebhookSummary } from "../client/index.ts";
import { type Json, JsonNumber } from "../client/json-text.ts";
import { stringifyExact } from "../client/json-values.ts";
import {
  type Arguments,
  type Command,
  EXIT,
  type Io,
  type Option,
  pairOf,
  UsageError,
} from "./command.ts";
import { connect, jsonLine, SERVER_OPTIONS } from "./server.ts";
import { table } from "./table.ts";
import { durationIn, durationsIn } from "./times.ts";
import { type Filter, filtersOf } from "./where.ts";

const DEFINE = ["create", "update"];
const CREATE = ["create"];

const option = (value: string, help: string, only = DEFINE): Option => ({
  type: "string",
  value,
  only,
  help,
});

export const WEBHOOKS: Command = {
  name: "webhooks",
  summary: "list, create, test, pause and delete webhooks; show deliveries",
  actions: [
    { name: "list", operands: "", summary: "list the webhooks (default)", run: list },
    { name: "show", operands: "<webhook>", summary: "show one webhook", run: show },
    {
      name: "create",
      operands: "<webhook> <topic> <address>",
      summary: "deliver the records of a topic to a URL, and print the secret",
      run: create,
    },
    { name: "update", operands: "<webhook>", summary: "change the definition", run: update },
    { name: "test", operands: "<webhook>", summary: "send a message to the receiver", run: test },
    { name: "pause", operands: "<webhook>", summary: "deliver nothing", run: pause },
    { name: "resume", operands: "<webhook>", summary: "deliver again", run: resume },
    { name: "rotate", operands: "<webhook>", summary: "make a new secret", run: rotate },
    {
      name: "deliveries",
      operands: "<webhook>",
      summary: "show the last requests and their answers",
      run: deliveries,
    },
    { name: "redrive", operands: "<webhook>", summary: "move dead letters back", run: redrive },
    {
      name: "purge",
      operands: "<webhook>",
      summary: "finish all present records without delivering them",
      run: purge,
    },
    {
      name: "delete",
      operands: "<webhook>",
      summary: "delete a webhook; its topic stays",
      run: remove,
    },
  ],
  options: {
    ...SERVER_OPTIONS,
    to: option("URL", "another receiver", ["update"]),
    where: { ...option("FILTER", "deliver only these records, as in query"), multiple: true },
    format: option("FORMAT", "raw (default), or cloudevents"),
    order: option("ORDER", "none (default), partition or key", CREATE),
    "max-in-flight": option("N", "requests at a time (default: 16)"),
    timeout: option("TIME", "time for one request, such as 15s (default)"),
    "max-deliveries": option("N", "attempts before a record is put aside (default: 10)"),
    backoff: option("TIMES", "waits after failures, such as 1s,10s,5m"),
    "dead-letter": option("TOPIC", "topic of records that are put aside; none: drop them"),
    header: { ...option("NAME=VALUE", "header of each request"), multiple: true },
    from: option("START", "earliest (default), or latest: only records from now on", CREATE),
    status: option("STATUS", "ok, failed, none, 503, or 5xx", ["deliveries"]),
    limit: option("N", "at most this many (default: 100)", ["deliveries"]),
    max: option("N", "at most this many (default: all)", ["redrive"]),
    yes: {
      type: "boolean",
      only: ["purge", "delete"],
      help: "required, because it cannot be undone",
    },
  },
  notes: ["Example: ayder webhooks create billing orders https://billing.example.com/hook"],
};

async function list(args: Arguments, io: Io): Promise<number> {
  const webhooks = await connect(args, io).webhooks.list();
  if (args.flag("json")) await io.out(jsonLine({ webhooks }));
  else {
    const head = ["WEBHOOK", "TOPIC", "STATE", "READY", "DELAYED", "DEAD", "DELIVERED", "URL"];
    const rows = webhooks.map((each) => [
      each.webhook,
      each.topic,
      stateOf(each),
      each.ready,
      each.delayed,
      each.dead,
      each.delivered,
      each.url,
    ]);
    await io.out(table(head, rows));
  }
  return EXIT.ok;
}

const stateOf = ({ paused, pausedReason }: WebhookSummary): string =>
  !paused ? "active" : pausedReason === "gone" ? "gone" : "paused";

async function show(args: Arguments, io: Io): Promise<number> {
  const webhook = await connect(args, io).webhooks.get(args.operand(0));
  if (args.flag("json")) {
    await io.out(jsonLine(webhook));
    return EXIT.ok;
  }
  const rows = Object.entries(webhook)
    .filter(([name]) => name !== "ok" && name !== "partitions")
    .map(([name, value]) => [
      name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`),
      name.endsWith("AtMs") || name.endsWith("UntilMs") ? timeText(value) : textOf(value),
    ]);
  await io.out(table(["FIELD", "VALUE"], rows));
  return EXIT.ok;
}

const timeText = (ms: unknown): string =>
  typeof ms === "number" ? new Date(ms).toISOString() : "-";
const textOf = (value: unknown): string =>
  typeof value === "object" && value !== null
    ? (stringifyExact(value) ?? "-")
    : String(value ?? "-");

async function create(args: Arguments, io: Io): Promise<number> {
  const [name = "", topic = "", url = ""] = args.operands;
  const definition = { ...changesOf(args), topic, url };
  const { created, secret } = await connect(args, io).webhooks.put(name, definition);
  if (args.flag("json"))
    await io.out(jsonLine({ webhook: name, created, ...(secret && { secret }) }));
  else if (secret !== null) await io.out(`created ${name}\n${secret}\n`);
  else await io.out(`defined ${name}, with the secret that it had\n`);
  return EXIT.ok;
}

async function update(args: Arguments, io: Io): Promise<number> {
  const name = args.operand(0);
  const { webhooks } = connect(args, io);
  const present = await webhooks.get(name);
  const changes = Object.entries(changesOf(args)).filter(([, value]) => value !== undefined);
  if (changes.length === 0) throw new UsageError("webhooks update needs an option that changes it");
  await webhooks.put(name, { ...present, ...Object.fromEntries(changes) });
  if (args.flag("json")) await io.out(jsonLine({ webhook: name, created: false }));
  else await io.out(`updated ${name}\n`);
  return EXIT.ok;
}

/** The fields that options name. */
function changesOf(args: Arguments): Partial<WebhookDefinition> {
  const dead = args.text("dead-letter");
  const filters = args.texts("where").flatMap(filtersOf);
  const headers = args.texts("header");
  return {
    url: args.text("to"),
    filter: filters.length === 0 ? undefined : filters.map(conditionOf),
    format: args.choice("format", ["raw", "cloudevents"]),
    order: args.choice("order", ["none", "partition", "key"]),
    maxInFlight: args.integer("max-in-flight"),
    timeoutMs: durationIn(args, "timeout"),
    maxDeliveries: args.integer("max-deliveries"),
    backoffMs: durationsIn(args, "backoff"),
    deadLetter: dead === "none" ? null : dead,
    headers:
      headers.length === 0
        ? undefined
        : Object.fromEntries(headers.map((text) => pairOf("--header", text))),
    from: args.choice("from", ["earliest", "latest"]),
  } as Partial<WebhookDefinition>;
}

/** The client keeps the digits of long integers if they are a bigint. */
function conditionOf(filter: Filter): NonNullable<WebhookDefinition["filter"]>[number] {
  const plain = (value: Json | undefined): unknown => {
    if (Array.isArray(value)) return value.map(plain);
    if (!(value instanceof JsonNumber)) return value;
    const number = Number(value.text);
    return /^-?\d+$/.test(value.text) && !Number.isSafeInteger(number)
      ? BigInt(value.text)
      : number;
  };
  const fields = [...filter].map(([name, value]) => [name, plain(value)]);
  return Object.fromEntries(fields) as ReturnType<typeof conditionOf>;
}

async function test(args: Arguments, io: Io): Promise<number> {
  const delivery = await connect(args, io).webhooks.test(args.operand(0));
  if (args.flag("json")) await io.out(jsonLine(delivery));
  else await io.out(`${resultOf(delivery)} after ${delivery.durationMs} ms\n${delivery.body}\n`);
  return delivery.outcome === "delivered" ? EXIT.ok : EXIT.refused;
}

const resultOf = ({ status, error }: WebhookDelivery): string =>
  status === null ? (error ?? "no answer") : `status ${status}`;

async function pause(args: Arguments, io: Io): Promise<number> {
  const name = args.operand(0);
  const changed = await connect(args, io).webhooks.pause(name);
  if (args.flag("json")) await io.out(jsonLine({ webhook: name, paused: true, changed }));
  else await io.out(changed ? `paused ${name}\n` : `${name} was paused already\n`);
  return EXIT.ok;
}

async function resume(args: Arguments, io: Io): Promise<number> {
  const name = args.operand(0);
  const changed = await connect(args, io).webhooks.resume(name);
  if (args.flag("json")) await io.out(jsonLine({ webhook: name, paused: false, changed }));
  else await io.out(changed ? `resumed ${name}\n` : `${name} was not paused\n`);
  return EXIT.ok;
}

async function rotate(args: Arguments, io: Io): Promise<number> {
  const name = args.operand(0);
  const rotated = await connect(args, io).webhooks.rotate(name);
  if (args.flag("json")) await io.out(jsonLine({ webhook: name, ...rotated }));
  else {
    const until = timeText(rotated.previousSecretUntilMs);
    await io.out(`${rotated.secret}\nthe former secret signs too until ${until}\n`);
  }
  return EXIT.ok;
}

async function deliveries(args: Arguments, io: Io): Promise<number> {
  const options = { status: args.text("status"), limit: args.integer("limit", 1) };
  const all = await connect(args, io).webhooks.deliveries(args.operand(0), options);
  if (args.flag("json")) for (const each of all) await io.out(jsonLine(each));
  else {
    const head = ["TIME", "RECORD", "ATTEMPT", "OUTCOME", "MS", "ANSWER"];
    const rows = all.map((each) => [
      timeText(each.atMs),
      each.test ? "test" : `${each.partition}/${each.offset}`,
      each.attempt ?? "-",
      each.outcome,
      each.durationMs,
      resultOf(each),
    ]);
    await io.out(table(head, rows));
  }
  return EXIT.ok;
}

async function redrive(args: Arguments, io: Io): Promise<number> {
  const options = { max: args.integer("max", 1) };
  const { moved, remaining } = await connect(args, io).webhooks.redrive(args.operand(0), options);
  if (args.flag("json")) await io.out(jsonLine({ moved, remaining }));
  else await io.out(`moved ${moved} dead letters back, ${remaining} are left\n`);
  return EXIT.ok;
}

async function purge(args: Arguments, io: Io): Promise<number> {
  requireYes(args, "purge");
  const name = args.operand(0);
  const purged = await connect(args, io).webhooks.purge(name);
  if (args.flag("json")) await io.out(jsonLine({ webhook: name, purged }));
  else await io.out(`finished ${purged} records of ${name}\n`);
  return EXIT.ok;
}

function requireYes(args: Arguments, action: string): void {
  if (!args.flag("yes")) throw new UsageError(`webhooks ${action} cannot be undone: add --yes`);
}

async function remove(args: Arguments, io: Io): Promise<number> {
  requireYes(args, "delete");
  const name = args.operand(0);
  await connect(args, io).webhooks.delete(name);
  if (args.flag("json")) await io.out(jsonLine({ webhook: name, deleted: true }));
  else await io.out(`deleted ${name}\n`);
  return EXIT.ok;
}

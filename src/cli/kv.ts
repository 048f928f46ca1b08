/** `ayder kv`: reads and writes keys. */
import { type Arguments, type Command, EXIT, type Io } from "./command.ts";
import { connect, jsonLine, SERVER_OPTIONS } from "./server.ts";
import { bytesText, counted, durationText, table } from "./table.ts";
import { durationIn } from "./times.ts";
import { visible } from "./visible.ts";

export const KV: Command = {
  name: "kv",
  summary: "get, set, list and delete keys and namespaces; compare-and-swap",
  actions: [
    {
      name: "get",
      operands: "<namespace> <key>",
      summary: "print the value; exit with 1 if there is no such key",
      run: get,
    },
    {
      name: "set",
      operands: "<namespace> <key> [value]",
      summary: "set a value (default: standard input)",
      run: set,
    },
    {
      name: "del",
      operands: "<namespace> <key>",
      summary: "delete a key, if it exists",
      run: remove,
    },
    {
      name: "meta",
      operands: "<namespace> <key>",
      summary: "revision, time left, size",
      run: meta,
    },
    {
      name: "list",
      operands: "[namespace] [prefix]",
      summary: "list keys in byte order, or the namespaces",
      run: list,
    },
    {
      name: "drop",
      operands: "<namespace>",
      summary: "delete a namespace with its keys",
      run: drop,
    },
  ],
  options: {
    ...SERVER_OPTIONS,
    cas: {
      type: "string",
      value: "N",
      only: ["set", "del"],
      help: "required revision; 0: the key must not exist",
    },
    ttl: {
      type: "string",
      value: "TIME",
      only: ["set"],
      help: "time to live: 500ms, 30s, 5m, 2h, 7d (default: no expiry)",
    },
    "if-empty": {
      type: "boolean",
      only: ["drop"],
      help: "only if the namespace has no keys",
    },
    limit: {
      type: "string",
      short: "n",
      value: "N",
      only: ["list"],
      help: "print at most this many",
    },
  },
  notes: [
    "Exits with 1 if the key does not exist or has another revision (the error names it).",
    "Example: ayder kv set locks job-7 $HOSTNAME --cas 0 --ttl 30s && run-job-7",
  ],
};

async function get(args: Arguments, io: Io): Promise<number> {
  const [namespace = "", key = ""] = args.operands;
  const entry = await connect(args, io).kv(namespace).get(key, { linearizable: true });
  if (entry === null) return absent(namespace, key, io);
  if (args.flag("json")) {
    const valueB64 = Buffer.from(entry.bytes).toString("base64");
    await io.out(jsonLine({ key, valueB64, cas: entry.cas }));
  } else await io.out(io.isTty ? `${visible(entry.text)}\n` : entry.bytes);
  return EXIT.ok;
}

async function set(args: Arguments, io: Io): Promise<number> {
  const [namespace = "", key = "", given] = args.operands;
  const cas = args.integer("cas");
  const ttlMs = durationIn(args, "ttl");
  const client = connect(args, io);
  const value = given ?? (await readAll(io.stdin));
  const written = await client.kv(namespace).put(key, value, { cas, ttlMs });
  await io.out(args.flag("json") ? jsonLine(written) : `revision ${written.cas}\n`);
  return EXIT.ok;
}

async function remove(args: Arguments, io: Io): Promise<number> {
  const [namespace = "", key = ""] = args.operands;
  const deleted = await connect(args, io)
    .kv(namespace)
    .delete(key, { cas: args.integer("cas") });
  const text = deleted.deleted ? "deleted\n" : "key does not exist\n";
  await io.out(args.flag("json") ? jsonLine(deleted) : text);
  return EXIT.ok;
}

async function drop(args: Arguments, io: Io): Promise<number> {
  const namespace = args.operand(0);
  const ifEmpty = args.flag("if-empty");
  const dropped = await connect(args, io).deleteNamespace(namespace, { ifEmpty });
  const { deleted, keys, bytes } = dropped;
  const text = deleted
    ? `deleted ${namespace} with ${counted(keys, "key")}, ${bytesText(bytes)}\n`
    : `namespace ${namespace} does not exist\n`;
  await io.out(args.flag("json") ? jsonLine(dropped) : text);
  return EXIT.ok;
}

async function meta(args: Arguments, io: Io): Promise<number> {
  const [namespace = "", key = ""] = args.operands;
  const found = await connect(args, io).kv(namespace).meta(key, { linearizable: true });
  if (found === null) return absent(namespace, key, io);
  if (args.flag("json")) await io.out(jsonLine({ key, ...found }));
  else await io.out(keyTable([{ key, ...found }]));
  return EXIT.ok;
}

async function list(args: Arguments, io: Io): Promise<number> {
  const limit = args.integer("limit", 1) ?? Number.POSITIVE_INFINITY;
  const [namespace, prefix] = args.operands;
  const client = connect(args, io);
  if (namespace === undefined) {
    const namespaces = await client.namespaces();
    const rows = namespaces.map((each) => [
      each.namespace,
      each.keys,
      // Older servers do not tell the size.
      typeof each.bytes === "number" ? bytesText(each.bytes) : null,
      each.revision,
    ]);
    const text = table(["NAMESPACE", "KEYS", "SIZE", "LAST REVISION"], rows);
    await io.out(args.flag("json") ? jsonLine({ namespaces }) : text);
    return EXIT.ok;
  }
  const keys: Key[] = [];
  for await (const key of client.kv(namespace).list({ prefix })) {
    keys.push(key);
    if (keys.length >= limit) break;
  }
  await io.out(args.flag("json") ? jsonLine({ keys }) : keyTable(keys));
  return EXIT.ok;
}

type Key = {
  readonly key: string;
  readonly cas: number;
  readonly bytes: number;
  readonly ttlMs: number;
};

const keyTable = (keys: readonly Key[]): string =>
  table(
    ["KEY", "REVISION", "SIZE", "TIME LEFT"],
    keys.map(({ key, cas, bytes, ttlMs }) => [
      key,
      cas,
      bytesText(bytes),
      ttlMs === 0 ? null : durationText(ttlMs),
    ]),
  );

function absent(namespace: string, key: string, io: Io): number {
  io.err(`ayder: key ${visible(JSON.stringify(key))} does not exist in ${visible(namespace)}\n`);
  return EXIT.refused;
}

/** Reads standard input to its end. */
export async function readAll(stdin: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stdin) chunks.push(chunk);
  return Buffer.concat(chunks);
}

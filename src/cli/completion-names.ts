/** Names that complete a command line, asked from the server. */
import type { Client } from "../client/index.ts";
import { Arguments, type Command, EXIT, type Io, type Option } from "./command.ts";
import type { Entry } from "./commands.ts";
import { connect } from "./server.ts";
import { durationOf } from "./times.ts";

/** A shell that waits for longer seems to hang. Counted from the start of the process. */
const WITHIN = "200ms";
const NAMES_MAX = 1000;
/** Other names have no place in a shell, which would have to quote them. */
const NAME = /^[A-Za-z0-9._:/-]{1,249}$/;

/** How the names of each kind are asked: path, list and field of the answer. */
const SOURCES = {
  topic: ["/broker/topics", "topics", "topic"],
  group: ["/broker/groups", "groups", "group"],
  view: ["/broker/views", "views", "view"],
  queue: ["/broker/queues", "queues", "queue"],
  webhook: ["/broker/webhooks", "webhooks", "webhook"],
  schedule: ["/broker/schedules", "schedules", "schedule"],
  stream: ["/v1/stream/__ds/streams", "streams", "path"],
  namespace: ["/kv", "namespaces", "namespace"],
} as const;
type Kind = keyof typeof SOURCES;

const KINDS = Object.keys(SOURCES) as Kind[];

/** The kind of name that the last word of a command line is. */
export type Place = { readonly kind: Kind; readonly url: string | undefined };

/**
 * Prints the names that begin with the last word of `words`, one per line. Prints nothing if the word
 * is not a name, or if the server does not answer in time.
 *
 * @param words of the command line, without the program.
 */
export async function printNames(
  words: readonly string[],
  within: string | undefined,
  entries: readonly Entry[],
  io: Io,
): Promise<number> {
  const leftMs = durationOf("--within", within ?? WITHIN) - performance.now();
  const entry = entries.find(({ name }) => name === words[0]);
  if (entry === undefined || leftMs <= 0) return EXIT.ok;
  const place = placeOf(await entry.load(), words.slice(1));
  if (place === null) return EXIT.ok;
  const prefix = words.at(-1) ?? "";
  const signal = AbortSignal.timeout(Math.ceil(leftMs));
  const names = await namesOf(place, prefix, signal, io).catch(() => []);
  const found = names.filter((name) => name.startsWith(prefix)).slice(0, NAMES_MAX);
  if (found.length > 0) await io.out(`${found.join("\n")}\n`);
  return EXIT.ok;
}

/** Null if the last word is a file, an option or a word of another kind. */
export function placeOf(command: Command, words: readonly string[]): Place | null {
  const last = words.at(-1) ?? "";
  const before = readWords(command, words.slice(0, -1));
  if (before.pending !== null) return placeIn([before.pending], before.url);
  if (last.startsWith("-")) return null;
  return placeIn(wordsOfOperand(command, [...before.operands, last]), before.url);
}

type Words = {
  readonly operands: readonly string[];
  /** The option whose value comes next. */
  readonly pending: string | null;
  readonly url: string | undefined;
};

function readWords(command: Command, words: readonly string[]): Words {
  const operands: string[] = [];
  const values = new Map<string, string>();
  let pending: string | null = null;
  for (const word of words) {
    if (pending !== null) {
      values.set(pending, word);
      pending = null;
      continue;
    }
    if (!word.startsWith("-") || word === "-") {
      operands.push(word);
      continue;
    }
    const [name, value] = optionOf(command, word);
    if (value === undefined) pending = name;
    else if (name !== null) values.set(name, value);
  }
  return { operands, pending, url: values.get("url") };
}

/** The option that the word names, if it takes a value; and the value, if it is in the word. */
function optionOf({ options }: Command, word: string): [string | null, string | undefined] {
  const [, name = "", value] = /^--([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
  const found = Object.entries(options).find(([long, { short }]) =>
    name === "" ? `-${short}` === word : long === name,
  );
  const takesValue = (option: Option | undefined) => option?.type === "string";
  return takesValue(found?.[1]) ? [found?.[0] ?? null, value] : [null, undefined];
}

/** The words of the help for the last operand: `topic`, `json`, `file` of `[topic|json|file]`. */
function wordsOfOperand({ actions }: Command, operands: readonly string[]): readonly string[] {
  const isSingle = actions.length === 1 && actions[0]?.name === "";
  const action = isSingle ? actions[0] : actions.find(({ name }) => name === operands[0]);
  const at = operands.length - (isSingle ? 1 : 2);
  if (action === undefined || at < 0) return [];
  const shapes = action.operands.split(" ");
  const repeated = shapes.at(-1)?.includes("...") === true ? shapes.at(-1) : undefined;
  const shape = shapes[at] ?? repeated ?? "";
  return shape.replaceAll(/[<>[\].]/g, "").split("|");
}

/** `left-topic` is a topic too. */
function placeIn(names: readonly string[], url: string | undefined): Place | null {
  const kind = KINDS.find((each) =>
    names.some((name) => name === each || name.endsWith(`-${each}`)),
  );
  return kind === undefined ? null : { kind, url };
}

async function namesOf(
  { kind, url }: Place,
  prefix: string,
  signal: AbortSignal,
  io: Io,
): Promise<string[]> {
  const client: Client = connect(new Arguments([], { url }), io);
  const [path, list, field] = SOURCES[kind];
  // There may be very many, so the server is asked for those that fit.
  const query = kind === "stream" || kind === "topic" ? { prefix, limit: NAMES_MAX } : {};
  const text = await client.request({ method: "GET", path, query, signal, retryMs: 0 });
  const answer = JSON.parse(text) as Readonly<Record<string, unknown>>;
  const items = answer[list];
  const names = Array.isArray(items) ? items.map((item) => item?.[field] as unknown) : [];
  return names.filter((name): name is string => typeof name === "string" && NAME.test(name)).sort();
}

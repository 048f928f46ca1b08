/** `ayder admin`: takes a checkpoint, and shows how far a node has synced its log. */
import { badAnswer } from "../client/errors.ts";
import { type Arguments, type Command, EXIT, type Io } from "./command.ts";
import { connect, SERVER_OPTIONS } from "./server.ts";
import { bytesText } from "./table.ts";

export const ADMIN: Command = {
  name: "admin",
  summary: "take a checkpoint of a node; show its last synced log index",
  actions: [
    {
      name: "status",
      operands: "",
      summary: "show the last log index that is on its disk (default)",
      run: status,
    },
    {
      name: "compact",
      operands: "",
      summary: "take a checkpoint and delete journal that it makes unnecessary",
      run: compact,
    },
  ],
  options: SERVER_OPTIONS,
  notes: [
    "Both ask one node, the first one of --url that answers, and need the scope `admin`.",
    "A leader retains journal for followers that are down; compact deletes that as well.",
    "Example: ayder admin compact --url http://10.0.0.1:1109",
  ],
};

/** A checkpoint syncs each partition that was written to, which may take this long. */
const COMPACT_WAIT_MS = 120_000;

async function status(args: Arguments, io: Io): Promise<number> {
  const client = connect(args, io);
  const path = "/admin/sealed/status";
  const text = await client.request({ method: "GET", path, signal: io.interrupted });
  const index = numberIn(text, "last_synced_batch_id", client.url);
  await io.out(args.flag("json") ? `${text}\n` : `synced up to index ${index}\n`);
  return EXIT.ok;
}

async function compact(args: Arguments, io: Io): Promise<number> {
  const client = connect(args, io);
  const request = { method: "POST", path: "/admin/compact", repeatable: true } as const;
  const waiting = { waitMs: COMPACT_WAIT_MS, signal: io.interrupted };
  const text = await client.request({ ...request, ...waiting });
  const index = numberIn(text, "checkpoint_index", client.url);
  const freed = bytesText(numberIn(text, "freed_bytes", client.url));
  await io.out(
    args.flag("json") ? `${text}\n` : `checkpoint at index ${index}, ${freed} of journal deleted\n`,
  );
  return EXIT.ok;
}

/** @throws AyderError if the answer does not have this number. */
function numberIn(text: string, field: string, where: string): number {
  try {
    const value = (JSON.parse(text) as Readonly<Record<string, unknown>> | null)?.[field];
    if (typeof value === "number") return value;
  } catch {
    // Reported below.
  }
  throw badAnswer(
    `${where} answered 200, but the answer is not from Ayder: it has no ${field}`,
    200,
    "refused",
  );
}

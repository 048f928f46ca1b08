/** `ayder admin`: takes a checkpoint, and shows how far a node has synced its log. */
import { type Arguments, type Command, EXIT, type Io } from "./command.ts";
import { connect, jsonLine, SERVER_OPTIONS } from "./server.ts";
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

async function status(args: Arguments, io: Io): Promise<number> {
  const index = await connect(args, io).admin.lastSyncedIndex({ signal: io.interrupted });
  const line = jsonLine({ ok: true, last_synced_batch_id: index });
  await io.out(args.flag("json") ? line : `synced up to index ${index}\n`);
  return EXIT.ok;
}

async function compact(args: Arguments, io: Io): Promise<number> {
  const client = connect(args, io);
  const { checkpointIndex, freedBytes } = await client.admin.compact({ signal: io.interrupted });
  const line = jsonLine({ ok: true, checkpoint_index: checkpointIndex, freed_bytes: freedBytes });
  const freed = bytesText(freedBytes);
  const text = `checkpoint at index ${checkpointIndex}, ${freed} of journal deleted\n`;
  await io.out(args.flag("json") ? line : text);
  return EXIT.ok;
}

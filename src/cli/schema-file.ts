/** Schemas of values, from files that flags name. */
import type { Json } from "../client/json-text.ts";
import { type Arguments, type Io, UsageError } from "./command.ts";

const TYPES: Readonly<Record<string, string>> = { avsc: "avro", proto: "proto" };
const ENCODINGS = ["binary", "json"];

/**
 * The `decode` of a source. Undefined if no schema is given: values are JSON.
 *
 * @param prefix of the options: `left-` in a join.
 * @throws UsageError
 */
export async function decodeOf(args: Arguments, prefix: string, io: Io): Promise<Json | undefined> {
  const path = args.text(`${prefix}decode`);
  const message = args.text(`${prefix}message`);
  const encoding = args.text("encoding");
  if (path === undefined) {
    if (message !== undefined) throw new UsageError(`--${prefix}message needs --${prefix}decode`);
    if (prefix === "" && encoding !== undefined) throw new UsageError("--encoding needs --decode");
    return undefined;
  }
  const type = TYPES[/\.([^./]+)$/.exec(path)?.[1] ?? ""];
  if (type === undefined) {
    throw new UsageError(
      `--${prefix}decode: ${JSON.stringify(path)} is neither an Avro schema (.avsc) nor a Protobuf file (.proto)`,
    );
  }
  if (encoding !== undefined && !ENCODINGS.includes(encoding)) {
    throw new UsageError(
      `--encoding: ${JSON.stringify(encoding)} is not one of: ${ENCODINGS.join(", ")}`,
    );
  }
  const fields: [string, string | undefined][] = [
    ["type", type],
    ["encoding", encoding],
    ["schema_text", await textOf(path, io)],
    ["message", message],
  ];
  return new Map(fields.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}

async function textOf(path: string, io: Io): Promise<string> {
  try {
    return new TextDecoder().decode(await io.readFile(path));
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** Records as lines of JSON: `{"value":…,"key":…,"headers":{…}}`, as `ayder consume --json` prints them. */
import { JsonReader } from "../lib/json.ts";
import { UsageError } from "./command.ts";

export type RecordLine = {
  readonly value: string | Uint8Array;
  readonly key: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
};

const DEPTH_MAX = 1000;
/** Fields of a message that was read. They do not matter for a new record. */
const PLACE = ["topic", "partition", "offset", "timestamp_ms"];

/**
 * A value that is a string is stored as its text, any other value byte for byte as it is written.
 *
 * @param what names the line in errors.
 * @throws UsageError
 */
export function recordLine(line: Uint8Array, what: string): RecordLine {
  const reader = new LineReader(textOf(line, what), what);
  let value: string | Uint8Array | null = null;
  let key: string | undefined;
  const headers: Record<string, string> = {};
  if (!reader.begins("{")) throw new UsageError(`${what}: it must be a JSON object with a value`);
  reader.eachField((name) => {
    if (name === "value") value = reader.begins('"') ? reader.string() : bytesOf(reader.source());
    else if (name === "value_b64") value = base64Of(reader.text("value_b64"), what);
    else if (name === "key") key = reader.text("key");
    else if (name === "headers") readHeaders(reader, headers, what);
    else if (PLACE.includes(name)) reader.source();
    else throw new UsageError(`${what}: unknown field ${JSON.stringify(name)}`);
  });
  reader.end();
  if (value === null) throw new UsageError(`${what}: value or value_b64 is required`);
  return { value, key, headers };
}

function readHeaders(reader: LineReader, to: Record<string, string>, what: string): void {
  if (!reader.begins("{")) throw new UsageError(`${what}: headers must be an object of texts`);
  reader.eachField((name) => {
    to[name] = reader.text(`headers.${name}`);
  });
}

class LineReader extends JsonReader<null> {
  readonly #what: string;

  constructor(text: string, what: string) {
    super(text, DEPTH_MAX);
    this.#what = what;
  }

  text(name: string): string {
    if (this.begins('"')) return this.string();
    throw new UsageError(`${this.#what}: ${name} must be a text`);
  }

  protected override wrong(why: string, at: number): UsageError {
    return new UsageError(`${this.#what}, column ${at + 1}: this is not JSON: ${why}`);
  }

  protected override numberOf(): null {
    return null;
  }

  protected override repeated(name: string): void {
    throw new UsageError(`${this.#what}: ${JSON.stringify(name)} is given twice`);
  }
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

function textOf(line: Uint8Array, what: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(line);
  } catch {
    throw new UsageError(`${what}: it is not UTF-8`);
  }
}

function base64Of(text: string, what: string): Uint8Array {
  const bytes = new Uint8Array(Buffer.from(text, "base64"));
  if (Buffer.from(bytes).toString("base64") === text) return bytes;
  throw new UsageError(`${what}: value_b64 is not base64`);
}

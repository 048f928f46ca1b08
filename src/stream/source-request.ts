import type { Decoder, DecodeSpec } from "./codecs/decoder.ts";
import type { DecoderCache } from "./codecs/decoder-cache.ts";
import { type RequestField, WrongField } from "./request-fields.ts";
import type { Path } from "./value.ts";
import type { TimeUnit } from "./window.ts";

/** Which records a request reads. Names and numbers are checked; whether they exist is not. */
export type Source = {
  readonly topic: string;
  /** Null only in a view: all partitions. */
  readonly partition: number | null;
  readonly group: string | null;
  /** Null: the committed offset of the group, else the first kept one. */
  readonly offset: number | null;
  /** Most records to read; null: the request does not say. */
  readonly limit: number | null;
  readonly decoder: Decoder;
};

export const LIMIT_MAX = 10_000;
const SCHEMA_LENGTH_MAX = 128 * 1024;
const ALIASES_MAX = 1000;
const TOPIC = /^[A-Za-z0-9._-]{1,249}$/;
const GROUP = /^[A-Za-z0-9._:-]{1,249}$/;

export function readSource(
  field: RequestField,
  decoders: DecoderCache,
  options: { readonly allPartitions: boolean },
): Source {
  field.object();
  const partition = field.at("partition");
  const group = field.at("group");
  return {
    topic: field.at("topic").name(TOPIC, "must be 1 to 249 characters of A-Z a-z 0-9 . _ -"),
    partition:
      options.allPartitions && partition.isAbsent
        ? null
        : partition.integer(0, Number.MAX_SAFE_INTEGER),
    group: group.isAbsent
      ? null
      : group.name(GROUP, "must be 1 to 249 characters of A-Z a-z 0-9 . _ : -"),
    offset: field.at("offset").integerOr(null, 0, Number.MAX_SAFE_INTEGER),
    limit: field.at("limit").integerOr(null, 1, LIMIT_MAX),
    decoder: readDecoder(field.at("decode"), decoders),
  };
}

/** The unit of a time field that is not milliseconds, if the schema tells one. */
export function timeUnitOf(decoder: Decoder, timeField: Path | null): TimeUnit | null {
  const unit = timeField === null ? null : (decoder.timeUnit?.(timeField) ?? null);
  return unit === "millis" ? null : unit;
}

/** Compiles the field `decode`; absent: JSON. */
export function readDecoder(field: RequestField, decoders: DecoderCache): Decoder {
  const compiled = decoders.compile(readDecodeSpec(field));
  if (compiled.ok) return compiled.decoder;
  throw new WrongField(field.at(compiled.field).path, compiled.message);
}

function readDecodeSpec(field: RequestField): DecodeSpec {
  if (!field.isAbsent) field.object();
  const type = field.isAbsent ? "json" : field.at("type").oneOf(["json", "avro", "proto"]);
  const message = field.at("message");
  const framing = field.at("framing");
  return {
    type,
    encoding: field.at("encoding").oneOfOr(type === "json" ? "json" : "binary", ["binary", "json"]),
    framing: framing.isAbsent ? null : framing.oneOf(["registry", "none"] as const),
    schemaText: type === "json" ? "" : readSchemaText(field.at("schema_text")),
    message: message.isAbsent ? null : message.text(),
    applyDefaults: field.at("apply_defaults").boolean(true),
    fieldAliases: readAliases(field.at("field_aliases")),
  };
}

function readSchemaText(field: RequestField): string {
  const text = field.text();
  if (text.length > SCHEMA_LENGTH_MAX) {
    return field.fail(`is longer than ${SCHEMA_LENGTH_MAX} characters`);
  }
  return text.trim() === "" ? field.fail("must not be empty") : text;
}

function readAliases(field: RequestField): ReadonlyMap<string, readonly string[]> {
  const aliases = new Map<string, readonly string[]>();
  if (field.isAbsent) return aliases;
  const names = Object.keys(field.object());
  if (names.length > ALIASES_MAX) field.fail(`has more than ${ALIASES_MAX} fields`);
  for (const name of names) {
    const alternatives = field.at(name).items(ALIASES_MAX);
    aliases.set(
      name,
      alternatives.map((item) => item.text()),
    );
  }
  return aliases;
}

import { isObject, newObject, type Value } from "../value.ts";
import { compileAvro } from "./avro.ts";
import type { CompiledDecoder, Decoder, DecodeSpec } from "./decoder.ts";
import { framedJson } from "./framing.ts";
import { decodeJson } from "./json.ts";
import { compileProtobuf } from "./protobuf.ts";

/** A compiled schema takes some hundred times the memory of its text. */
const ENTRIES_MAX = 64;
const TEXT_LENGTH_MAX = 1024 * 1024;

/**
 * Compiled schemas by what was asked for, least recently used first: clients send the same schema
 * with every request. Bounded by number and by length of text. Failures are not kept.
 */
export class DecoderCache {
  readonly #entries = new Map<string, { decoder: Decoder; length: number }>();
  #length = 0;
  hits = 0;
  misses = 0;

  get size(): number {
    return this.#entries.size;
  }

  compile(spec: DecodeSpec): CompiledDecoder {
    if (spec.type === "json") {
      return { ok: true, decoder: framedJson(jsonDecoder(spec), spec.framing) };
    }
    const key = keyOf(spec);
    const known = this.#entries.get(key);
    if (known !== undefined) {
      this.hits++;
      this.#entries.delete(key);
      this.#entries.set(key, known);
      return { ok: true, decoder: known.decoder };
    }
    this.misses++;
    const compiled = spec.type === "avro" ? compileAvro(spec) : compileProtobuf(spec);
    if (!compiled.ok) return compiled;
    const decoder =
      spec.encoding === "json" ? framedJson(compiled.decoder, spec.framing) : compiled.decoder;
    this.#keep(key, decoder);
    return { ok: true, decoder };
  }

  #keep(key: string, decoder: Decoder): void {
    this.#entries.set(key, { decoder, length: key.length });
    this.#length += key.length;
    for (const [oldest, { length }] of this.#entries) {
      if (this.#entries.size <= ENTRIES_MAX && this.#length <= TEXT_LENGTH_MAX) break;
      this.#entries.delete(oldest);
      this.#length -= length;
    }
  }
}

function keyOf(spec: DecodeSpec): string {
  const { type, encoding, framing, schemaText, message, applyDefaults, fieldAliases } = spec;
  const options = [type, encoding, framing, message, applyDefaults];
  return JSON.stringify([...options, [...fieldAliases], schemaText]);
}

const PLAIN_JSON: Decoder = { decode: decodeJson };

/** Without a schema, aliases rename the fields at the top of the document. */
function jsonDecoder({ fieldAliases }: DecodeSpec): Decoder {
  if (fieldAliases.size === 0) return PLAIN_JSON;
  return {
    decode: (bytes, start, end) => {
      const json = decodeJson(bytes, start, end);
      return isObject(json) ? renamed(json, fieldAliases) : json;
    },
  };
}

function renamed(
  json: { readonly [field: string]: Value },
  aliases: ReadonlyMap<string, readonly string[]>,
): Value {
  const names = new Map<string, string>();
  for (const [name, alternatives] of aliases) {
    const given = alternatives.find((alternative) => Object.hasOwn(json, alternative));
    if (given !== undefined && !Object.hasOwn(json, name)) names.set(given, name);
  }
  const out = newObject();
  for (const key of Object.keys(json)) out[names.get(key) ?? key] = json[key] ?? null;
  return out;
}

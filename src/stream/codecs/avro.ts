import type { Value } from "../value.ts";
import { readAvroBinary } from "./avro-binary.ts";
import { readAvroJson } from "./avro-json.ts";
import { type AvroNode, type AvroSchema, parseAvroSchema } from "./avro-schema.ts";
import {
  type CompiledDecoder,
  type Decoder,
  type DecodeSpec,
  NodeBudget,
  undefinedIfUndecodable,
} from "./decoder.ts";
import { decodeJson } from "./json.ts";

export function compileAvro(spec: DecodeSpec): CompiledDecoder {
  let schema: AvroSchema;
  try {
    schema = parseAvroSchema(spec.schemaText);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { ok: false, field: "schema_text", message: `Avro schema: ${reason.slice(0, 300)}` };
  }
  const decoder = spec.encoding === "json" ? jsonDecoder(schema.root, spec) : binaryDecoder(schema);
  return { ok: true, decoder };
}

function jsonDecoder(root: AvroNode, spec: DecodeSpec): Decoder {
  return {
    decode: (bytes, start, end) => {
      const json = decodeJson(bytes, start, end);
      if (json === undefined) return undefined;
      return undefinedIfUndecodable(() =>
        readAvroJson(root, json, {
          budget: NodeBudget.forBytes(end - start),
          applyDefaults: spec.applyDefaults,
          aliases: spec.fieldAliases,
        }),
      );
    },
  };
}

/** Zero byte and a schema id of four bytes. */
const REGISTRY_HEADER_BYTES = 5;
/** C3 01 and the fingerprint of the schema. */
const SINGLE_OBJECT_HEADER_BYTES = 10;

/**
 * A header is taken off only where the bytes do not decode without it: a plain value may begin
 * with the same bytes. The reader has one schema, so a registry's id is not looked at, and a
 * fingerprint only settles which of the two comes first.
 */
function binaryDecoder({ root, canonical }: AvroSchema): Decoder {
  const fingerprint = avroFingerprint(canonical);
  const read = (bytes: Uint8Array, start: number, end: number): Value | undefined =>
    undefinedIfUndecodable(() => readAvroBinary(root, bytes, start, end));
  const readAfterHeader = (bytes: Uint8Array, start: number, end: number): Value | undefined => {
    if (bytes[start] === 0 && end - start >= REGISTRY_HEADER_BYTES) {
      return read(bytes, start + REGISTRY_HEADER_BYTES, end);
    }
    return isSingleObject(bytes, start, end)
      ? read(bytes, start + SINGLE_OBJECT_HEADER_BYTES, end)
      : undefined;
  };
  return {
    decode: (bytes, start, end) => {
      if (isSingleObject(bytes, start, end) && hasFingerprint(bytes, start + 2, fingerprint)) {
        return read(bytes, start + SINGLE_OBJECT_HEADER_BYTES, end);
      }
      const plain = read(bytes, start, end);
      return plain === undefined ? readAfterHeader(bytes, start, end) : plain;
    },
  };
}

function isSingleObject(bytes: Uint8Array, start: number, end: number): boolean {
  const isLongEnough = end - start >= SINGLE_OBJECT_HEADER_BYTES;
  return isLongEnough && bytes[start] === 0xc3 && bytes[start + 1] === 0x01;
}

function hasFingerprint(bytes: Uint8Array, at: number, fingerprint: bigint): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return view.getBigUint64(at, true) === fingerprint;
}

const EMPTY_FINGERPRINT = 0xc15d213aa4d7a795n;

/** CRC-64-AVRO of a canonical schema (Avro 1.11, "Schema Fingerprints"). */
export function avroFingerprint(canonical: string): bigint {
  let fingerprint = EMPTY_FINGERPRINT;
  for (const byte of new TextEncoder().encode(canonical)) {
    let step = (fingerprint ^ BigInt(byte)) & 0xffn;
    for (let bit = 0; bit < 8; bit++) step = (step >> 1n) ^ (EMPTY_FINGERPRINT & -(step & 1n));
    fingerprint = (fingerprint >> 8n) ^ step;
  }
  return fingerprint;
}

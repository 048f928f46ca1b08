import { readAvroBinary } from "./avro-binary.ts";
import { readAvroJson } from "./avro-json.ts";
import { type AvroNode, type AvroSchema, parseAvroSchema } from "./avro-schema.ts";
import { avroTimeUnit } from "./avro-time.ts";
import {
  type CompiledDecoder,
  type Decoder,
  type DecodeSpec,
  NodeBudget,
  undefinedIfUndecodable,
} from "./decoder.ts";
import { afterRegistryHeader, framedReader, oneOf, type Read } from "./framing.ts";
import { decodeJson } from "./json.ts";

export function compileAvro(spec: DecodeSpec): CompiledDecoder {
  let schema: AvroSchema;
  try {
    schema = parseAvroSchema(spec.schemaText);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { ok: false, field: "schema_text", message: `Avro schema: ${reason.slice(0, 300)}` };
  }
  const decoder =
    spec.encoding === "json" ? jsonDecoder(schema.root, spec) : binaryDecoder(schema, spec);
  return { ok: true, decoder };
}

function jsonDecoder(root: AvroNode, spec: DecodeSpec): Decoder {
  return {
    timeUnit: (path) => avroTimeUnit(root, path),
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

/** C3 01 and the fingerprint of the schema. */
const SINGLE_OBJECT_HEADER_BYTES = 10;

/**
 * The reader has one schema, so a registry's id is not looked at. A single object with the
 * schema's own fingerprint is known for sure; with another one, it is read as one if the bytes do
 * not decode as they are (and the request does not leave that open).
 */
function binaryDecoder({ root, canonical }: AvroSchema, spec: DecodeSpec): Decoder {
  const fingerprint = avroFingerprint(canonical);
  const read: Read = (bytes, start, end) =>
    undefinedIfUndecodable(() => readAvroBinary(root, bytes, start, end));
  const plain: Read = (bytes, start, end) => {
    if (!isSingleObject(bytes, start, end)) return read(bytes, start, end);
    const after = start + SINGLE_OBJECT_HEADER_BYTES;
    if (hasFingerprint(bytes, start + 2, fingerprint)) return read(bytes, after, end);
    const whole = read(bytes, start, end);
    if (spec.framing === null) return oneOf(whole, read(bytes, after, end));
    return whole === undefined ? read(bytes, after, end) : whole;
  };
  return {
    decode: framedReader(spec.framing, plain, afterRegistryHeader(read)),
    timeUnit: (path) => avroTimeUnit(root, path),
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

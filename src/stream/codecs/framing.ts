import type { Value } from "../value.ts";
import { type Decoder, type DecodeSpec, Undecodable } from "./decoder.ts";

/** Reads the value between two positions; undefined if the bytes do not decode. */
export type Read = (bytes: Uint8Array, start: number, end: number) => Value | undefined;

/** The header of a schema registry: a zero byte and a schema id of four bytes. */
const REGISTRY_HEADER_BYTES = 5;

/** Runs `read` behind the header of a registry; undefined if there is none. */
export const afterRegistryHeader =
  (read: Read): Read =>
  (bytes, start, end) =>
    bytes[start] === 0 && end - start >= REGISTRY_HEADER_BYTES
      ? read(bytes, start + REGISTRY_HEADER_BYTES, end)
      : undefined;

/**
 * A reader for values with or without a header. If the request does not say which, a value must
 * decode one way only: one that decodes both ways would be guessed, so it does not decode.
 */
export function framedReader(framing: DecodeSpec["framing"], plain: Read, framed: Read): Read {
  if (framing === "none") return plain;
  if (framing === "registry") return framed;
  return (bytes, start, end) => oneOf(plain(bytes, start, end), framed(bytes, start, end));
}

export function oneOf(a: Value | undefined, b: Value | undefined): Value | undefined {
  if (a === undefined) return b;
  return b === undefined ? a : undefined;
}

/** JSON behind the header of a registry, if the request says so. */
export function framedJson(decoder: Decoder, framing: DecodeSpec["framing"]): Decoder {
  if (framing !== "registry") return decoder;
  return { ...decoder, decode: afterRegistryHeader(decoder.decode) };
}

const INDEXES_MAX = 64;

/** The list of message indexes that follows the header of a registry in Protobuf values. */
export type MessageIndexes = { readonly path: readonly number[]; readonly end: number };

/**
 * Reads a count and as many indexes, zigzag varints each: which message of the schema it is, from
 * the top, then the one nested in it, and so on. A count of 0 is short for the first message.
 *
 * @throws Undecodable if there is no such list.
 */
export function readMessageIndexes(bytes: Uint8Array, start: number, end: number): MessageIndexes {
  let at = start;
  const next = (): number => {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 28; scale *= 128) {
      if (at >= end) break;
      const byte = bytes[at++] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    }
    throw new Undecodable("no message index");
  };
  const count = next();
  if (count < 0 || count > INDEXES_MAX) throw new Undecodable("no list of message indexes");
  if (count === 0) return { path: [0], end: at };
  const path = Array.from({ length: count }, next);
  if (path.some((index) => index < 0)) throw new Undecodable("negative message index");
  return { path, end: at };
}

import { newObject, toInteger, type Value } from "../value.ts";
import { finiteOrNull } from "./avro-json.ts";
import type { AvroField, AvroNode } from "./avro-schema.ts";
import { NodeBudget, Undecodable } from "./decoder.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const latin1 = (bytes: Uint8Array): string => {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
};

/**
 * Reads one value of `node` that takes exactly the bytes from `start` to `end`.
 *
 * @throws Undecodable if it does not.
 */
export function readAvroBinary(
  node: AvroNode,
  bytes: Uint8Array,
  start: number,
  end: number,
): Value {
  const reader = new AvroReader(bytes, start, end);
  const value = reader.value(node);
  if (!reader.atEnd) throw new Undecodable("bytes are left over");
  return value;
}

/** Every length and count is checked against the bytes that are left before it is believed. */
class AvroReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #end: number;
  readonly #budget: NodeBudget;
  #at: number;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = start;
    this.#end = end;
    this.#budget = NodeBudget.forBytes(end - start);
  }

  get atEnd(): boolean {
    return this.#at === this.#end;
  }

  value(node: AvroNode): Value {
    this.#budget.enter();
    const value = this.#node(node);
    this.#budget.leave();
    return value;
  }

  #node(node: AvroNode): Value {
    switch (node.kind) {
      case "null":
        return null;
      case "boolean":
        return this.#boolean();
      case "int":
        return this.#int();
      case "long":
        return this.#long();
      case "float":
        return finiteOrNull(this.#view.getFloat32(this.#take(4), true));
      case "double":
        return finiteOrNull(this.#view.getFloat64(this.#take(8), true));
      case "string":
        return utf8.decode(this.#blob(this.#length()));
      case "bytes":
        return latin1(this.#blob(this.#length()));
      case "fixed":
        return latin1(this.#blob(node.size));
      case "enum":
        return node.symbols[this.#below(node.symbols.length)] ?? null;
      case "union":
        return this.#union(node.branches);
      case "array":
        return this.#array(node.items);
      case "map":
        return this.#map(node.items);
      case "record":
        return this.#record(node.fields);
    }
  }

  #record(fields: readonly AvroField[]): Value {
    const out = newObject();
    for (const { name, node } of fields) out[name] = this.value(node);
    return out;
  }

  #union(branches: readonly AvroNode[]): Value {
    const branch = branches[this.#below(branches.length)];
    if (branch === undefined) throw new Undecodable("no such branch");
    return this.value(branch);
  }

  #array(items: AvroNode): Value {
    const out: Value[] = [];
    for (let count = this.#blockCount(); count > 0; count = this.#blockCount()) {
      for (let i = 0; i < count; i++) out.push(this.value(items));
    }
    return out;
  }

  #map(items: AvroNode): Value {
    const out = newObject();
    for (let count = this.#blockCount(); count > 0; count = this.#blockCount()) {
      for (let i = 0; i < count; i++) {
        const key = utf8.decode(this.#blob(this.#length()));
        out[key] = this.value(items);
      }
    }
    return out;
  }

  /** A negative count is followed by the bytes of its block; items that take none end the budget. */
  #blockCount(): number {
    const count = Number(this.#long());
    if (count >= 0) return count;
    if (this.#length() > this.#end - this.#at) throw new Undecodable("block ends early");
    return -count;
  }

  #boolean(): boolean {
    const byte = this.#bytes[this.#take(1)] ?? 0;
    if (byte > 1) throw new Undecodable("no boolean");
    return byte === 1;
  }

  /** A union's branch or an enum's symbol: 0 ≤ index < limit. */
  #below(limit: number): number {
    const index = Number(this.#long());
    if (index < 0 || index >= limit) throw new Undecodable("index out of range");
    return index;
  }

  #int(): number {
    const value = Number(this.#long());
    if ((value | 0) !== value) throw new Undecodable("int out of range");
    return value;
  }

  #length(): number {
    const length = Number(this.#long());
    if (length < 0) throw new Undecodable("negative length");
    return length;
  }

  #blob(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  #take(count: number): number {
    const at = this.#at;
    if (count > this.#end - at) throw new Undecodable("bytes end early");
    this.#at = at + count;
    return at;
  }

  /** Zigzag varint of at most 64 bits. */
  #long(): number | bigint {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 42; scale *= 128) {
      const byte = this.#bytes[this.#take(1)] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    }
    return this.#longLong(BigInt(value));
  }

  /** The eighth byte and those after it. */
  #longLong(low: bigint): number | bigint {
    let value = low;
    for (let shift = 49n; shift < 70n; shift += 7n) {
      const byte = this.#bytes[this.#take(1)] ?? 0;
      value |= BigInt(byte & 127) << shift;
      if (byte >= 128) continue;
      if (value >= 2n ** 64n) break;
      return toInteger((value >> 1n) ^ -(value & 1n));
    }
    throw new Undecodable("varint above 64 bits");
  }
}

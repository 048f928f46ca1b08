import type { Path, Value } from "../value.ts";
import type { TimeUnit } from "../window.ts";

/** `decode` of a request, checked. */
export type DecodeSpec = {
  readonly type: "json" | "avro" | "proto";
  /** Ignored by `json`. */
  readonly encoding: "binary" | "json";
  /** Whether values have the header of a schema registry; null: the request does not say. */
  readonly framing: "registry" | "none" | null;
  readonly schemaText: string;
  /** The Protobuf message; null where the text declares exactly one. */
  readonly message: string | null;
  readonly applyDefaults: boolean;
  /** Other names that a field may have in a JSON document, by its name in the schema. */
  readonly fieldAliases: ReadonlyMap<string, readonly string[]>;
};

/** Turns the bytes of a record's value into a value; undefined where they do not decode. */
export type Decoder = {
  readonly decode: (bytes: Uint8Array, start: number, end: number) => Value | undefined;
  /** The unit of a time at a path, if the schema tells it. */
  readonly timeUnit?: (path: Path) => TimeUnit | null;
};

/** `field` is the field of `decode` that is wrong. */
export type SchemaProblem = {
  readonly ok: false;
  readonly field: "schema_text" | "message";
  readonly message: string;
};
export type CompiledDecoder = { readonly ok: true; readonly decoder: Decoder } | SchemaProblem;

/** Thrown inside the codecs when bytes do not fit the schema; never leaves them. */
export class Undecodable extends Error {
  override readonly name = "Undecodable";
}

/**
 * Fields, types and symbols that a schema may declare: compiling is not cut into slices, and takes
 * up to 0.2 ms for each record and field.
 */
export const DECLARATIONS_MAX = 1000;

/** Deeper values do not decode; a schema may be recursive, and the stack is not endless. */
export const VALUE_DEPTH_MAX = 100;
/** Items that take no bytes (an array of nulls) are bounded by this beyond the payload's length. */
const FREE_NODES = 4096;

/** Ends the decoding of a value that is too deep or has far more parts than bytes. */
export class NodeBudget {
  #left: number;
  /** Code that catches an error of `enter` restores it. */
  depth = 0;

  constructor(nodes: number) {
    this.#left = nodes;
  }

  static forBytes(length: number): NodeBudget {
    return new NodeBudget(length + FREE_NODES);
  }

  get isSpent(): boolean {
    return this.#left < 0;
  }

  enter(): void {
    if (++this.depth > VALUE_DEPTH_MAX) throw new Undecodable("too deep");
    if (--this.#left < 0) throw new Undecodable("too many parts");
  }

  get left(): number {
    return this.#left;
  }

  /** For parts that are taken over as they are. */
  spend(nodes: number): void {
    this.#left -= nodes;
    if (this.#left < 0) throw new Undecodable("too many parts");
  }

  leave(): void {
    this.depth--;
  }
}

/** Runs `read`; what it throws means that the bytes do not decode. */
export function undefinedIfUndecodable(read: () => Value | undefined): Value | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

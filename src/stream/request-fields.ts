import { headerPath } from "./record-fields.ts";
import { isArray, isObject, type Path, type Value, type ValueObject } from "./value.ts";

/** Thrown while a request is read; becomes a `RequestProblem`. `path` names the wrong field. */
export class WrongField extends Error {
  override readonly name = "WrongField";
  readonly path: string;

  constructor(path: string, message: string) {
    super(message);
    this.path = path;
  }
}

/** A request that cannot be served as it is written. `path` is such as `filter[0].op`. */
export type RequestProblem = {
  readonly ok: false;
  readonly path: string;
  readonly message: string;
};
export type Parsed<T> = { readonly ok: true; readonly request: T } | RequestProblem;

export function parsed<T>(read: () => T): Parsed<T> {
  try {
    return { ok: true, request: read() };
  } catch (error) {
    if (!(error instanceof WrongField)) throw error;
    return { ok: false, path: error.path, message: error.message };
  }
}

const FIELD_LENGTH_MAX = 1024;
const FIELD_DEPTH_MAX = 32;

/**
 * One field of a request: its value and the path to it. Reads are strict about types; a field
 * that is null counts as absent.
 */
export class RequestField {
  readonly path: string;
  readonly value: Value | undefined;

  constructor(value: Value | undefined, path = "") {
    this.value = value;
    this.path = path;
  }

  get isAbsent(): boolean {
    return this.value === undefined || this.value === null;
  }

  fail(message: string): never {
    throw new WrongField(this.path, message);
  }

  /** A field of this object; absent if this is. */
  at(name: string): RequestField {
    const path = this.path === "" ? name : `${this.path}.${name}`;
    if (this.isAbsent) return new RequestField(undefined, path);
    const object = this.object();
    return new RequestField(Object.hasOwn(object, name) ? object[name] : undefined, path);
  }

  object(): ValueObject {
    if (!isObject(this.value)) return this.fail("must be an object");
    return this.value;
  }

  items(max: number): RequestField[] {
    if (!isArray(this.value)) return this.fail("must be a list");
    if (this.value.length > max) return this.fail(`has more than ${max} items`);
    return this.value.map((item, i) => new RequestField(item, `${this.path}[${i}]`));
  }

  text(): string {
    if (typeof this.value !== "string") return this.fail("must be text");
    return this.value;
  }

  boolean(fallback: boolean): boolean {
    if (this.isAbsent) return fallback;
    if (typeof this.value !== "boolean") return this.fail("must be true or false");
    return this.value;
  }

  integer(min: number, max: number): number {
    const { value } = this;
    if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) {
      return value + 0;
    }
    return this.fail(`must be an integer from ${min} to ${max}`);
  }

  integerOr<T>(fallback: T, min: number, max: number): number | T {
    return this.isAbsent ? fallback : this.integer(min, max);
  }

  oneOf<T extends string>(words: readonly T[]): T {
    const word = words.find((candidate) => candidate === this.value);
    return word ?? this.fail(`must be one of ${words.join(", ")}`);
  }

  oneOfOr<T extends string>(fallback: T, words: readonly T[]): T {
    return this.isAbsent ? fallback : this.oneOf(words);
  }

  name(pattern: RegExp, rule: string): string {
    const text = this.text();
    return pattern.test(text) && text !== "." && text !== ".." ? text : this.fail(rule);
  }

  /** The path of a field in records: `a.b`, or one of the record such as `$headers.a`. */
  fieldPath(): Path {
    const text = this.text();
    const parts = headerPath(text) ?? text.split(".");
    if (text.length > FIELD_LENGTH_MAX || parts.length > FIELD_DEPTH_MAX) {
      return this.fail(`is longer than ${FIELD_LENGTH_MAX} characters or ${FIELD_DEPTH_MAX} parts`);
    }
    return parts.includes("") ? this.fail("must be a field name such as a or a.b") : parts;
  }

  fieldPathOrNull(): Path | null {
    return this.isAbsent ? null : this.fieldPath();
  }

  fieldPaths(max: number): Path[] {
    return this.items(max).map((item) => item.fieldPath());
  }
}

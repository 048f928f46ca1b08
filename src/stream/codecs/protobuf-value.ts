import protobuf from "protobufjs";
import { newObject, toInteger, type Value } from "../value.ts";
import { Undecodable } from "./decoder.ts";

export type ValueOptions = {
  readonly applyDefaults: boolean;
  /** From the wire, protobufjs keeps 64-bit keys of maps as eight characters, one for a byte. */
  readonly hasHashedKeys: boolean;
};

/** protobufjs leaves out what is named `__proto__`, so it gets this name instead. */
const SAFE_PROTO = "ayder__proto__name";

/** `.proto` text in which no field or enum value is named `__proto__`. */
export function withSafeNames(source: string): string {
  return source.replace(/\b__proto__(?=\s*=\s*-?\d)/g, SAFE_PROTO);
}

export const fieldNameOf = (field: protobuf.Field): string => nameOf(field.name);

const nameOf = (name: string): string => (name === SAFE_PROTO ? "__proto__" : name);

type Fields = { readonly [name: string]: unknown };

/**
 * A decoded message as a value: enums by name, bytes as base64, 64-bit integers exact, fields
 * under their names in the schema, NaN and infinities null as in JSON. A field of proto3 without
 * `optional` is never missing: that it is not on the wire means zero. With `applyDefaults` false
 * such fields are left out.
 *
 * @throws Undecodable if a required field is missing.
 */
export function messageValue(type: protobuf.Type, message: object, options: ValueOptions): Value {
  const fields = message as Fields;
  const out = newObject();
  for (const field of type.fieldsArray) {
    const value = Object.hasOwn(fields, field.name) ? fields[field.name] : undefined;
    const converted = isAbsent(field, value)
      ? absentValue(field, options)
      : presentValue(field, value, options);
    if (converted !== undefined) out[fieldNameOf(field)] = converted;
  }
  return out;
}

/** protobufjs gives empty lists and maps to messages that have none. */
function isAbsent(field: protobuf.Field, value: unknown): boolean {
  if (value === undefined || value === null) return true;
  if (field.map) return Object.keys(value).length === 0;
  return field.repeated && (value as readonly unknown[]).length === 0;
}

function absentValue(field: protobuf.Field, options: ValueOptions): Value | undefined {
  if (field.required) throw new Undecodable(`no ${field.name}`);
  if (!options.applyDefaults) return undefined;
  if (field.map) return newObject();
  if (field.repeated) return [];
  const isDeclared = field.options?.["default"] !== undefined;
  if (field.resolvedType instanceof protobuf.Type || (field.hasPresence && !isDeclared)) {
    return undefined;
  }
  return singleValue(field, field.typeDefault, options);
}

function presentValue(field: protobuf.Field, value: unknown, options: ValueOptions): Value {
  if (field.map) {
    const out = newObject();
    for (const key of Object.keys(value as Fields)) {
      out[mapKey(field, key, options)] = singleValue(field, (value as Fields)[key], options);
    }
    return out;
  }
  if (!field.repeated) return singleValue(field, value, options);
  return (value as readonly unknown[]).map((item) => singleValue(field, item, options));
}

const LONG_KEYS = new Set(["int64", "uint64", "sint64", "fixed64", "sfixed64"]);

function mapKey(field: protobuf.Field, key: string, { hasHashedKeys }: ValueOptions): string {
  if (!hasHashedKeys || !(field instanceof protobuf.MapField)) return key;
  const { keyType } = field;
  if (!LONG_KEYS.has(keyType)) return key;
  const isUnsigned = keyType === "uint64" || keyType === "fixed64";
  return String(longValue(protobuf.util.longFromHash(key, isUnsigned)));
}

function singleValue(field: protobuf.Field, value: unknown, options: ValueOptions): Value {
  const { resolvedType } = field;
  if (resolvedType instanceof protobuf.Type) {
    return messageValue(resolvedType, value as object, options);
  }
  // An unknown number of an open enum stays a number, as in ProtoJSON.
  if (resolvedType instanceof protobuf.Enum) {
    const name = resolvedType.valuesById[value as number];
    return name === undefined ? (value as number) : nameOf(name);
  }
  if (field.type === "bytes") return base64(value as ArrayLike<number>);
  if (field.type === "float") return finiteOrNull(Math.fround(value as number));
  if (field.type === "double") return finiteOrNull(value as number);
  return typeof value === "object" ? longValue(value as LongLike) : (value as Value);
}

function finiteOrNull(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

type LongLike = { readonly low: number; readonly high: number; readonly unsigned: boolean };

function longValue(long: LongLike | number): number | bigint {
  if (typeof long === "number") return long;
  const high = BigInt(long.unsigned ? long.high >>> 0 : long.high);
  return toInteger((high << 32n) | BigInt(long.low >>> 0));
}

function base64(bytes: ArrayLike<number>): string {
  const array = Uint8Array.from(bytes);
  return protobuf.util.base64.encode(array, 0, array.length);
}

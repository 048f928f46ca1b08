import protobuf from "protobufjs";
import protojson from "protobufjs/ext/protojson.js";
import { isArray, isObject, newObject, type Path, type Value } from "../value.ts";
import type { TimeUnit } from "../window.ts";
import {
  type CompiledDecoder,
  DECLARATIONS_MAX,
  type DecodeSpec,
  Undecodable,
  undefinedIfUndecodable,
  VALUE_DEPTH_MAX,
} from "./decoder.ts";
import { afterRegistryHeader, framedReader, type Read, readMessageIndexes } from "./framing.ts";
import { decodeJson, parseJsonText } from "./json.ts";
import { addImports, dropServices } from "./protobuf-imports.ts";
import { fieldNameOf, messageValue, withSafeNames } from "./protobuf-value.ts";

/** protobufjs reads the schema, the wire format and ProtoJSON; what comes out is made a `Value`. */
export function compileProtobuf(spec: DecodeSpec): CompiledDecoder {
  let root: protobuf.Root;
  try {
    root = parseProto(spec.schemaText);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const message = `.proto text: ${reason.slice(0, 300)}${syntaxHint(spec.schemaText, reason)}`;
    return { ok: false, field: "schema_text", message };
  }
  const isFramed = spec.encoding === "binary" && spec.framing === "registry";
  const found = findMessage(root, spec.message);
  // The header names the message too.
  const isNamedByHeader =
    isFramed && spec.message === null && messagesOf(root.nestedArray).length > 0;
  if (typeof found === "string" && !isNamedByHeader) {
    return { ok: false, field: "message", message: found };
  }
  const type = typeof found === "string" ? null : found;
  const decode =
    spec.encoding === "json" && type ? jsonReader(type, spec) : binaryReader(root, type, spec);
  return {
    ok: true,
    decoder: {
      decode: (bytes, start, end) => undefinedIfUndecodable(() => decode(bytes, start, end)),
      timeUnit: (path) => (type === null ? null : timeUnitAt(type, path)),
    },
  };
}

/** Most texts are proto3, and the line that says so is what is left out most often. */
const syntaxHint = (text: string, reason: string): string =>
  reason.startsWith("illegal token") && !/\b(syntax|edition)\s*=/.test(text)
    ? '; without syntax = "proto3"; it is read as proto2'
    : "";

const TIMESTAMP = ".google.protobuf.Timestamp";

function timeUnitAt(type: protobuf.Type, path: Path): TimeUnit | null {
  let at: protobuf.ReflectionObject | null = type;
  for (let i = 0; i < path.length; i++) {
    if (!(at instanceof protobuf.Type)) return null;
    const field: protobuf.Field | undefined = at.fieldsArray.find(
      (each) => fieldNameOf(each) === path[i],
    );
    if (field === undefined || (field.repeated && !field.map)) return null;
    // A key of a map is a part of the path of its own.
    if (field.map) i++;
    at = field.resolvedType;
  }
  return at?.fullName === TIMESTAMP ? "timestamp" : null;
}

function parseProto(text: string): protobuf.Root {
  const inner = text.trimStart().startsWith('"') ? parseJsonText(text) : text;
  const source = typeof inner === "string" ? inner : text;
  // Every declaration ends so; the time for one message grows with the square of its fields.
  if (source.split(";").length > DECLARATIONS_MAX) {
    throw new Error(`more than ${DECLARATIONS_MAX} declarations`);
  }
  if (source.split("{").length > DECLARATIONS_MAX) {
    throw new Error(`more than ${DECLARATIONS_MAX} blocks`);
  }
  const { root, imports, weakImports } = protobuf.parse(
    withSafeNames(source),
    new protobuf.Root(),
    {
      keepCase: true,
    },
  );
  const unknown = addImports(root, [...(imports ?? []), ...(weakImports ?? [])]);
  dropServices(root);
  resolveAll(root, unknown);
  for (const type of allMessagesOf(messagesOf(root.nestedArray))) checkDefaults(type);
  return root;
}

/** Imports that are not known are needed only where one of their types is used. */
function resolveAll(root: protobuf.Root, unknownImports: readonly string[]): void {
  try {
    root.resolveAll();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (unknownImports.length === 0) throw error;
    const names = unknownImports.map((path) => JSON.stringify(path)).join(", ");
    throw new Error(`${reason}: import ${names} is not available, put its messages here`);
  }
}

/** protobufjs reads the number of a default as a double; a default must not lose its digits. */
function checkDefaults(type: protobuf.Type): void {
  for (const field of type.fieldsArray) {
    const value: unknown = field.options?.["default"];
    const isRounded = Number.isInteger(value) && !Number.isSafeInteger(value);
    if (isRounded && INTEGERS_64.has(field.type)) {
      throw new Error(`the default of ${field.name} is beyond 2^53`);
    }
  }
}

const INTEGERS_64 = new Set(["int64", "uint64", "sint64", "fixed64", "sfixed64"]);

/** @returns the type, or what is wrong with the name. */
function findMessage(root: protobuf.Root, name: string | null): protobuf.Type | string {
  const declared = messagesOf(root.nestedArray);
  if (name === null) {
    const only = declared[0];
    if (declared.length === 1 && only !== undefined) return only;
    return `which message? The text declares ${declared.length}: ${namesOf(declared)}`;
  }
  const wanted = name.startsWith(".") ? name : `.${name}`;
  const exact = allMessagesOf(declared).find((type) => type.fullName === wanted);
  if (exact !== undefined) return exact;
  const byEnd = allMessagesOf(declared).filter((type) => type.fullName.endsWith(wanted));
  const [only] = byEnd;
  if (byEnd.length === 1 && only !== undefined) return only;
  return `no message ${JSON.stringify(name)}; the text declares ${namesOf(declared)}`;
}

/** Messages at the top of their package; those of the imports are not the user's. */
function messagesOf(nested: readonly protobuf.ReflectionObject[]): protobuf.Type[] {
  return nested.flatMap((object) => {
    if (object instanceof protobuf.Type) return [object];
    if (!(object instanceof protobuf.Namespace)) return [];
    return object.fullName === ".google" ? [] : messagesOf(object.nestedArray);
  });
}

function allMessagesOf(types: readonly protobuf.Type[]): protobuf.Type[] {
  return types.flatMap((type) => [
    type,
    ...allMessagesOf(type.nestedArray.filter((object) => object instanceof protobuf.Type)),
  ]);
}

function namesOf(types: readonly protobuf.Type[]): string {
  return types
    .slice(0, 10)
    .map((type) => type.fullName.slice(1))
    .join(", ");
}

type Reader = (bytes: Uint8Array, start: number, end: number) => Value;

/** @param asked null: the header of each value says which message it is. */
function binaryReader(root: protobuf.Root, asked: protobuf.Type | null, spec: DecodeSpec): Read {
  const read = (type: protobuf.Type): Read => {
    const reader = wireReader(type, spec);
    return (bytes, start, end) => undefinedIfUndecodable(() => reader(bytes, start, end));
  };
  const messages = messagesOf(root.nestedArray);
  const framed: Read = (bytes, start, end) => {
    const { path, end: after } = readMessageIndexes(bytes, start, end);
    const named = messageAt(messages, path);
    // The text may be a part of what the registry has; then only the request can name the message.
    const type = named ?? asked;
    if (type === null || (asked !== null && type !== asked)) return undefined;
    return read(type)(bytes, after, end);
  };
  const plain: Read = asked === null ? () => undefined : read(asked);
  const safely: Read = (bytes, start, end) =>
    undefinedIfUndecodable(() => framed(bytes, start, end));
  return framedReader(spec.framing, plain, afterRegistryHeader(safely));
}

/** The message that a path of indexes names: in the text, then in the message before. */
function messageAt(messages: readonly protobuf.Type[], path: readonly number[]) {
  let among = messages;
  let found: protobuf.Type | undefined;
  for (const index of path) {
    found = among[index];
    if (found === undefined) return undefined;
    among = found.nestedArray.filter((object) => object instanceof protobuf.Type);
  }
  return found;
}

function wireReader(type: protobuf.Type, { applyDefaults }: DecodeSpec): Reader {
  return (bytes, start, end) => {
    const reader = protobuf.Reader.create(bytes.subarray(start, end));
    reader.discardUnknown = true;
    return messageValue(type, type.decode(reader), { applyDefaults, hasHashedKeys: true });
  };
}

function jsonReader(type: protobuf.Type, { applyDefaults, fieldAliases }: DecodeSpec): Reader {
  return (bytes, start, end) => {
    const json = decodeJson(bytes, start, end);
    if (json === undefined) throw new Undecodable("no JSON");
    const named = withFieldNames(type, json, fieldAliases, 0);
    return messageValue(type, protojson.fromJson(type, named), {
      applyDefaults,
      hasHashedKeys: false,
    });
  };
}

type Aliases = ReadonlyMap<string, readonly string[]>;

/**
 * The document with each field under its name in the schema, without fields that it does not
 * know, and with long integers as text, which is how ProtoJSON writes them.
 */
function withFieldNames(type: protobuf.Type, json: Value, aliases: Aliases, depth: number): Value {
  if (depth > VALUE_DEPTH_MAX) throw new Undecodable("too deep");
  // The well-known types have forms of their own, such as a timestamp as text.
  if (!isObject(json) || type.fullName.startsWith(".google.protobuf.")) return json;
  const out = newObject();
  for (const field of type.fieldsArray) {
    const name = fieldNameOf(field);
    const names = [name, field.jsonName, ...(aliases.get(name) ?? [])];
    const given = names.find((each) => Object.hasOwn(json, each));
    if (given === undefined) continue;
    const value = json[given] ?? null;
    out[field.name] = fieldJson(field, value, aliases, depth);
  }
  return out;
}

function fieldJson(field: protobuf.Field, json: Value, aliases: Aliases, depth: number): Value {
  if (field.map && isObject(json)) {
    const out = newObject();
    for (const key of Object.keys(json)) {
      out[key] = singleJson(field, json[key] ?? null, aliases, depth);
    }
    return out;
  }
  if (field.repeated && isArray(json)) {
    return json.map((item) => singleJson(field, item, aliases, depth));
  }
  return singleJson(field, json, aliases, depth);
}

function singleJson(field: protobuf.Field, json: Value, aliases: Aliases, depth: number): Value {
  if (field.resolvedType instanceof protobuf.Type) {
    return withFieldNames(field.resolvedType, json, aliases, depth + 1);
  }
  // A bigint in a text field stays one, and protojson refuses it there.
  return typeof json === "bigint" && field.type !== "string" ? String(json) : json;
}

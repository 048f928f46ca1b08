import { type AvroType, Type } from "avsc/lib/types.js";
import { isArray, isObject, newObject, type Value, type ValueObject } from "../value.ts";
import type { TimeUnit } from "../window.ts";
import { readAvroJson } from "./avro-json.ts";
import { timeUnitOfType } from "./avro-time.ts";
import { DECLARATIONS_MAX, NodeBudget } from "./decoder.ts";
import { parseJsonText } from "./json.ts";

/**
 * An Avro schema as the readers walk it. avsc parses and checks the schema (names, namespaces,
 * references); the readers are ours, because avsc's trust the counts and lengths in the bytes.
 * Logical types are read as the types below them.
 */
export type AvroNode =
  | {
      readonly kind: AvroPrimitive;
      /** The unit of a time, from a logical type. */
      readonly unit?: TimeUnit | null;
    }
  | { readonly kind: "fixed"; readonly size: number }
  | { readonly kind: "enum"; readonly symbols: readonly string[] }
  | { readonly kind: "array" | "map"; items: AvroNode }
  | {
      readonly kind: "union";
      branches: readonly AvroNode[];
      /** For each branch, the names under which JSON may wrap it. */
      readonly names: readonly (readonly string[])[];
    }
  | { readonly kind: "record"; fields: readonly AvroField[] };

const PRIMITIVES = [
  "null",
  "boolean",
  "int",
  "long",
  "float",
  "double",
  "bytes",
  "string",
] as const;
export type AvroPrimitive = (typeof PRIMITIVES)[number];

export type AvroField = {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly node: AvroNode;
  /** As the schema has it; undefined without a default. */
  readonly rawDefault: Value | undefined;
  /** The same, read by the schema; set once the whole schema is known. */
  fallback: Value | undefined;
  /** Number of its parts: records share their defaults, so a small schema can contain many. */
  fallbackNodes: number;
};

export type AvroSchema = {
  readonly root: AvroNode;
  /** Parsing canonical form, for the fingerprint of single-object encoding. */
  readonly canonical: string;
};

const SCHEMA_DEPTH_MAX = 64;
/** Defaults of defaults multiply: all of a schema together may have so many parts. */
const DEFAULT_NODES_MAX = 20_000;

/** @throws Error with a message for the user. */
export function parseAvroSchema(text: string): AvroSchema {
  const schema = schemaValue(text);
  checkDeclarations(schema);
  const raw = withoutDefaults(schema, 0);
  const type = Type.forSchema(raw.stripped, { wrapUnions: "always" });
  const fields: AvroField[] = [];
  const root = nodeOf(type, raw.original, new Map(), fields);
  const budget = new NodeBudget(DEFAULT_NODES_MAX);
  for (const field of fields) resolveDefault(field, budget);
  return { root, canonical: JSON.stringify(type.schema()) };
}

/** The text may arrive JSON-encoded once more; a bare type name is a schema too. */
function schemaValue(text: string): Value {
  const value = parseJsonText(text);
  if (value === undefined) {
    if (/^[A-Za-z_]\w*$/.test(text.trim())) return text.trim();
    throw new Error("the schema is not JSON");
  }
  return typeof value === "string" ? (parseJsonText(value) ?? value) : value;
}

/** avsc generates code for each record, which is most of the time that a schema takes. */
const RECORDS_MAX = 250;

function checkDeclarations(schema: Value): void {
  const counts = { records: 0, all: 0 };
  const stack = [schema];
  for (let value = stack.pop(); value !== undefined; value = stack.pop()) {
    if (isArray(value)) stack.push(...value);
    if (!isObject(value)) continue;
    if (isArray(value["fields"])) counts.records++;
    counts.all += sizeOfList(value["fields"]) + sizeOfList(value["symbols"]) + 1;
    for (const part of ["type", "fields", "items", "values"]) stack.push(value[part] ?? null);
  }
  if (counts.records > RECORDS_MAX) throw new Error(`more than ${RECORDS_MAX} records`);
  if (counts.all > DECLARATIONS_MAX * 2) throw new Error(`more than ${DECLARATIONS_MAX} fields`);
}

function sizeOfList(value: Value | undefined): number {
  return isArray(value) ? value.length : 0;
}

type RawSchema = { readonly stripped: unknown; readonly original: Value };

/**
 * avsc reads defaults eagerly, and a default that holds records with defaults can grow without
 * bound, so it gets a copy without them. `{"type": {"type": …}}` is unwrapped in both.
 */
function withoutDefaults(schema: Value, depth: number): RawSchema {
  if (depth > SCHEMA_DEPTH_MAX) throw new Error(`deeper than ${SCHEMA_DEPTH_MAX}`);
  if (isArray(schema)) {
    const branches = schema.map((branch) => withoutDefaults(branch, depth + 1));
    return {
      stripped: branches.map((branch) => branch.stripped),
      original: branches.map((branch) => branch.original),
    };
  }
  if (!isObject(schema)) return { stripped: schema, original: schema };
  const inner = schema["type"];
  if (isObject(inner) || isArray(inner)) return withoutDefaults(inner, depth + 1);
  return strippedObject(schema, depth);
}

function strippedObject(schema: ValueObject, depth: number): RawSchema {
  const stripped: Record<string, unknown> = {};
  const original = newObject();
  for (const key of Object.keys(schema)) {
    const value = schema[key] ?? null;
    if (key === "default" || key === "__proto__") continue;
    // avsc would read values by it; here it only tells the unit of a time.
    if (key === "logicalType") {
      original[key] = value;
      continue;
    }
    const nested = key === "items" || key === "values" ? withoutDefaults(value, depth + 1) : null;
    stripped[key] = nested?.stripped ?? value;
    original[key] = nested?.original ?? value;
  }
  const fields = schema["fields"];
  if (isArray(fields)) {
    const both = fields.map((field) => strippedField(field, depth + 1));
    stripped["fields"] = both.map((field) => field.stripped);
    original["fields"] = both.map((field) => field.original);
  }
  return { stripped, original };
}

function strippedField(field: Value, depth: number): RawSchema {
  if (!isObject(field)) throw new Error("a field of a record is not an object");
  const type = withoutDefaults(field["type"] ?? null, depth);
  const { name, aliases } = field as { name?: Value; aliases?: Value };
  const stripped: Record<string, unknown> = { name, type: type.stripped };
  if (aliases !== undefined) stripped["aliases"] = textsOf(aliases);
  const original = newObject();
  original["type"] = type.original;
  if (Object.hasOwn(field, "default")) original["default"] = field["default"] ?? null;
  return { stripped, original };
}

function textsOf(aliases: Value): string[] {
  if (isArray(aliases) && aliases.every((alias) => typeof alias === "string")) return [...aliases];
  throw new Error("aliases must be a list of names");
}

/** `raw` is the schema that `type` was made of: a definition, wherever `type` is seen first. */
function nodeOf(
  type: AvroType,
  raw: Value,
  known: Map<AvroType, AvroNode>,
  allFields: AvroField[],
): AvroNode {
  const done = known.get(type);
  if (done !== undefined) return done;
  const part = (name: string): Value => (isObject(raw) ? (raw[name] ?? null) : null);
  switch (type.typeName) {
    case "record":
    case "error": {
      const node: AvroNode = { kind: "record", fields: [] };
      known.set(type, node);
      const rawFields = part("fields");
      node.fields = type.fields.map(({ name, aliases, type: fieldType }, i) => {
        const rawField = isArray(rawFields) ? rawFields[i] : undefined;
        const rawType = isObject(rawField) ? (rawField["type"] ?? null) : null;
        const rawDefault = isObject(rawField) ? rawField["default"] : undefined;
        const fieldNode = nodeOf(fieldType, rawType, known, allFields);
        const field = {
          name,
          aliases,
          node: fieldNode,
          rawDefault,
          fallback: undefined,
          fallbackNodes: 0,
        };
        allFields.push(field);
        return field;
      });
      return node;
    }
    case "array":
      return { kind: "array", items: nodeOf(type.itemsType, part("items"), known, allFields) };
    case "map":
      return { kind: "map", items: nodeOf(type.valuesType, part("values"), known, allFields) };
    case "union:wrapped": {
      const branches = type.types.map((branch, i) =>
        nodeOf(branch, isArray(raw) ? (raw[i] ?? null) : null, known, allFields),
      );
      return { kind: "union", branches, names: type.types.map(branchNames) };
    }
    default:
      return leafOf(type, part("logicalType"));
  }
}

function leafOf(type: AvroType, logicalType: Value): AvroNode {
  if (type.typeName === "fixed") return { kind: "fixed", size: type.size };
  if (type.typeName === "enum") return { kind: "enum", symbols: type.symbols };
  const kind = PRIMITIVES.find((name) => name === type.typeName);
  if (kind === undefined) throw new Error(`type ${type.typeName} is not supported`);
  return { kind, unit: timeUnitOfType(kind, logicalType) };
}

/** A named type may be given with or without its namespace. */
function branchNames(type: AvroType): readonly string[] {
  const full = type.branchName;
  const short = full.slice(full.lastIndexOf(".") + 1);
  return short === full ? [full] : [full, short];
}

function resolveDefault(field: AvroField, budget: NodeBudget): void {
  if (field.rawDefault === undefined || field.fallback !== undefined) return;
  const before = budget.left;
  try {
    field.fallback = readAvroJson(field.node, field.rawDefault, {
      budget,
      applyDefaults: true,
      aliases: new Map(),
      resolve: (inner) => resolveDefault(inner, budget),
    });
    field.fallbackNodes = before - budget.left;
  } catch {
    throw new Error(`the default of field ${JSON.stringify(field.name)} does not fit its type`);
  }
}

import type { Path } from "../value.ts";
import type { TimeUnit } from "../window.ts";
import type { AvroNode } from "./avro-schema.ts";

const UNITS: Readonly<Record<string, TimeUnit>> = {
  "timestamp-millis": "millis",
  "timestamp-micros": "micros",
  "timestamp-nanos": "nanos",
  "local-timestamp-millis": "millis",
  "local-timestamp-micros": "micros",
  "local-timestamp-nanos": "nanos",
};

/** The unit of a time, from its logical type; null if it has none that tells one. */
export function timeUnitOfType(kind: string, logicalType: unknown): TimeUnit | null {
  if (kind === "int") return logicalType === "date" ? "days" : null;
  if (kind !== "long" || typeof logicalType !== "string") return null;
  return Object.hasOwn(UNITS, logicalType) ? (UNITS[logicalType] ?? null) : null;
}

/** The unit of the field at a path: of a union, that of the branch that has one. */
export function avroTimeUnit(node: AvroNode, path: Path, at = 0): TimeUnit | null {
  if (node.kind === "union") {
    for (const branch of node.branches) {
      const unit = avroTimeUnit(branch, path, at);
      if (unit !== null) return unit;
    }
    return null;
  }
  const name = path[at];
  if (name === undefined) return "unit" in node ? (node.unit ?? null) : null;
  if (node.kind === "map") return avroTimeUnit(node.items, path, at + 1);
  if (node.kind !== "record") return null;
  const field = node.fields.find((each) => each.name === name);
  return field === undefined ? null : avroTimeUnit(field.node, path, at + 1);
}

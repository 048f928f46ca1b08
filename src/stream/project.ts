import { isObject, newObject, type Path, type Value, type ValueObject } from "./value.ts";

/** Which fields to keep: true is the whole value, a map the fields below it. */
export type Projection = true | ReadonlyMap<string, Projection>;

/** `["a.b", "a.c", "d"]` → a: {b, c}, d. A field and one below it: the field as a whole. */
export function projectionOf(paths: readonly Path[]): Projection {
  const root = new Map<string, Projection>();
  for (const path of paths) addPath(root, path);
  return root;
}

function addPath(root: Map<string, Projection>, path: Path): void {
  let at = root;
  for (const [i, part] of path.entries()) {
    const below = at.get(part);
    if (below === true) return;
    if (i === path.length - 1) {
      at.set(part, true);
      return;
    }
    const next = (below as Map<string, Projection> | undefined) ?? new Map<string, Projection>();
    at.set(part, next);
    at = next;
  }
}

/** Nested fields stay nested; fields that are missing are left out. */
export function project(value: Value, projection: Projection): Value {
  if (projection === true) return value;
  const out = newObject();
  if (isObject(value)) copyFields(value, projection, out);
  return out;
}

function copyFields(
  from: ValueObject,
  fields: ReadonlyMap<string, Projection>,
  to: Record<string, Value>,
): void {
  for (const [name, below] of fields) {
    const value = Object.hasOwn(from, name) ? from[name] : undefined;
    if (value === undefined) continue;
    if (below === true) to[name] = value;
    else if (isObject(value)) addNested(value, below, name, to);
  }
}

function addNested(
  from: ValueObject,
  fields: ReadonlyMap<string, Projection>,
  name: string,
  to: Record<string, Value>,
): void {
  const nested = newObject();
  copyFields(from, fields, nested);
  if (Object.keys(nested).length > 0) to[name] = nested;
}

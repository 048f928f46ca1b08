/** Bodies of queries and joins by clients of the C implementation, in the spelling of this one. */
import { type Json, type JsonObject, jsonTextOf } from "./json.ts";
import type { StreamBody } from "./stream-body.ts";

/** `offset: -1` of the source means from the start. */
export const ayderQueryBody = ({ fields }: StreamBody): StreamBody =>
  bodyOf(change(fields, "source", fromStart));

/** The same for both sides; a side without a list of fields is `{}` in the rows. */
export function ayderJoinBody({ fields }: StreamBody): StreamBody {
  const sides = change(change(fields, "left", fromStart), "right", fromStart);
  const emit = isAbsent(sides.get("emit")) ? new Map(sides).set("emit", new Map()) : sides;
  return bodyOf(change(emit, "emit", withFieldLists));
}

const fromStart = (source: JsonObject): JsonObject =>
  source.get("offset") === -1 ? new Map(source).set("offset", 0) : source;

function withFieldLists(emit: JsonObject): JsonObject {
  const changed = new Map(emit);
  for (const name of ["left_fields", "right_fields"]) {
    if (isAbsent(changed.get(name))) changed.set(name, []);
  }
  return changed;
}

/** Anything but an object is left for the node to refuse. */
function change(
  fields: JsonObject,
  name: string,
  changed: (object: JsonObject) => JsonObject,
): JsonObject {
  const value = fields.get(name);
  return value instanceof Map ? new Map(fields).set(name, changed(value)) : fields;
}

const bodyOf = (fields: JsonObject): StreamBody => ({ text: jsonTextOf(fields), fields });

/** As the node sees it: a field that is null counts as absent. */
const isAbsent = (value: Json | undefined): boolean => value === undefined || value === null;

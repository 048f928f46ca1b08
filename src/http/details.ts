/** The extra fields of a rejection, with their names on the wire. */
import type { Rejected } from "../node/api.ts";

type Details = NonNullable<Rejected["details"]>;

/** `endOffset` becomes `end_offset`. */
export const wireFields = (details: Details): Details =>
  Object.fromEntries(Object.entries(details).map(([name, value]) => [snakeCase(name), value]));

const snakeCase = (name: string): string =>
  name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

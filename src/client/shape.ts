/**
 * Checks the shape of an answer before its values are used. A shape carries the type of the answer,
 * from `api/`, so the compiler compares the checked fields with the API.
 */

/** @returns a description of the problem with its place; null if the value is valid. */
export type Shape<T = unknown> = ((value: unknown, at: string) => string | null) & {
  /** Exists for the compiler only. */
  readonly type?: () => T;
};

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

const wrong = (value: unknown, at: string, wanted: string): string =>
  value === undefined ? `${at} is missing` : `${at} is ${kindOf(value)}, not ${wanted}`;

export const integer: Shape<number> = (value, at) =>
  Number.isSafeInteger(value) ? null : wrong(value, at, "an integer");
export const number: Shape<number> = (value, at) =>
  typeof value === "number" ? null : wrong(value, at, "a number");
export const text: Shape<string> = (value, at) =>
  typeof value === "string" ? null : wrong(value, at, "a text");
export const flag: Shape<boolean> = (value, at) =>
  typeof value === "boolean" ? null : wrong(value, at, "true or false");
export const anything: Shape = (value, at) => (value === undefined ? `${at} is missing` : null);

export const orNull =
  <T>(shape: Shape<T>): Shape<T | null> =>
  (value, at) =>
    value === null ? null : shape(value, at);

export const optional =
  <T>(shape: Shape<T>): Shape<T | undefined> =>
  (value, at) =>
    value === undefined ? null : shape(value, at);

export const list =
  <T>(shape: Shape<T>): Shape<readonly T[]> =>
  (value, at) => {
    if (!Array.isArray(value)) return wrong(value, at, "a list");
    for (const [i, item] of value.entries()) {
      const problem = shape(item, `${at}[${i}]`);
      if (problem !== null) return problem;
    }
    return null;
  };

/** @param shapes of the fields that are used; the others are not checked. */
export const fields = <T extends object>(
  shapes: {
    readonly [Name in keyof T]?: Shape<T[Name]>;
  },
): Shape<T> => {
  const entries = Object.entries<Shape>(shapes as Readonly<Record<string, Shape>>);
  return (value, at) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return wrong(value, at === "" ? "the answer" : at, "an object");
    }
    const its = value as Readonly<Record<string, unknown>>;
    for (const [name, shape] of entries) {
      const problem = shape(its[name], at === "" ? name : `${at}.${name}`);
      if (problem !== null) return problem;
    }
    return null;
  };
};

/** An object with any names. */
export const record =
  <T>(shape: Shape<T>): Shape<Readonly<Record<string, T>>> =>
  (value, at) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return wrong(value, at, "an object");
    }
    for (const [name, item] of Object.entries(value)) {
      const problem = shape(item, `${at}.${name}`);
      if (problem !== null) return problem;
    }
    return null;
  };

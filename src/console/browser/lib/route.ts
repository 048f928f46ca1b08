/** The current place in the console: the part of the address after `#`. */

export type Route = {
  /** Decoded segments of the path. */
  readonly path: readonly string[];
  readonly query: URLSearchParams;
};

export function parseHash(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  return {
    path: path === "" ? [] : path.split("/").map(decoded),
    query: new URLSearchParams(query),
  };
}

/** Decodes a segment. Returns it unchanged if a user typed a percent sign that is not an escape. */
function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

export function hashOf(
  path: readonly string[],
  query: Readonly<Record<string, string | number | null>> = {},
): string {
  const given = Object.entries(query).flatMap(([name, value]) =>
    value === null || value === "" ? [] : [`${name}=${encodeURIComponent(value)}`],
  );
  const tail = given.length === 0 ? "" : `?${given.join("&")}`;
  return `#/${path.map(encodeURIComponent).join("/")}${tail}`;
}

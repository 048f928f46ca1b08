/** Where the console is: the part of the address behind `#`. */

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

/** An address that somebody typed may hold a lone percent sign. */
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

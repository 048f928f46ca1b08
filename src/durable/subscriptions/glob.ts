/**
 * Patterns of stream paths: `*` is one segment, `**` any number of them, everything else stands for
 * itself (`%2A` for an asterisk).
 */
export const matchesGlob = (pattern: string, path: string): boolean => globOf(pattern)(path);

/** Returns a test for paths of streams. It is made once for many paths. */
export function globOf(pattern: string): (path: string) => boolean {
  const parts = segmentsOf(pattern).map((part) =>
    part === "**" || part === "*" ? part : { literal: part.replace(/%2[Aa]/g, "*") },
  );
  return belowPrefix(parts) ?? byParts(parts);
}

/** Most patterns are a prefix and one wildcard, and are asked for very many paths. */
function belowPrefix(parts: readonly Part[]): ((path: string) => boolean) | null {
  const last = parts.at(-1);
  const literals = parts.slice(0, -1).flatMap((part) => (typeof part === "string" ? [] : [part]));
  if (typeof last !== "string" || literals.length < parts.length - 1) return null;
  const prefix = literals.map(({ literal }) => `${literal}/`).join("");
  if (last === "*") {
    return (path) =>
      path.length > prefix.length && path.startsWith(prefix) && !path.includes("/", prefix.length);
  }
  const whole = prefix.slice(0, -1);
  return (path) => path.startsWith(prefix) || path === whole;
}

function byParts(parts: readonly Part[]): (path: string) => boolean {
  return (path) => {
    const segments = segmentsOf(path);
    // reached[i]: the parts so far can stand for the first i segments.
    let reached = segments.map(() => false);
    reached.unshift(true);
    for (const part of parts) reached = after(part, reached, segments);
    return reached[segments.length] === true;
  };
}

type Part = "**" | "*" | { readonly literal: string };

function after(part: Part, reached: readonly boolean[], segments: readonly string[]): boolean[] {
  if (part === "**") {
    let before = false;
    return reached.map((isReached) => {
      before ||= isReached;
      return before;
    });
  }
  const literal = part === "*" ? null : part.literal;
  return reached.map(
    (_, i) => i > 0 && reached[i - 1] === true && (literal === null || literal === segments[i - 1]),
  );
}

const segmentsOf = (path: string): string[] => path.split("/").filter((part) => part !== "");

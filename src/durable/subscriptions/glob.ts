/**
 * Patterns of stream paths: `*` is one segment, `**` any number of them, everything else stands for
 * itself (`%2A` for an asterisk).
 */
export const matchesGlob = (pattern: string, path: string): boolean => globOf(pattern)(path);

/** Returns a test for paths. It is made once for many paths. */
export function globOf(pattern: string): (path: string) => boolean {
  const parts = segmentsOf(pattern).map((part) =>
    part === "**" || part === "*" ? part : { literal: part.replace(/%2[Aa]/g, "*") },
  );
  if (parts.length === 1 && parts[0] === "**") return () => true;
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

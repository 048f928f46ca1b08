/**
 * Patterns of stream paths: `*` is one segment, `**` any number of them, everything else stands for
 * itself (`%2A` for an asterisk).
 */
export function matchesGlob(pattern: string, path: string): boolean {
  const parts = segmentsOf(pattern);
  const segments = segmentsOf(path);
  // reached[i]: the parts so far can stand for the first i segments.
  let reached = segments.map(() => false);
  reached.unshift(true);
  for (const part of parts) reached = after(part, reached, segments);
  return reached[segments.length] === true;
}

function after(part: string, reached: readonly boolean[], segments: readonly string[]): boolean[] {
  if (part === "**") {
    let before = false;
    return reached.map((isReached) => {
      before ||= isReached;
      return before;
    });
  }
  const literal = part.replace(/%2[Aa]/g, "*");
  return reached.map(
    (_, i) => i > 0 && reached[i - 1] === true && (part === "*" || literal === segments[i - 1]),
  );
}

const segmentsOf = (path: string): string[] => path.split("/").filter((part) => part !== "");

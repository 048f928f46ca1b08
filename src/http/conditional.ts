/**
 * True if the value of `If-None-Match` is `*` or lists the tag. The comparison is the weak one, as
 * RFC 9110, section 13.1.2 demands: `W/"2"` and `"2"` are equal.
 *
 * @param tag without quotes.
 */
export function matchesTag(ifNoneMatch: string | null, tag: string): boolean {
  if (ifNoneMatch === null) return false;
  if (ifNoneMatch.trim() === "*") return true;
  for (const [, listed] of ifNoneMatch.matchAll(/(?:W\/)?"([^"]*)"/g)) {
    if (listed === tag) return true;
  }
  return false;
}

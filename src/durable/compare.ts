/**
 * Compares two texts by the bytes of their UTF-8. The order of UTF-16 differs from it for characters
 * beyond the basic plane.
 */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    const bothSurrogates = isSurrogate(x) === isSurrogate(y);
    return (bothSurrogates ? x - y : isSurrogate(x) ? 1 : -1) < 0 ? -1 : 1;
  }
  return Math.sign(a.length - b.length);
}

/** A surrogate stands for a character that is above every character of the basic plane. */
const isSurrogate = (code: number): boolean => code >= 0xd800 && code <= 0xdfff;

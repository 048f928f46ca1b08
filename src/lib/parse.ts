/**
 * Parses decimal integers 0 … 2^53−1 as the HTTP API defines them: digits only, no sign, no exponent,
 * no leading zero (except "0" itself), never rounded.
 *
 * @returns null for anything else.
 */
export function parseDecimal(text: string): number | null {
  const length = text.length;
  if (length === 0 || length > 16) return null;
  if (length > 1 && text.charCodeAt(0) === 48) return null;
  let value = 0;
  for (let i = 0; i < length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return null;
    value = value * 10 + digit;
  }
  return value <= Number.MAX_SAFE_INTEGER ? value : null;
}

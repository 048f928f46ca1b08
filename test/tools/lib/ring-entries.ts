/** The bytes of entry `n`, the same on every thread: their length and content tell them apart. */
export function entryAt(seed: number, n: number): Uint8Array<ArrayBuffer> {
  const mixed = Math.imul((seed ^ n) + 0x9e3779b9, 0x85ebca6b) >>> 0;
  const bytes = new Uint8Array(mixed % 300);
  for (let at = 0; at < bytes.length; at++) bytes[at] = (mixed >>> (at % 24)) + at + n;
  return bytes;
}

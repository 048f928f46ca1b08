import type { DiskFile } from "../../env/disk.ts";

const SLICE_BYTES = 1024 * 1024;

/** @returns the number of bytes that had to be overwritten. */
export async function zeroBehind(file: DiskFile, from: number, to: number): Promise<number> {
  const end = await endOfDirt(file, from, to);
  for (let start = from; start < end; start += SLICE_BYTES) {
    await file.write(start, new Uint8Array(Math.min(SLICE_BYTES, end - start)));
  }
  return end - from;
}

/** Returns the position after the last byte that is not zero, or `from` if there is none. */
export async function endOfDirt(file: DiskFile, from: number, to: number): Promise<number> {
  let end = from;
  for (let start = from; start < to; start += SLICE_BYTES) {
    const bytes = await file.read(start, Math.min(SLICE_BYTES, to - start));
    const dirty = lengthWithoutZeros(bytes);
    if (dirty > 0) end = start + dirty;
  }
  return end;
}

function lengthWithoutZeros(bytes: Uint8Array): number {
  let end = bytes.length;
  const aligned = bytes.byteOffset % 4 === 0;
  while (end > 0 && (end % 4 !== 0 || !aligned) && bytes[end - 1] === 0) end--;
  if (end % 4 !== 0 || !aligned) return end;
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, end / 4);
  let at = words.length;
  while (at > 0 && words[at - 1] === 0) at--;
  return at * 4;
}

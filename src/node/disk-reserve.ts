/** The reserve is at most a tenth of the disk, so an empty small disk does not count as full. */
const RESERVE_SHARE = 10;

/** Bytes that stay free on a disk of this size. */
export const reserveOn = (totalBytes: number, reserveBytes: number): number =>
  Math.min(reserveBytes, Math.floor(totalBytes / RESERVE_SHARE));

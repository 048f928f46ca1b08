/**
 * Offsets as clients see them: `<stream id>_<record offset>`, both with 16 digits, so that tokens sort
 * by their bytes. The id tells a stream from an earlier one of the same path.
 */
const DIGITS = 16;
const TOKEN = /^([0-9]{1,16})_([0-9]{1,16})$/;

/** Length of a token that this server has made, and the position of the record offset in it. */
export const TOKEN_LENGTH = 2 * DIGITS + 1;
export const OFFSET_AT = DIGITS + 1;
/** The end of the token of a stream's beginning. */
export const NO_RECORDS_YET = `_${"0".repeat(DIGITS)}`;
/** The beginning of any stream. */
export const ZERO_TOKEN = `${"0".repeat(DIGITS)}${NO_RECORDS_YET}`;
/** The position before the first record of any stream. */
export const BEFORE_FIRST = "-1";
/** The end of the stream at the time of the request. */
export const NOW = "now";

export type Position = { readonly streamId: number; readonly offset: number };

export const tokenOf = (streamId: number, offset: number): string =>
  `${String(streamId).padStart(DIGITS, "0")}_${String(offset).padStart(DIGITS, "0")}`;

/** @returns null if the text is not a token. The sentinels are not tokens. */
export function parseToken(text: string): Position | null {
  const [, streamId, offset] = TOKEN.exec(text) ?? [];
  if (streamId === undefined || offset === undefined) return null;
  return { streamId: Number(streamId), offset: Number(offset) };
}

import { decimalOrNull } from "./raw-url.ts";

/** `RF_COMPAT=ayder`: what clients of the C implementation expect (CONTRACT 11), in one place. */
export type Compat = {
  readonly healthBody: string;
  /** Unknown query parameters and JSON fields are ignored. */
  readonly ignoresUnknown: boolean;
  /** The `offset` of a read; null if it is absent. */
  readOffset(text: string | null | undefined): number | null;
  /** What a read gets that does not ask for a consistency. */
  readonly consistency: "applied" | "linearizable";
  /** An address of a member as `/ha/membership` prints it. */
  memberAddress(address: string): string;
  /** The offset to store, from the one in a commit request. */
  toNextOffset(committed: number): number;
  /**
   * The committed offset as it is shown.
   *
   * @param nextOffset what is stored; null before the first commit.
   * @param lowWatermark where such a group begins to read.
   */
  fromNextOffset(nextOffset: number | null, lowWatermark: number): number | null;
  /** Join keys compare as text, a side without a list of fields is `{}`, and so on. */
  readonly joinsAsAyder: boolean;
};

/** The committed offset is the next one to read. */
const OURS: Compat = {
  healthBody: '{"ok":true}',
  ignoresUnknown: false,
  readOffset: (text) => decimalOrNull(text, "offset"),
  consistency: "applied",
  memberAddress: (address) => address,
  toNextOffset: (committed) => committed,
  fromNextOffset: (nextOffset, lowWatermark) => nextOffset ?? lowWatermark,
  joinsAsAyder: false,
};

/** The committed offset is the last one that was worked off. */
const AYDER: Compat = {
  healthBody: '{"ok":1}',
  ignoresUnknown: true,
  readOffset: (text) => (text === "-1" ? 0 : decimalOrNull(text, "offset")),
  consistency: "linearizable",
  memberAddress: (address) => (address === "" ? "" : `http://${address}`),
  toNextOffset: (committed) => Math.min(committed + 1, Number.MAX_SAFE_INTEGER),
  fromNextOffset: (nextOffset) => (nextOffset === null || nextOffset === 0 ? null : nextOffset - 1),
  joinsAsAyder: true,
};

export const compatOf = (name: "ayder" | ""): Compat => (name === "ayder" ? AYDER : OURS);

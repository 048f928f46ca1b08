import type { JoinRules } from "../node/api.ts";
import { ayderJoinBody, ayderQueryBody } from "./compat-bodies.ts";
import { decimal } from "./raw-url.ts";
import type { StreamBody } from "./stream-body.ts";

/** `RF_COMPAT=ayder`: what clients of the C implementation expect (CONTRACT 11), in one place. */
export type Compat = {
  readonly healthBody: string;
  /** Unknown query parameters and JSON fields are ignored. */
  readonly ignoresUnknown: boolean;
  /** Parses the `offset` parameter of a read. */
  readOffset(text: string): number;
  /** The default consistency of a read. */
  readonly consistency: "applied" | "linearizable";
  /**
   * An address of a member as `/ha/membership` prints it.
   *
   * @param address `host:port`; empty if it is unknown.
   * @param tls whether it is reached by TLS.
   */
  memberAddress(address: string, tls: boolean): string;
  /** Returns the offset to store for the one in a commit request. */
  toNextOffset(committed: number): number;
  /**
   * The committed offset as it is shown.
   *
   * @param nextOffset the stored offset; null before the first commit.
   * @param lowWatermark the offset at which a group without a commit begins to read.
   */
  fromNextOffset(nextOffset: number | null, lowWatermark: number): number | null;
  /** Translates the body of a query or a view for the node. */
  queryBody(body: StreamBody): StreamBody;
  /** Translates the body of a join for the node. */
  joinBody(body: StreamBody): StreamBody;
  readonly joinRules: JoinRules;
};

/** The committed offset is the next one to read. */
const OURS: Compat = {
  healthBody: '{"ok":true}',
  ignoresUnknown: false,
  readOffset: (text) => decimal(text, "offset"),
  consistency: "applied",
  memberAddress: (address) => address,
  toNextOffset: (committed) => committed,
  fromNextOffset: (nextOffset, lowWatermark) => nextOffset ?? lowWatermark,
  queryBody: (body) => body,
  joinBody: (body) => body,
  joinRules: { keysAs: "value", oncePairs: "any" },
};

/** The committed offset is that of the last processed record. */
const AYDER: Compat = {
  healthBody: '{"ok":1}',
  ignoresUnknown: true,
  readOffset: (text) => (text === "-1" ? 0 : decimal(text, "offset")),
  consistency: "linearizable",
  memberAddress: (address, tls) => (address === "" ? "" : `${tls ? "https" : "http"}://${address}`),
  toNextOffset: (committed) => Math.min(committed + 1, Number.MAX_SAFE_INTEGER),
  fromNextOffset: (nextOffset) => (nextOffset === null || nextOffset === 0 ? null : nextOffset - 1),
  queryBody: ayderQueryBody,
  joinBody: ayderJoinBody,
  joinRules: { keysAs: "text", oncePairs: "in_order" },
};

export const compatOf = (name: "ayder" | ""): Compat => (name === "ayder" ? AYDER : OURS);

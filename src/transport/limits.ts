const KIB = 1024;
const MIB = 1024 * KIB;

export type TransportLimits = {
  /** Larger frames are neither sent nor taken. Above the largest entry. */
  readonly frameBytesMax: number;
  /** Messages to one peer share a frame until it has about this size. */
  readonly frameBytesTarget: number;
  /** What waits for one peer; more is dropped. Above what Raft has in flight. */
  readonly queueBytesMax: number;
  /** From the dial, or from taking a link, to the end of its handshake. */
  readonly handshakeTimeoutMs: number;
  /** Wait before the next dial: doubles from the first to the second with each failure. */
  readonly redialMinMs: number;
  readonly redialMaxMs: number;
  readonly pingMs: number;
  /** So many pings without an answer, while nothing moves either, end a link. */
  readonly pingsUnansweredMax: number;
  /** So many times `pingMs` without a frame end a link that another node dialled. */
  readonly idlePingsMax: number;
  /** Links that have not proven yet who dialled them. */
  readonly pendingLinksMax: number;
  readonly snapshotChunkBytes: number;
  /** Chunks that are sent and not yet confirmed as written. */
  readonly snapshotChunksInFlight: number;
  /** Without a word of the receiver for this long, ask where it is. */
  readonly snapshotStallMs: number;
};

export const TRANSPORT_LIMITS: TransportLimits = {
  frameBytesMax: 128 * MIB,
  frameBytesTarget: MIB,
  queueBytesMax: 192 * MIB,
  handshakeTimeoutMs: 5000,
  redialMinMs: 50,
  redialMaxMs: 2000,
  pingMs: 1000,
  pingsUnansweredMax: 5,
  idlePingsMax: 30,
  pendingLinksMax: 64,
  snapshotChunkBytes: 256 * KIB,
  snapshotChunksInFlight: 8,
  snapshotStallMs: 3000,
};
/** Nobody needs more before it is known who speaks. */
export const HANDSHAKE_BYTES_MAX = 128 * KIB;
/** Answers to pings are not queued behind more than this. */
export const PONG_BACKLOG_BYTES_MAX = 64 * KIB;

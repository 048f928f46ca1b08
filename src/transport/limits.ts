const KIB = 1024;
const MIB = 1024 * KIB;

export type TransportLimits = {
  /** Larger frames are neither sent nor accepted. Must exceed the largest entry. */
  readonly frameBytesMax: number;
  /** Messages to one peer share a frame until it reaches about this size. */
  readonly frameBytesTarget: number;
  /** Maximum bytes queued for one peer; more are dropped. Must exceed what Raft has in flight. */
  readonly queueBytesMax: number;
  /** Maximum duration of a handshake, from dialling or accepting the link. */
  readonly handshakeTimeoutMs: number;
  /** Delay before the next dial. It doubles from the minimum to the maximum with each failure. */
  readonly redialMinMs: number;
  readonly redialMaxMs: number;
  readonly pingMs: number;
  /** Number of unanswered pings, without other progress, after which a link is closed. */
  readonly pingsUnansweredMax: number;
  /** A link that a peer dialled is closed after this many times `pingMs` without a frame. */
  readonly idlePingsMax: number;
  /** Maximum number of inbound links that are not authenticated yet. */
  readonly pendingLinksMax: number;
  readonly snapshotChunkBytes: number;
  /** Maximum number of chunks that are sent and not confirmed as written. */
  readonly snapshotChunksInFlight: number;
  /** Time without a response from the receiver after which the sender asks for its position. */
  readonly snapshotStallMs: number;
};

export const TRANSPORT_LIMITS: TransportLimits = {
  // An entry closes at 1 MiB, after a command of a request of at most 16 MiB.
  frameBytesMax: 32 * MIB,
  frameBytesTarget: MIB,
  queueBytesMax: 192 * MIB,
  handshakeTimeoutMs: 5000,
  redialMinMs: 50,
  redialMaxMs: 2000,
  pingMs: 1000,
  pingsUnansweredMax: 5,
  idlePingsMax: 30,
  pendingLinksMax: 16,
  snapshotChunkBytes: 256 * KIB,
  snapshotChunksInFlight: 8,
  snapshotStallMs: 3000,
};
/**
 * Maximum size of a frame before the peer is verified, and of every frame from a peer that was
 * dialled. The names, the nonces and the proof of a hello are below 2 KiB. With TLS there are up to
 * four certificates too; then the peer has shown a valid one to TLS before.
 */
export const handshakeBytesMax = (isTls: boolean): number => (isTls ? 72 : 4) * KIB;
/** Pongs are dropped while more bytes than this are queued. */
export const PONG_BACKLOG_BYTES_MAX = 64 * KIB;

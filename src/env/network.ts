import type { NodeId } from "../lib/ids.ts";

/**
 * The connections to other nodes. `env/bun-network.ts` is the real network, with one WebSocket per
 * link. A simulated network follows the same rules.
 *
 * A link carries whole frames in both directions. The receiver gets a prefix of the frames that the
 * sender sent, in order and unchanged. A link may be slow or silent for any time, and may end at any
 * time without notice. Frames are not confirmed. Handlers are never called from within a call of
 * this interface.
 */
export interface Network {
  /**
   * Any host can dial and be dialled, so a link does not prove the identity of its other end. Absent
   * on networks that connect only nodes, such as simulated ones.
   */
  readonly isOpen?: boolean;
  /** Number of accepted connections whose other end is not verified. Absent if it is not known. */
  readonly unverifiedLinks?: number;
  /**
   * Starts to accept links that others dial.
   *
   * @param accept called with each link before its first frame. Returns the handlers of the link.
   * @param refused called with each connection that this network closes, and the reason.
   * @throws if the network cannot listen on the address.
   */
  listen(
    accept: (link: Link) => LinkHandlers,
    refused?: (reason: LinkRefusal, remote: string) => void,
  ): void;
  /** Dials a peer. Calls `opened`, then delivers frames. `closed` may come at any time. */
  dial(peer: PeerAddress, handlers: DialHandlers): Link;
  /** Closes the listener and every link. Handlers are not called any more. */
  close(): Promise<void>;
}

export type PeerAddress = {
  readonly id: NodeId;
  /** Name, IPv4 or IPv6 address (without brackets). */
  readonly host: string;
  readonly port: number;
};

/** Why a network closes a connection that was made to it. */
export type LinkRefusal =
  /** No link was opened in time. */
  | "timeout"
  /** Too many connections are not verified. */
  | "too_many"
  /** The other end sent too many bytes before it was verified. */
  | "too_long"
  /** The request does not open a link. */
  | "not_a_peer"
  /** The request to open a link does not prove the shared secret. */
  | "not_proven";

export interface Link {
  /**
   * Queues a frame. Its bytes are copied before this returns.
   *
   * @returns false if the link is not open and the frame was dropped.
   */
  send(frame: Uint8Array): boolean;
  /** Bytes that were sent and that the operating system has not accepted yet. */
  readonly bufferedBytes: number;
  /**
   * TLS certificate (DER) of the node that accepted this link. Its chain is verified, its name is
   * not. Null on accepted links and without TLS.
   */
  readonly certificate: Uint8Array | null;
  /** Address of the other end, for logs. */
  readonly remote: string;
  /**
   * Marks the other end of this accepted link as verified. The bounds for unverified links do not
   * apply to it any more.
   */
  verified(): void;
  /** Closes the link immediately. Its handlers are not called any more. */
  close(): void;
}

export interface LinkHandlers {
  /** @param bytes owned by the handler from now on. */
  frame(bytes: Uint8Array): void;
  /** The link is closed. Called at most once, after every other handler. */
  closed(reason: string): void;
}

export interface DialHandlers extends LinkHandlers {
  /** The link is open. Called before the first frame. */
  opened(): void;
}

/** The proof that a node presents together with its id. */
export type PeerProof = {
  /** Certificates in DER form: the node's own, then intermediate ones. */
  readonly certificates: readonly Uint8Array[];
  /** Signature with the key of the first certificate, over a statement that both ends know. */
  readonly signature: Uint8Array;
};

/** The identity that a peer presents, with everything that is needed to verify it. */
export type ExpectedPeer = {
  readonly id: NodeId;
  /** The node's address in the configuration. */
  readonly host: string;
  /** The other members. A certificate that names one of them does not belong to `id`. */
  readonly others: readonly NodeId[];
};

/** The end of a link that gives a proof. A proof is valid for one end only. */
export type LinkEnd = "dialler" | "acceptor";

/** Proves that this node knows the shared secret. Implemented by `env/shared-secret.ts`. */
export interface PeerSecret {
  /** Peers without a secret are accepted too, while a secret is added to a running cluster. */
  readonly isOptional: boolean;
  /** @returns the proof over a statement that both ends know. It has `SECRET_PROOF_BYTES` bytes. */
  prove(end: LinkEnd, statement: Uint8Array): Uint8Array;
  /** Verifies a proof in constant time. */
  accepts(end: LinkEnd, statement: Uint8Array, proof: Uint8Array): boolean;
}

/** Length of an HMAC-SHA256 in bytes. */
export const SECRET_PROOF_BYTES = 32;

/** Why an identity is not accepted: short, for logs and counters, without secrets. */
export type PeerRejection = string;

/** Proves this node's id to peers and verifies theirs. Implemented by `env/tls-identity.ts`. */
export interface PeerIdentity {
  /** SHA-256 of this node's certificate. */
  readonly fingerprint: Uint8Array;
  fingerprintOf(certificate: Uint8Array): Uint8Array;
  prove(statement: Uint8Array): PeerProof;
  /** Verifies the proof of the dialling node. @returns null if its identity is proven. */
  judgeDialler(
    expected: ExpectedPeer,
    statement: Uint8Array,
    proof: PeerProof,
  ): PeerRejection | null;
  /** Verifies the TLS certificate of the accepting node. @returns null if it is the dialled node. */
  judgeAcceptor(expected: ExpectedPeer, certificate: Uint8Array): PeerRejection | null;
}

import type { NodeId } from "../lib/ids.ts";

/**
 * The way to other nodes. Real: `env/bun-network.ts`, one WebSocket a link. Simulated: any that
 * keeps these rules.
 *
 * A link carries whole frames both ways. Of what one end sends, the other gets a prefix, in order
 * and unchanged; a link may be slow or silent for any time, and end at any time without a word.
 * Nothing says that a frame arrived. Handlers are never called from within a call of this interface.
 */
export interface Network {
  /**
   * Anybody can dial and be dialled, so a link by itself proves nothing about its other end. Absent
   * on networks that connect nodes only, such as simulated ones.
   */
  readonly isOpen?: boolean;
  /** Number of accepted connections whose other end is not verified. Absent if it is not known. */
  readonly unverifiedLinks?: number;
  /**
   * Begins to take links that others dial.
   *
   * @param accept called with each, before its first frame; what it returns hears of the link.
   * @param refused called with each connection that is closed for a reason of this network.
   * @throws if the address cannot be listened on.
   */
  listen(
    accept: (link: Link) => LinkHandlers,
    refused?: (reason: LinkRefusal, remote: string) => void,
  ): void;
  /** Sets out to reach a peer: `opened`, then frames, or `closed` at any time. */
  dial(peer: PeerAddress, handlers: DialHandlers): Link;
  /** Ends the listener and every link, without further calls to handlers. */
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
  /** More connections are not verified than are allowed at a time. */
  | "too_many"
  /** More bytes than are allowed before the other end is verified. */
  | "too_long"
  /** Something else than a request to open a link. */
  | "not_a_peer"
  /** The request to open a link does not prove the shared secret. */
  | "not_proven";

export interface Link {
  /**
   * Queues a frame; its bytes are copied before this returns.
   *
   * @returns false if the link is not open: the frame is dropped.
   */
  send(frame: Uint8Array): boolean;
  /** Bytes that were sent and that the operating system has not taken yet. */
  readonly bufferedBytes: number;
  /**
   * Who accepted the link, as its TLS certificate (DER) said while this link was made: the chain is
   * verified, the name is not. Null on accepted links and without TLS.
   */
  readonly certificate: Uint8Array | null;
  /** For logs: the other end's address. */
  readonly remote: string;
  /**
   * The other end of this accepted link is verified: the bounds for links that are not verified do
   * not apply any more.
   */
  verified(): void;
  /** Ends the link at once. Its handlers are not called any more. */
  close(): void;
}

export interface LinkHandlers {
  /** @param bytes owned by the handler from now on. */
  frame(bytes: Uint8Array): void;
  /** The link is gone. Called at most once, and last. */
  closed(reason: string): void;
}

export interface DialHandlers extends LinkHandlers {
  /** The link is open; before the first frame. */
  opened(): void;
}

/** What a node shows beside the claim to be somebody. */
export type PeerProof = {
  /** DER; its own first, then intermediate ones, if any. */
  readonly certificates: readonly Uint8Array[];
  /** By the key of the first certificate, over a statement that both ends know. */
  readonly signature: Uint8Array;
};

/** Who somebody claims to be, and all that is needed to judge it. */
export type ExpectedPeer = {
  readonly id: NodeId;
  /** Where the configuration says that this node is. */
  readonly host: string;
  /** The other members: whose certificate names one of them is not `id`. */
  readonly others: readonly NodeId[];
};

/** Which end of a link proves something: a proof of one end is never one of the other. */
export type LinkEnd = "dialler" | "acceptor";

/** Proves that this node knows the secret that the nodes share. Real: `env/shared-secret.ts`. */
export interface PeerSecret {
  /** Peers without a secret are let in too: while a running cluster is given one. */
  readonly isOptional: boolean;
  /** @returns the proof, `SECRET_PROOF_BYTES` long, over a statement that both ends know. */
  prove(end: LinkEnd, statement: Uint8Array): Uint8Array;
  /** In constant time. */
  accepts(end: LinkEnd, statement: Uint8Array, proof: Uint8Array): boolean;
}

/** Length of an HMAC-SHA256. */
export const SECRET_PROOF_BYTES = 32;

/** Why a claim is not believed; short, for logs and counters, without secrets. */
export type PeerRejection = string;

/** Proves this node's name to others and judges theirs. Real: `env/tls-identity.ts`. */
export interface PeerIdentity {
  /** SHA-256 of this node's certificate. */
  readonly fingerprint: Uint8Array;
  fingerprintOf(certificate: Uint8Array): Uint8Array;
  prove(statement: Uint8Array): PeerProof;
  /** Who dials shows a proof. @returns null if it is who it claims to be. */
  judgeDialler(
    expected: ExpectedPeer,
    statement: Uint8Array,
    proof: PeerProof,
  ): PeerRejection | null;
  /** Who accepts has shown its certificate to TLS. @returns null if it is who was dialled. */
  judgeAcceptor(expected: ExpectedPeer, certificate: Uint8Array): PeerRejection | null;
}

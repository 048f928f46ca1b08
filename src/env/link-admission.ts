import { ByteWriter } from "../lib/bytes.ts";
import type { NodeId } from "../lib/ids.ts";
import type { PeerSecret } from "./network.ts";

/** Header of the request that opens a link. */
export const ADMISSION_HEADER = "x-ayder-admission";
/** Prefix of the signed statement, so that the proof is not valid for a handshake. */
const DOMAIN = "ayder link opening v1";
const NONCE_BYTES = 32;
const PROOF_BYTES = 32;
/** Number of nonces that are remembered. A header that is used again is refused. */
const NONCES_MAX = 4096;

/**
 * Proves in the request that opens a link that the dialling node knows the shared secret, so that a
 * peer which does not know it never gets a WebSocket. The handshake on the link still decides who
 * the peer is: a header is not bound to its connection.
 */
export class LinkAdmission {
  readonly #secret: PeerSecret;
  readonly #self: NodeId;
  readonly #used = new Set<string>();

  constructor(secret: PeerSecret, self: NodeId) {
    this.#secret = secret;
    this.#self = self;
  }

  /** False while peers without the secret are accepted too. */
  get isRequired(): boolean {
    return !this.#secret.isOptional;
  }

  /** @returns the value of the header for a link to `to`. */
  prove(to: NodeId): string {
    const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
    const proof = this.#secret.prove("dialler", statementOf(to, nonce));
    return `${nonce.toHex()}.${proof.toHex()}`;
  }

  accepts(header: string | null): boolean {
    const bytes = bytesOf(header);
    if (bytes === null) return false;
    const nonce = bytes.subarray(0, NONCE_BYTES);
    const statement = statementOf(this.#self, nonce);
    if (!this.#secret.accepts("dialler", statement, bytes.subarray(NONCE_BYTES))) return false;
    const name = nonce.toHex();
    if (this.#used.has(name)) return false;
    this.#used.add(name);
    // A set iterates in insertion order, so the first nonce is the oldest.
    if (this.#used.size > NONCES_MAX) this.#used.delete(this.#used.keys().next().value ?? "");
    return true;
  }
}

function statementOf(to: NodeId, nonce: Uint8Array): Uint8Array {
  const writer = new ByteWriter(256);
  writer.text(DOMAIN);
  writer.text(to);
  writer.raw(nonce);
  return writer.take();
}

/** @returns the nonce and the proof, or null if the header has another form. */
function bytesOf(header: string | null): Uint8Array | null {
  const [, nonce, proof] = /^([0-9a-f]+)\.([0-9a-f]+)$/.exec(header ?? "") ?? [];
  if (nonce?.length !== 2 * NONCE_BYTES || proof?.length !== 2 * PROOF_BYTES) return null;
  return Uint8Array.fromHex(nonce + proof);
}

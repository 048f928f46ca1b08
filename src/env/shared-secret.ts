import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from "node:crypto";
import { type LinkEnd, type PeerSecret, SECRET_PROOF_BYTES } from "./network.ts";

/** Prefixes that make a proof valid for this purpose and for one end of a link only. */
const DOMAINS: Readonly<Record<LinkEnd, string>> = {
  dialler: "ayder peer secret v1 dialler\0",
  acceptor: "ayder peer secret v1 acceptor\0",
};

/**
 * The secret that the nodes of a cluster share (`RF_HA_SECRET`), proven by HMAC-SHA256 over what
 * both ends of a link know. The secret itself is never sent, logged or part of an error.
 */
export class SharedSecret implements PeerSecret {
  readonly isOptional: boolean;
  readonly #keys: readonly KeyObject[];

  /** @param secrets proofs are made with the first, and all are accepted. At least one, none empty. */
  constructor(secrets: readonly string[], isOptional: boolean) {
    this.#keys = secrets.map((secret) => createSecretKey(secret, "utf8"));
    this.isOptional = isOptional;
  }

  prove(end: LinkEnd, statement: Uint8Array): Uint8Array {
    return proofBy(this.#keys[0] as KeyObject, end, statement);
  }

  accepts(end: LinkEnd, statement: Uint8Array, proof: Uint8Array): boolean {
    if (proof.length !== SECRET_PROOF_BYTES) return false;
    let accepted = false;
    // All keys are tried, so that the response time does not tell which one matched.
    for (const key of this.#keys) {
      if (timingSafeEqual(proofBy(key, end, statement), proof)) accepted = true;
    }
    return accepted;
  }
}

const proofBy = (key: KeyObject, end: LinkEnd, statement: Uint8Array): Uint8Array =>
  createHmac("sha256", key).update(DOMAINS[end]).update(statement).digest();

import { createPrivateKey, type KeyObject, sign, verify, X509Certificate } from "node:crypto";
import { sha256 } from "../lib/digest.ts";
import type { NetworkTls } from "./bun-network.ts";
import type { Clock } from "./clock.ts";
import type { ExpectedPeer, PeerIdentity, PeerProof, PeerRejection } from "./network.ts";
import { chainProblem } from "./tls-chain.ts";
import { nameProblem } from "./tls-names.ts";

/** The operator's certificates cannot be used. The message never contains a part of a key. */
export class TlsUnusable extends Error {
  override readonly name = "TlsUnusable";
}

export type TlsIdentityOptions = {
  readonly tls: NetworkTls;
  readonly clock: Clock;
  /** False: every certificate of the authority is accepted, whatever name it has. */
  readonly strictId: boolean;
};

/** Extended key usage (RFC 5280, 4.2.1.12). */
const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";
const ANY_USAGE = "2.5.29.37.0";
const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

type Credentials = {
  readonly key: KeyObject;
  /** The node's own certificate comes first. */
  readonly chain: readonly X509Certificate[];
  readonly authorities: readonly X509Certificate[];
  readonly fingerprint: Uint8Array;
};

/** Proves this node's identity by its certificate, and verifies the certificates of peers. */
export class TlsIdentity implements PeerIdentity {
  readonly #clock: Clock;
  readonly #strictId: boolean;
  #credentials: Credentials;

  /** @throws TlsUnusable */
  constructor({ tls, clock, strictId }: TlsIdentityOptions) {
    this.#clock = clock;
    this.#strictId = strictId;
    this.#credentials = readCredentials(tls, clock.now());
  }

  /**
   * Loads new certificates while the node runs, before the network's `renew`. Open links stay open.
   *
   * @throws TlsUnusable; the old certificates stay in use.
   */
  renew(tls: NetworkTls): void {
    this.#credentials = readCredentials(tls, this.#clock.now());
  }

  get fingerprint(): Uint8Array {
    return this.#credentials.fingerprint;
  }

  fingerprintOf(certificate: Uint8Array): Uint8Array {
    return sha256(certificate);
  }

  prove(statement: Uint8Array): PeerProof {
    const { key, chain } = this.#credentials;
    const signature = sign(digestFor(key), statement, key);
    return { certificates: chain.map((certificate) => certificate.raw), signature };
  }

  judgeDialler(
    expected: ExpectedPeer,
    statement: Uint8Array,
    proof: PeerProof,
  ): PeerRejection | null {
    const [leaf, ...intermediates] = proof.certificates.map(parse);
    if (leaf === undefined || leaf === null) return "it showed no certificate";
    const known = intermediates.filter((certificate) => certificate !== null);
    const problem =
      usageProblem(leaf) ??
      chainProblem(leaf, known, this.#credentials.authorities, this.#clock.now()) ??
      this.#judgeNames(leaf, expected);
    if (problem !== null) return problem;
    return isSignedBy(leaf, statement, proof.signature)
      ? null
      : "it does not have the key of its certificate";
  }

  judgeAcceptor(expected: ExpectedPeer, certificate: Uint8Array): PeerRejection | null {
    const leaf = parse(certificate);
    if (leaf === null) return "its certificate cannot be read";
    // TLS has verified the chain and the dates, with intermediate certificates that are not here.
    return usageProblem(leaf) ?? this.#judgeNames(leaf, expected);
  }

  #judgeNames(leaf: X509Certificate, expected: ExpectedPeer): PeerRejection | null {
    return this.#strictId ? nameProblem(leaf, expected) : null;
  }
}

function readCredentials(tls: NetworkTls, nowMs: number): Credentials {
  const authorities = readCertificates(tls.ca, "RF_HA_TLS_CA");
  const chain = readCertificates(tls.cert, "RF_HA_TLS_CERT");
  const key = readKey(tls.key);
  const own = chain[0] as X509Certificate;
  if (!own.checkPrivateKey(key)) {
    throw new TlsUnusable("RF_HA_TLS_KEY is not the key of the certificate in RF_HA_TLS_CERT");
  }
  if (!authorities.some((authority) => authority.ca)) {
    throw new TlsUnusable("RF_HA_TLS_CA has no certificate of an authority (CA:TRUE)");
  }
  const problem = usageProblem(own) ?? chainProblem(own, chain.slice(1), authorities, nowMs);
  if (problem !== null) throw new TlsUnusable(`RF_HA_TLS_CERT: no peer would take it: ${problem}`);
  return { key, chain, authorities, fingerprint: sha256(own.raw) };
}

/** A node needs both uses, because it dials and is dialled. */
function usageProblem(leaf: X509Certificate): PeerRejection | null {
  if (leaf.ca) return "its certificate is an authority's";
  const allowed = leaf.keyUsage as readonly string[] | undefined;
  // A certificate without this extension is valid for every use.
  if (allowed === undefined || allowed.includes(ANY_USAGE)) return null;
  return allowed.includes(CLIENT_AUTH) && allowed.includes(SERVER_AUTH)
    ? null
    : "its certificate is not for this use (clientAuth and serverAuth are needed)";
}

function isSignedBy(leaf: X509Certificate, statement: Uint8Array, signature: Uint8Array): boolean {
  try {
    return verify(digestFor(leaf.publicKey), statement, leaf.publicKey, signature);
  } catch {
    return false; // A key of this kind cannot sign.
  }
}

/** Ed25519 and Ed448 have a fixed digest. */
const digestFor = (key: KeyObject): string | null =>
  key.asymmetricKeyType?.startsWith("ed") === true ? null : "sha256";

function parse(der: Uint8Array): X509Certificate | null {
  try {
    return new X509Certificate(der);
  } catch {
    return null;
  }
}

function readCertificates(pem: string, setting: string): readonly X509Certificate[] {
  const texts = pem.match(PEM_CERTIFICATE) ?? [];
  if (texts.length === 0) throw new TlsUnusable(`${setting} has no certificate in PEM form`);
  try {
    return texts.map((text) => new X509Certificate(text));
  } catch {
    throw new TlsUnusable(`${setting} has a certificate that cannot be read`);
  }
}

function readKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    // The cause is left out: it could quote the file.
    throw new TlsUnusable("RF_HA_TLS_KEY is not a private key in PEM form, or has a passphrase");
  }
}

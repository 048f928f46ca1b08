import type { X509Certificate } from "node:crypto";

/** Of a chain: leaf, intermediate ones, authority. */
const CHAIN_LENGTH_MAX = 5;

/**
 * Looks for a way from a certificate to one of the authorities. TLS has verified a chain for its own
 * use already; this one is for the certificate that a peer shows in the handshake above it.
 *
 * @param intermediates what the peer sent along; nothing in them is trusted.
 * @returns null if there is one and all of it is valid at `nowMs`; otherwise why not.
 */
export function chainProblem(
  leaf: X509Certificate,
  intermediates: readonly X509Certificate[],
  authorities: readonly X509Certificate[],
  nowMs: number,
): string | null {
  const early = dateProblem(leaf, nowMs);
  if (early !== null) return early;
  let current = leaf;
  for (let length = 1; length < CHAIN_LENGTH_MAX; length++) {
    const root = authorities.find((authority) => isIssuer(authority, current));
    if (root !== undefined) {
      return dateProblem(root, nowMs) === null ? null : "its authority's certificate has expired";
    }
    const next = intermediates.find((other) => isIssuer(other, current));
    if (next === undefined) return "no known authority has signed its certificate";
    if (dateProblem(next, nowMs) !== null) return "an intermediate certificate is not valid now";
    current = next;
  }
  return "its chain of certificates is too long";
}

const isIssuer = (issuer: X509Certificate, of: X509Certificate): boolean =>
  issuer.ca && of.checkIssued(issuer) && of.verify(issuer.publicKey);

function dateProblem(certificate: X509Certificate, nowMs: number): string | null {
  if (nowMs < certificate.validFromDate.getTime()) return "its certificate is not valid yet";
  if (nowMs > certificate.validToDate.getTime()) return "its certificate has expired";
  return null;
}

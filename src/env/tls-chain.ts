import type { X509Certificate } from "node:crypto";

/** Maximum length of a chain: leaf, intermediate certificates, authority. */
const CHAIN_LENGTH_MAX = 5;

/**
 * Looks for a chain from a certificate to one of the authorities. TLS verifies the certificate of
 * the connection. This function verifies the one that a peer presents in the handshake above TLS.
 *
 * @param intermediates certificates that the peer sent with its own. None of them is trusted.
 * @returns null if a chain exists and all of it is valid at `nowMs`, otherwise the reason.
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

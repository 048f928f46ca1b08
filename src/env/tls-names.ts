import type { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { ExpectedPeer } from "./network.ts";

/**
 * Checks that a certificate belongs to the node whose id a peer presents.
 *
 * The names of a certificate are its common name and its alternative names (DNS, URI, IP). The
 * certificate is accepted if the node's id is among them. Otherwise it is accepted if the node's
 * configured address is among them and no id of another member is. Several nodes may share an
 * address, or all have 127.0.0.1 in their certificates, so the address alone is not sufficient.
 *
 * @returns null if the certificate belongs to the node, otherwise the reason.
 */
export function nameProblem(certificate: X509Certificate, expected: ExpectedPeer): string | null {
  const names = new Set(namesOf(certificate));
  if (names.has(fold(expected.id))) return null;
  if (expected.others.some((other) => names.has(fold(other)))) {
    return "its certificate is another member's";
  }
  if (coversHost(certificate, expected.host)) return null;
  return "its certificate has neither its id nor its host";
}

/** Ids are compared without case, as host names are: operators write both in certificates. */
const fold = (name: string): string => name.toLowerCase();

/** Wildcards are not accepted: a name that many nodes share does not identify one of them. */
function coversHost(certificate: X509Certificate, host: string): boolean {
  if (isIP(host) !== 0) return certificate.checkIP(host) !== undefined;
  return certificate.checkHost(host, { subject: "never", wildcards: false }) !== undefined;
}

function namesOf(certificate: X509Certificate): string[] {
  const names: string[] = [];
  for (const line of certificate.subject.split("\n")) {
    if (line.startsWith("CN=")) names.push(fold(line.slice(3)));
  }
  for (const entry of alternativeNames(certificate.subjectAltName ?? "")) {
    const colon = entry.indexOf(":");
    if (["DNS", "URI"].includes(entry.slice(0, colon))) names.push(fold(entry.slice(colon + 1)));
  }
  return names;
}

/**
 * Splits `DNS:a, DNS:b`. A name that could be misread is quoted (CVE-2021-44532), so it never matches.
 */
const alternativeNames = (text: string): string[] =>
  text.includes('"') ? [] : text.split(", ").filter((entry) => entry !== "");

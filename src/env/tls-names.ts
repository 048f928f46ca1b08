import type { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { ExpectedPeer } from "./network.ts";

/**
 * Whether a certificate is for the node that somebody claims to be.
 *
 * Its names are the common name and the alternative names (DNS, URI, IP). The node's id among them
 * is proof. Otherwise, the address under which the configuration knows the node will do, unless the
 * certificate names another member: several nodes may share an address, or all have 127.0.0.1 in
 * their certificates, and one of them is then still not another.
 *
 * @returns null if it is, otherwise why not.
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

/** Host names have no case, and ids follow them, as operators write both in certificates. */
const fold = (name: string): string => name.toLowerCase();

/** No wildcards: a name that many nodes have says of none who it is. */
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

/** `DNS:a, DNS:b`; a name that could be misread is quoted (CVE-2021-44532) and thus no name here. */
const alternativeNames = (text: string): string[] =>
  text.includes('"') ? [] : text.split(", ").filter((entry) => entry !== "");

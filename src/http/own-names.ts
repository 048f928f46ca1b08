/**
 * Recognizes host names that are safe against DNS rebinding. The owner of a public name can point
 * it at 127.0.0.1 after a page was loaded, and the page can then send any request to this server.
 * This is not possible for an IP address or for a name that does not exist in public DNS.
 */
const ADDRESS = /^(\[.*\]|\d{1,3}(\.\d{1,3}){3})$/;
/** RFC 6761, 6762, 8375 and ICANN's `internal`, which Docker uses too. */
const NOT_PUBLIC = /\.(localhost|local|internal|home\.arpa|test)$/;

/**
 * @param host the value of the header, with or without a port; null if it is absent.
 * @param listenedOn name that the operator configured to listen on; empty if none.
 */
export function isOwnName(host: string | null, listenedOn: string): boolean {
  if (host === null) return true;
  const name = host.replace(/:\d*$/, "").replace(/\.$/, "").toLowerCase();
  if (!name.includes(".") || ADDRESS.test(name) || NOT_PUBLIC.test(name)) return true;
  return name === listenedOn.toLowerCase();
}

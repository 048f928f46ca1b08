/**
 * Headers by which a proxy tells that it passed a request on: RFC 9110 (Via) and RFC 7239
 * (Forwarded), what nginx, Apache, HAProxy, Envoy and Traefik add by custom, and those of the
 * large providers. Clients have no reason to send them.
 */
const PROXY_HEADERS = new Set([
  "via",
  "forwarded",
  "forwarded-for",
  "x-real-ip",
  "x-client-ip",
  "x-cluster-client-ip",
  "x-original-host",
  "x-original-forwarded-for",
  "x-original-url",
  "x-proxyuser-ip",
  "proxy-client-ip",
  "wl-proxy-client-ip",
  "x-envoy-external-address",
  "x-envoy-internal",
  "cdn-loop",
  "cf-connecting-ip",
  "cf-connecting-ipv6",
  "cf-ray",
  "cf-visitor",
  "true-client-ip",
  "akamai-origin-hop",
  "fastly-client-ip",
  "fly-client-ip",
  "x-amzn-trace-id",
  "x-amz-cf-id",
  "x-azure-clientip",
  "x-azure-socketip",
  "x-azure-fdid",
  "x-arr-log-id",
  "x-appengine-user-ip",
  "x-cloud-trace-context",
  "tailscale-user-login",
]);
/** X-Forwarded-For, -Host, -Proto, -Port and their relatives. */
const PROXY_PREFIX = "x-forwarded";

/** @returns the name of the first header that a proxy has added; null: none. */
export function proxyHeaderOf(headers: Headers): string | null {
  for (const name of headers.keys()) {
    if (name.startsWith(PROXY_PREFIX) || PROXY_HEADERS.has(name)) return name;
  }
  return null;
}

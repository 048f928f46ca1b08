/** Addresses of servers, and names and keys in paths. */
import { AyderError } from "./errors.ts";

/**
 * Returns the base address of requests, without a slash at its end. Only http and https are
 * accepted: some runtimes also fetch files, data URLs and buckets, and sign requests to buckets.
 *
 * @throws TypeError
 */
export function baseOf(url: string): string {
  if (!URL.canParse(url))
    throw new TypeError(`${JSON.stringify(url)} is not an address such as http://localhost:1109`);
  const { protocol, origin, pathname, username, password } = new URL(url);
  if (protocol !== "http:" && protocol !== "https:") {
    throw new TypeError(`not an http or https address: ${url}`);
  }
  if (username !== "" || password !== "") {
    throw new TypeError(`the address of ${origin} has a user or password; pass a token instead`);
  }
  return origin + pathname.replace(/\/+$/, "");
}

/**
 * Returns the address of a leader that a server names. Only host and port of it are used.
 *
 * @param from the server's own address, the base of a relative address.
 * @throws TypeError for another scheme, for http after https, and for a user in the address.
 */
export function leaderAddress(named: string, from: string): string {
  if (!URL.canParse(named, from)) throw new TypeError("it is not an address");
  const { protocol, origin, username, password } = new URL(named, from);
  if (protocol !== "http:" && protocol !== "https:") {
    throw new TypeError("only http and https are followed");
  }
  if (username !== "" || password !== "") throw new TypeError("it has a user or password");
  if (protocol === "http:" && from.startsWith("https:")) {
    throw new TypeError("it has no TLS; the token is not sent there");
  }
  return origin;
}

/** True if an address is this machine, which no proxy can reach for us. */
export function isLoopback(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { hostname } = new URL(url);
  return /^((.+\.)?localhost\.?|127(\.\d+){3}|0\.0\.0\.0|\[::1?\]|\[::ffff:7f[\da-f]{2}:[\da-f]+\])$/.test(
    hostname,
  );
}

/**
 * Escapes a name for a path. `fetch` resolves dot segments, escaped or not, before it sends.
 *
 * @throws AyderError for a name that would change the path.
 */
export function segment(name: string): string {
  if (name === "" || name === "." || name === "..") throw invalid(name);
  return encodeURIComponent(name);
}

/** A path with more segments is treated by the server as one that was changed on its way. */
const SEGMENTS_MAX = 64;

/**
 * Escapes a key for a path. Slashes stay readable. They are escaped if the path could be changed on
 * its way: if a segment is empty or a dot segment, or if there are many segments.
 */
export function keyPath(key: string): string {
  const segments = key.split("/");
  const mayChange = segments.some((each) => each === "" || each === "." || each === "..");
  return mayChange || segments.length > SEGMENTS_MAX
    ? segment(key)
    : segments.map(encodeURIComponent).join("/");
}

const invalid = (name: string): AyderError =>
  new AyderError(`${JSON.stringify(name)} is not allowed as a name or as a segment of a path`, {
    code: "invalid_name",
    status: 0,
    outcome: "refused",
    isRetriable: false,
  });

/** Addresses of servers, and names and keys in paths. */
import { AyderError } from "./errors.ts";

/**
 * The address that requests begin with, without a slash at its end. Only http and https are taken:
 * some runtimes fetch files, data and buckets too, and sign requests to those.
 *
 * @throws TypeError
 */
export function baseOf(url: string): string {
  if (!URL.canParse(url)) throw new TypeError(`${JSON.stringify(url)} is not an address`);
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
 * The address of a leader that a server names. Host and port are all that is taken of it.
 *
 * @param from the server's own address, which a relative address means.
 * @throws TypeError for another scheme, for https left for http, and for a user in the address.
 */
export function leaderAddress(named: string, from: string): string {
  if (!URL.canParse(named, from)) throw new TypeError("it is not an address");
  const { protocol, origin, username, password } = new URL(named, from);
  if (protocol !== "http:" && protocol !== "https:") {
    throw new TypeError("only http and https are followed");
  }
  if (username !== "" || password !== "") throw new TypeError("it has a user or password");
  if (protocol === "http:" && from.startsWith("https:")) {
    throw new TypeError("it is without TLS; the token stays here");
  }
  return origin;
}

/** Whether an address is this machine's own, so that no proxy can reach it for us. */
export function isLoopback(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { hostname } = new URL(url);
  return /^((.+\.)?localhost\.?|127(\.\d+){3}|0\.0\.0\.0|\[::1?\]|\[::ffff:7f[\da-f]{2}:[\da-f]+\])$/.test(
    hostname,
  );
}

/**
 * `fetch` resolves dot segments, escaped or not, before it sends.
 *
 * @throws AyderError for a name that would change the path.
 */
export function segment(name: string): string {
  if (name === "" || name === "." || name === "..") throw invalid(name);
  return encodeURIComponent(name);
}

/** A server reads a path with more segments as one that was changed on its way. */
const SEGMENTS_MAX = 64;

/**
 * Slashes stay as they are, for readable addresses. They are escaped where the path could be changed
 * on its way: if a segment between them is empty or a dot segment, or if there are many.
 */
export function keyPath(key: string): string {
  const segments = key.split("/");
  const mayChange = segments.some((each) => each === "" || each === "." || each === "..");
  return mayChange || segments.length > SEGMENTS_MAX
    ? segment(key)
    : segments.map(encodeURIComponent).join("/");
}

const invalid = (name: string): AyderError =>
  new AyderError(`${JSON.stringify(name)} cannot be a name in a path`, {
    code: "invalid_name",
    status: 0,
    outcome: "refused",
    isRetriable: false,
  });

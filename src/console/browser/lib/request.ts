/** A request to the public API as a value, for `fetch` and for "Copy as curl". */
import { toBase64, utf8 } from "./bytes.ts";

export type ApiRequest = {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** Encoded path with its query. */
  readonly path: string;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  readonly accept?: string;
  /** Other headers, by their names. */
  readonly headers?: Readonly<Record<string, string>>;
};

export type Query = Readonly<Record<string, string | number | null | undefined>>;

/** Adds the parameters that have a value. */
export function withQuery(path: string, query: Query): string {
  const parts = Object.entries(query).flatMap(([name, value]) =>
    value === null || value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`],
  );
  return parts.length === 0 ? path : `${path}?${parts.join("&")}`;
}

/** Quotes for a shell: inside single quotes only the quote itself is special. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** Larger bodies are piped, because Linux limits an argument to 128 KiB. */
const ARGUMENT_BYTES_MAX = 100_000;

export type CurlTarget = {
  /** `http://host:port`, with the prefix of a reverse proxy if there is one. */
  readonly base: string;
  /** True if writes may have to follow a redirect to another node. */
  readonly cluster: boolean;
};

/** Formats the request as a line for a POSIX shell that has the token in `$AYDER_TOKEN`. */
export function curlOf(request: ApiRequest, { base, cluster }: CurlTarget): string {
  const { method, path, body, accept, headers = {} } = request;
  const parts = [accept === "text/event-stream" ? "curl -sSN" : "curl -sS"];
  if (cluster && method !== "GET") parts.push("-L --location-trusted");
  if (method !== (body === undefined ? "GET" : "POST")) parts.push(`-X ${method}`);
  parts.push('-H "Authorization: Bearer $AYDER_TOKEN"');
  if (accept !== undefined) parts.push(`-H ${quoted(`Accept: ${accept}`)}`);
  for (const [name, value] of Object.entries(headers)) {
    parts.push(`-H ${quoted(`${name}: ${value}`)}`);
  }
  parts.push(quoted(base + path));
  if (body === undefined) return parts.join(" ");
  if (typeof body === "string" && fitsArgument(body)) {
    return [...parts, `--data-raw ${quoted(body)}`].join(" ");
  }
  const bytes = typeof body === "string" ? utf8(body) : body;
  return `printf %s ${quoted(toBase64(bytes))} | base64 -d | ${parts.join(" ")} --data-binary @-`;
}

const fitsArgument = (text: string): boolean =>
  text.length * 3 < ARGUMENT_BYTES_MAX && !text.includes("\u0000") && text.isWellFormed();

/** The error of the client. An aborted call throws the reason of the caller's signal instead. */

import { AnswerTooLarge } from "./answer-body.ts";

export type AyderErrorInit = {
  readonly code: string;
  readonly status: number;
  readonly outcome: "refused" | "unknown";
  readonly isRetriable: boolean;
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly retryAfterMs?: number | undefined;
  readonly helpUrl?: string | undefined;
  readonly cause?: unknown;
};

export class AyderError extends Error {
  override readonly name = "AyderError";
  /**
   * The server's `error`, such as `topic_not_found`. Without an answer: `unreachable` (no connection
   * could be made), `connection_lost`, `timeout`. `bad_answer` if the answer is not from Ayder or too
   * long, or if a redirect is not followed. `queue_full` and `sequence_conflict` of a producer.
   */
  readonly code: string;
  /** HTTP status; 0 if there was no answer. */
  readonly status: number;
  /** `refused`: nothing was done. `unknown`: the request may have been executed, or may be later. */
  readonly outcome: "refused" | "unknown";
  /** True if the same request may succeed later. The client has already retried for `retryMs`. */
  readonly isRetriable: boolean;
  /** The fields of the answer: `expected`, `current`, `end_offset` and so on. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** The time of the header `Retry-After`. */
  readonly retryAfterMs: number | undefined;
  /** The page about this error in the manual of the server that answered. */
  readonly helpUrl: string | undefined;

  constructor(message: string, init: AyderErrorInit) {
    super(message, init.cause === undefined ? undefined : { cause: init.cause });
    this.code = init.code;
    this.status = init.status;
    this.outcome = init.outcome;
    this.isRetriable = init.isRetriable;
    this.fields = init.fields ?? {};
    this.retryAfterMs = init.retryAfterMs;
    this.helpUrl = init.helpUrl;
  }
}

/** Marks the outcome unknown, because an earlier attempt may have been executed. */
export const asUnknown = (error: AyderError): AyderError =>
  error.outcome === "unknown"
    ? error
    : new AyderError(`${error.message} (the outcome of an earlier attempt is unknown)`, {
        ...error,
        outcome: "unknown",
        cause: error,
      });

/**
 * Converts an answer other than 2xx to an error.
 *
 * @param server its base address, and its name for messages.
 */
export function errorOfAnswer(
  { status, headers }: { readonly status: number; readonly headers: Headers },
  text: string,
  { base, where }: { readonly base: string; readonly where: string },
): AyderError {
  const fields = objectOf(text);
  const retryAfter = headers.get("retry-after");
  const known = typeof fields?.["error"] === "string";
  const code = known ? String(fields["error"]) : "bad_answer";
  const message = known ? String(fields["message"] ?? code) : `${where} answered HTTP ${status}`;
  const seconds = retryAfter === null ? Number.NaN : Number(retryAfter);
  return new AyderError(message, {
    code,
    status,
    outcome: outcomeOf(status, known),
    isRetriable: RETRIABLE.has(status),
    fields: fields ?? {},
    retryAfterMs: Number.isFinite(seconds) ? seconds * 1000 : undefined,
    helpUrl: helpUrlOf(headers.get("link"), base),
  });
}

/**
 * Address of the page of the manual that the header `Link` of an answer names. Only paths of the
 * manual are accepted, because the header may come from another server.
 *
 * @param base address of the server, to which the path is relative, also behind a prefix.
 */
export function helpUrlOf(link: string | null, base: string): string | undefined {
  const path = /<(\/docs\/[a-z0-9-]+)>; *rel="?help"?/.exec(link ?? "")?.[1];
  return path === undefined ? undefined : base + path;
}

/** 502 comes from proxies. 500 (a bug) and 507 (disk full) do not go away with time. */
const RETRIABLE = new Set([429, 502, 503, 504]);
/** An error of Ayder with any other status means that nothing was done; a proxy may be wrong. */
const outcomeOf = (status: number, known: boolean): "refused" | "unknown" =>
  status === 500 || status === 504 || (status >= 500 && !known) ? "unknown" : "refused";

/** The server is not Ayder, or a version that this client does not know. Retries do not help. */
export const badAnswer = (
  message: string,
  status: number,
  outcome: "refused" | "unknown",
  cause?: unknown,
): AyderError =>
  new AyderError(message, { code: "bad_answer", status, outcome, isRetriable: false, cause });

/** Codes of errors that occur before any byte of the request is sent, in Node and in Bun. */
const NOT_SENT = new Set([
  "ECONNREFUSED",
  "ConnectionRefused",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT",
  "FailedToOpenSocket",
]);

/** Converts the rejection of `fetch` to an error. */
export function errorOfFetch(cause: unknown, where: string): AyderError {
  const code = codeOf(cause);
  const unreachable = NOT_SENT.has(code);
  const timeout = cause instanceof Error && cause.name === "TimeoutError";
  if (cause instanceof AnswerTooLarge) {
    return badAnswer(`${where}: ${cause.message}`, 0, "unknown", cause);
  }
  const reason = timeout ? "it did not answer in time" : code || messageOf(cause);
  return new AyderError(`${where} ${unreachable ? "cannot be reached" : "is lost"}: ${reason}`, {
    code: unreachable ? "unreachable" : timeout ? "timeout" : "connection_lost",
    status: 0,
    outcome: unreachable ? "refused" : "unknown",
    isRetriable: true,
    cause,
  });
}

function codeOf(error: unknown): string {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if ("code" in at && typeof at.code === "string") return at.code;
  }
  return "";
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : "");

function objectOf(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** Responses and their shared headers. */
import { utf8 } from "../lib/bytes.ts";
import type { Rejected } from "../node/api.ts";
import { ONE_WRITE_BYTES_MAX } from "./answer-streams.ts";
import { COMPRESSED_FROM_BYTES } from "./compression.ts";
import { wireFields } from "./details.ts";
import { ApiError, type ErrorFields, errorResponse, HTTP_ERRORS, helpLink } from "./errors.ts";
import type { HttpOptions } from "./options.ts";
import type { RequestContext } from "./request-context.ts";

// Shared by all responses: reusing a Headers object is cheaper than a literal for each response.
const JSON_HEADERS = new Headers({ "content-type": "application/json" });
export const JSON_INIT = { headers: JSON_HEADERS };
/** For a response that would be compressed if the client asked for it. */
const VARIED_JSON_INIT = {
  headers: new Headers({ "content-type": "application/json", vary: "accept-encoding" }),
};
const ACCEPTED_INIT = { status: 202, headers: JSON_HEADERS };

/**
 * A response with a body that the middleware may compress or send in pieces. The middleware refuses
 * a large one while too many response bytes are on their way to clients.
 */
export class SizedAnswer extends Response {
  readonly content: Uint8Array<ArrayBuffer>;

  constructor(content: Uint8Array<ArrayBuffer>, init: ResponseInit) {
    super(null, init);
    this.content = content;
  }
}

/** @param body a small one is copied; the bytes of a larger one must not change afterwards. */
export function bodyAnswer(body: string | Uint8Array<ArrayBuffer>, init: ResponseInit): Response {
  if (body.length < COMPRESSED_FROM_BYTES) return new Response(body, init);
  return new SizedAnswer(typeof body === "string" ? utf8(body) : body, init);
}

/**
 * Like `jsonText`, for hot routes: makes a single `Response` unless the client asks for compression
 * or the body is large.
 *
 * @param body may change after the call.
 */
export function hotJson({ headers }: Request, body: string | Uint8Array<ArrayBuffer>): Response {
  if (body.length < COMPRESSED_FROM_BYTES) return new Response(body, JSON_INIT);
  if (body.length <= ONE_WRITE_BYTES_MAX && !headers.has("accept-encoding")) {
    return new Response(body, VARIED_JSON_INIT);
  }
  return new SizedAnswer(typeof body === "string" ? utf8(body) : body.slice(), JSON_INIT);
}

export const jsonText = (body: string | Uint8Array<ArrayBuffer>): Response =>
  bodyAnswer(body, JSON_INIT);
/**
 * Returns the response to a HEAD whose GET is streamed, so that its length is unknown. Without the
 * header, Bun would send a Content-Length of 0.
 */
export function headOfPieces(headers: Headers): Response {
  headers.set("transfer-encoding", "chunked");
  return new Response(null, { headers });
}

/** 202: the write is still in progress. */
export const acceptedText = (body: string): Response => new Response(body, ACCEPTED_INIT);

/**
 * Returns the body as JSON. The type parameter is the type of the answer in `api/`, so that the
 * compiler compares the two: `json<TopicList>({ ok: true, topics })`. Without it, nothing is accepted.
 */
export const json = <Answer extends object = never>(body: NoInfer<Answer>): Response =>
  jsonText(JSON.stringify(body));

/** Formats a partition for messages: `topic "orders", partition 9`. */
export const placeOf = (topic: string, partition: number | null): string =>
  partition === null ? `topic "${topic}"` : `topic "${topic}", partition ${partition}`;

/**
 * Formats the value at fault of a change to something that reads a topic.
 *
 * @param own the thing itself: `queue "jobs"`.
 */
export const aboutReader = ({ code }: Rejected, topic: string | null, own: string): string =>
  code === "topic_not_found" ? `topic "${topic}"` : own;

/** Maps rejections of the node and API errors to responses, and `not_leader` to the redirect. */
export class ErrorMapper {
  readonly #options: HttpOptions;
  readonly #leaderUrl: () => string | null;

  constructor(options: HttpOptions, leaderUrl: () => string | null) {
    this.#options = options;
    this.#leaderUrl = leaderUrl;
  }

  /** @param about the value that was wrong, for the message; empty if no value is at fault. */
  answer(context: RequestContext, rejection: Rejected, about = ""): Response {
    const { code, details } = rejection;
    if (code === "not_leader") return this.#notLeader(context);
    if (code === "overloaded") this.#options.instruments.overloadRejects.value++;
    const fields = details === undefined ? null : wireFields(details);
    return this.error(
      new ApiError(code, messageOf(rejection, about), fields && withBooleans(fields)),
    );
  }

  /** @param why the resource that is used up, for the message. */
  overloaded(why: string): Response {
    this.#options.instruments.overloadRejects.value++;
    return this.error(new ApiError("overloaded", why));
  }

  error({ code, message, fields, headers }: ApiError): Response {
    const retry = HTTP_ERRORS[code].status === 503 && headers === null;
    return errorResponse(code, message, fields, retry ? this.#retryAfter() : headers);
  }

  /** Returns the response to a write that only the leader can do. */
  #notLeader(context: RequestContext): Response {
    const leaderUrl = this.#leaderUrl();
    if (leaderUrl === null) return this.error(new ApiError("no_leader"));
    // The leader has changed since the request arrived. A client of a forwarding node does not
    // expect a redirect, and HTTP clients may drop the Authorization header when they follow one.
    if (this.#options.forwardWrites !== undefined) {
      return this.error(new ApiError("not_leader", LEADER_CHANGED));
    }
    const status = this.#options.redirectStatus;
    const location = leaderUrl + context.target;
    const body = {
      ok: false,
      error: "redirect_to_leader",
      message: "This node is not the leader; send the request to the leader",
      docs: "https://ayder.dev/docs/api/cluster",
      leader_url: leaderUrl,
      redirect: { status, location },
    };
    const headers = { "content-type": "application/json", link: helpLink("cluster"), location };
    return new Response(JSON.stringify(body), { status, headers });
  }

  #retryAfter(): Record<string, string> {
    return { "retry-after": String(this.#options.retryAfterSeconds) };
  }
}

const LEADER_CHANGED =
  "This node is not the leader, and the leader has just changed; nothing was done, try again";

/** @param about the value that was wrong; empty if no value is at fault. */
export function messageOf({ code, message, details }: Rejected, about: string): string {
  if (message !== undefined) return message;
  const { message: usual, status } = HTTP_ERRORS[code];
  if (about === "" || status >= 500) return usual;
  return `${usual}: ${about}${inNumbers(details === undefined ? null : wireFields(details))}`;
}

/** Formats the allowed values from the details: ` (end_offset 6)`. */
function inNumbers(fields: ErrorFields | null): string {
  if (fields === null) return "";
  const parts = Object.entries(fields).map(([name, value]) => `${name} ${value}`);
  return parts.length === 0 ? "" : ` (${parts.join(", ")})`;
}

/** `details` cannot contain booleans, but `expired` is a boolean in the contract. */
const withBooleans = (fields: ErrorFields): ErrorFields =>
  fields["expired"] === undefined ? fields : { ...fields, expired: true };

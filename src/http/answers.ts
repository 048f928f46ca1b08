/** Ready-made parts of responses. */
import { utf8 } from "../lib/bytes.ts";
import type { Rejected } from "../node/api.ts";
import { ONE_WRITE_BYTES_MAX } from "./answer-streams.ts";
import type { Call } from "./call.ts";
import { ApiError, type ErrorFields, errorResponse, HTTP_ERRORS, helpLink } from "./errors.ts";
import type { HttpOptions } from "./options.ts";

// Shared by all answers: a Headers object that is made once is cheaper than a literal each time.
const JSON_HEADERS = new Headers({ "content-type": "application/json" });
export const JSON_INIT = { headers: JSON_HEADERS };
const ACCEPTED_INIT = { status: 202, headers: JSON_HEADERS };

/**
 * An answer that is too large for one write. The gate sends it in pieces, or refuses it while too
 * many bytes are on their way.
 */
export class LargeAnswer extends Response {
  readonly content: Uint8Array;
  readonly init: ResponseInit;

  constructor(content: Uint8Array, init: ResponseInit) {
    super(null, init);
    this.content = content;
    this.init = init;
  }
}

/** @param body bytes of a small one are copied; those of a large one must not change any more. */
export function bodyAnswer(body: string | Uint8Array<ArrayBuffer>, init: ResponseInit): Response {
  if (body.length <= ONE_WRITE_BYTES_MAX) return new Response(body, init);
  return new LargeAnswer(typeof body === "string" ? utf8(body) : body, init);
}

export const jsonText = (body: string | Uint8Array<ArrayBuffer>): Response =>
  bodyAnswer(body, JSON_INIT);
/** 202: the write goes on. */
export const acceptedText = (body: string): Response => new Response(body, ACCEPTED_INIT);
export const json = (body: object): Response => jsonText(JSON.stringify(body));

/** For messages: `topic "orders", partition 9`. */
export const placeOf = (topic: string, partition: number | null): string =>
  partition === null ? `topic "${topic}"` : `topic "${topic}", partition ${partition}`;

/** What the node rejected, as an answer: errors, and the redirect to the leader. */
export class Rejections {
  readonly #options: HttpOptions;
  readonly #leaderUrl: () => string | null;

  constructor(options: HttpOptions, leaderUrl: () => string | null) {
    this.#options = options;
    this.#leaderUrl = leaderUrl;
  }

  /** @param about which value was wrong, for the message; left out where the fault is not in it. */
  answer(call: Call, { code, message, details }: Rejected, about = ""): Response {
    if (code === "not_leader") return this.#redirect(call);
    if (code === "overloaded") this.#options.instruments.overloadRejects.value++;
    const fields = details === undefined ? null : fieldsOf(details);
    const { message: usual, status } = HTTP_ERRORS[code];
    const named = about === "" || status >= 500 ? usual : `${usual}: ${about}${inNumbers(details)}`;
    return this.error(new ApiError(code, message ?? named, fields));
  }

  /** @param why what is used up, for the message. */
  overloaded(why: string): Response {
    this.#options.instruments.overloadRejects.value++;
    return this.error(new ApiError("overloaded", why));
  }

  error({ code, message, fields, headers }: ApiError): Response {
    const retry = HTTP_ERRORS[code].status === 503 && headers === null;
    return errorResponse(code, message, fields, retry ? this.#retryAfter() : headers);
  }

  #redirect(call: Call): Response {
    const leaderUrl = this.#leaderUrl();
    if (leaderUrl === null) return this.error(new ApiError("no_leader"));
    const status = this.#options.redirectStatus;
    const location = leaderUrl + call.target;
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

/** What is allowed, as far as the details tell: ` (end_offset 6)`. */
function inNumbers(details: Rejected["details"]): string {
  if (details === undefined) return "";
  const parts = Object.entries(details).map(([name, value]) => `${name} ${value}`);
  return parts.length === 0 ? "" : ` (${parts.join(", ")})`;
}

/** `details` knows no booleans; the contract's `expired` is one. */
const fieldsOf = (details: NonNullable<Rejected["details"]>): ErrorFields =>
  details["expired"] === undefined ? details : { ...details, expired: true };

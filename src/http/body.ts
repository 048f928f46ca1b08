import type { Static, TObject, TProperties } from "@sinclair/typebox";
import { parseDecimal } from "../lib/parse.ts";
import type { Steps } from "../lib/steps.ts";
import { ApiError, type ErrorCode, shown } from "./errors.ts";
import { readFields } from "./fields.ts";
import { type JsonObject, parseJsonObject } from "./json.ts";
import type { MemoryBudget } from "./memory-budget.ts";
import { LATER, type RequestContext } from "./request-context.ts";
import { encodeBody } from "./slices.ts";

/** Errors of a JSON body whose fields are checked. */
export const JSON_FIELD_ERRORS: readonly ErrorCode[] = [
  "invalid_json",
  "duplicate_field",
  "unknown_field",
  "missing_field",
  "invalid_field",
];

export const JSON_BODY_BYTES_MAX = 64 * 1024;

export const tooLarge = (code: ErrorCode, what: string, size: string, limit: number): ApiError =>
  new ApiError(code, `${what} has ${size}; the limit is ${limit} bytes`, { limit });

/** The error for a record in a body, whose length may not be known beyond the limit. */
export const recordTooLarge = (what: string, bytes: number | null, limit: number): ApiError =>
  tooLarge(
    "message_too_large",
    what,
    bytes === null ? `more than ${limit} bytes` : `${bytes} bytes`,
    limit,
  );

/** Shorter bodies are not counted, because Bun usually has them complete before a handler runs. */
const COUNTED_FROM_BYTES = 64 * 1024;

/** Counts the bytes of larger request bodies in memory, from their arrival until the response. */
export class BodyBytes {
  readonly #budget: MemoryBudget;
  readonly #held = new Map<Request, number>();

  constructor(budget: MemoryBudget) {
    this.#budget = budget;
  }

  /** @throws ApiError `overloaded` if `bytes` more do not fit. */
  hold(request: Request, bytes: number): void {
    if (!this.#budget.take(bytes)) {
      throw new ApiError(
        "overloaded",
        "Too many bytes of request bodies are in memory (RF_BODY_BYTES); nothing was done, try again",
      );
    }
    this.#held.set(request, (this.#held.get(request) ?? 0) + bytes);
  }

  /** Releases the bytes of a request. Called when its response is ready. */
  release(request: Request): void {
    if (this.#held.size === 0) return;
    const bytes = this.#held.get(request);
    if (bytes === undefined) return;
    this.#held.delete(request);
    this.#budget.give(bytes);
  }
}

/**
 * Reads the body as raw bytes, independent of its content type.
 *
 * @param limit bytes. A longer body is rejected with 413 and `code`, by its Content-Length if it
 *   has one.
 */
export function readBytes(
  request: Request,
  bodies: BodyBytes,
  limit: number,
  code: ErrorCode,
): Promise<Uint8Array> {
  const announced = request.headers.get("content-length");
  if (announced === null) return readCounted(request, bodies, null, limit, code);
  const length = parseDecimal(announced);
  if (length === null) {
    throw new ApiError("invalid_request", `Content-Length is ${shown(announced)}`);
  }
  if (length > limit) throw tooLarge(code, "The body", `${length} bytes`, limit);
  return length < COUNTED_FROM_BYTES
    ? request.bytes()
    : readCounted(request, bodies, length, limit, code);
}

/**
 * Calls `then` with the body. An error while reading the body or in `then` becomes the response.
 *
 * @returns the completion of a handler that does nothing else: `then` ends the request.
 */
export function takeBytes(
  context: RequestContext,
  limit: number,
  code: ErrorCode,
  then: (body: Uint8Array) => void,
): typeof LATER {
  readBytes(context.request, context.bodies, limit, code).then(
    (body) => {
      try {
        then(body);
      } catch (error) {
        context.fail(error);
      }
    },
    (error: unknown) => context.fail(error),
  );
  return LATER;
}

/** As `takeBytes`. The steps of a large body run in slices, between those of other requests. */
export function takeInSteps(
  context: RequestContext,
  limit: number,
  code: ErrorCode,
  stepsOf: (body: Uint8Array) => Steps<void>,
): typeof LATER {
  return takeBytes(context, limit, code, (body) => {
    const encoded = encodeBody(body, stepsOf(body));
    if (encoded instanceof Promise) encoded.catch((error: unknown) => context.fail(error));
  });
}

/**
 * Waits until the packet with the last chunk of a body has been parsed completely. For trailers and
 * for invalid data in the rest of the packet, the runtime itself responds with 400 and aborts the
 * request. The body must not be stored then.
 *
 * @throws ApiError `incomplete_body`, which the client does not receive.
 */
async function checkEnd(request: Request): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
  if (request.signal.aborted) throw new ApiError("incomplete_body");
}

/**
 * Reads a large body, a chunked body or an absent one, and counts the bytes that arrive.
 *
 * @param announced the Content-Length; null if the body is chunked.
 */
async function readCounted(
  request: Request,
  bodies: BodyBytes,
  announced: number | null,
  limit: number,
  code: ErrorCode,
): Promise<Uint8Array> {
  if (request.headers.has("trailer")) {
    throw new ApiError(
      "invalid_request",
      "Trailers are not supported: leave out the Trailer header",
    );
  }
  if (request.body === null) return new Uint8Array(0);
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = request.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        await checkEnd(request);
        if (announced !== null && length !== announced) throw new ApiError("incomplete_body");
        return Buffer.concat(chunks, length);
      }
      length += value.length;
      if (length > limit) throw tooLarge(code, "The body", `more than ${limit} bytes`, limit);
      bodies.hold(request, value.length);
      chunks.push(value);
    }
  } catch (error) {
    reader.cancel().catch(() => undefined);
    throw error;
  }
}

/** Reads the JSON body of an administrative request by its schema. */
export async function readJson<T extends TObject<TProperties>>(
  context: RequestContext,
  schema: T,
): Promise<Static<T>> {
  return readFields(
    schema,
    parseJsonObject(await readJsonBytes(context)),
    context.route.ignoresUnknown,
  );
}

/** Like `readJson`, but the body is optional. */
export async function readOptionalJson<T extends TObject<TProperties>>(
  context: RequestContext,
  schema: T,
): Promise<Static<T>> {
  const bytes = await readJsonBytes(context);
  const body = bytes.length === 0 ? new Map() : parseJsonObject(bytes);
  return readFields(schema, body, context.route.ignoresUnknown);
}

/** True if the request announces a body. */
export const hasBody = ({ headers }: Request): boolean => {
  const length = headers.get("content-length");
  return length === null ? headers.has("transfer-encoding") : length !== "0";
};

/**
 * Reads the body of a route whose parameters are in the query.
 *
 * @throws ApiError if it has a field, which would have no effect.
 */
export async function refuseFields(context: RequestContext): Promise<void> {
  const bytes = await readJsonBytes(context);
  const [field] = bytes.length === 0 ? [] : parseJsonObject(bytes).keys();
  const { ignoresUnknown, names } = context.route;
  if (field === undefined || ignoresUnknown) return;
  const hint = names.includes(field) ? `: give it in the query, as in ?${field}=…` : "";
  throw new ApiError(
    "unknown_field",
    `This request takes no field ${shown(field)} in its body${hint}`,
  );
}

/** Reads a JSON body whose fields the caller reads. */
export const readJsonObject = async (context: RequestContext): Promise<JsonObject> =>
  parseJsonObject(await readJsonBytes(context));

const readJsonBytes = (context: RequestContext): Promise<Uint8Array> =>
  readBytes(context.request, context.bodies, JSON_BODY_BYTES_MAX, "request_too_large");

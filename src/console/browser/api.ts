/** Sends requests with the token and converts error answers to `ApiFailure`. */
import type { ApiRequest } from "./lib/request.ts";
import { token } from "./session.ts";

export class ApiFailure extends Error {
  readonly status: number;
  /** Stable code of the API; empty if there was no answer of the API. */
  readonly code: string;
  readonly body: Readonly<Record<string, unknown>>;

  constructor(status: number, code: string, message: string, body: ApiFailure["body"] = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.body = body;
  }
}

/** Base address of the API. Behind a reverse proxy the console may be at `/prefix/ui`. */
export const base = (): string => location.origin + location.pathname.replace(/\/ui\/?$/, "");

export const NOT_LEADER = "not_leader";

let unauthorized: () => void = () => undefined;

/** @param handler is called when the server rejects the token. */
export function onUnauthorized(handler: () => void): void {
  unauthorized = handler;
}

/** @throws ApiFailure */
export async function open(request: ApiRequest, signal?: AbortSignal): Promise<Response> {
  const { method, path, body, accept, headers = {} } = request;
  const bearer = token();
  const response = await fetch(base() + path, {
    method,
    headers: {
      ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
      ...(accept === undefined ? {} : { accept }),
      ...headers,
    },
    // The leader is another origin: the browser must not send the token there by itself.
    redirect: "manual",
    cache: "no-store",
    ...(body === undefined ? {} : { body }),
    ...(signal === undefined ? {} : { signal }),
  }).catch((error: unknown) => {
    if (signal?.aborted) throw error;
    throw new ApiFailure(0, "", "The server cannot be reached");
  });
  if (response.type === "opaqueredirect") {
    throw new ApiFailure(
      307,
      NOT_LEADER,
      "This node is a follower; only the leader accepts writes",
    );
  }
  if (!response.ok) throw await failureOf(response);
  return response;
}

async function failureOf(response: Response): Promise<ApiFailure> {
  const text = await response.text();
  if (response.status === 401) unauthorized();
  try {
    const body = JSON.parse(text) as Record<string, unknown>;
    const { error, message } = body;
    if (typeof error === "string" && typeof message === "string") {
      return new ApiFailure(response.status, error, message, body);
    }
  } catch {
    // The body is not an error of Ayder; it may come from a proxy.
  }
  return new ApiFailure(response.status, "", `The answer was ${response.status}`);
}

/** @throws ApiFailure */
export async function send<Answer>(request: ApiRequest, signal?: AbortSignal): Promise<Answer> {
  return (await (await open(request, signal)).json()) as Answer;
}

/** @throws ApiFailure */
export const sendForText = async (request: ApiRequest, signal?: AbortSignal): Promise<string> =>
  (await open(request, signal)).text();

export const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

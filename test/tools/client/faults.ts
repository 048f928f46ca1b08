/** A network in front of a real server that loses chosen requests or answers. */
import { type Client, type ClientOptions, createClient } from "../../../src/client/index.ts";

export type Fault =
  /** The request is lost. */
  | "request"
  /** The request is executed, and the answer is lost. */
  | "answer"
  /** The request is lost, and an answer says so. */
  | { readonly status: number; readonly error?: string; readonly retryAfter?: number };

/** @param faults the fate of the first requests, in order; null lets a request pass. */
export function faultyClient(
  url: string,
  faults: readonly (Fault | null)[],
  options: ClientOptions = {},
): { client: Client; requests: string[] } {
  const requests: string[] = [];
  const client = createClient({
    url,
    token: "dev",
    retryMs: 5_000,
    ...options,
    fetch: async (target, init) => {
      const fault = faults[requests.length] ?? null;
      requests.push(`${init.method} ${target}`);
      if (fault === "request") throw new TypeError("connection reset");
      if (fault === null || fault === "answer") {
        const response = await fetch(target, init as RequestInit);
        if (fault === null) return response;
        await response.arrayBuffer();
        throw new TypeError("connection reset");
      }
      const { status, error, retryAfter } = fault;
      return new Response(error === undefined ? "<html>" : JSON.stringify({ ok: false, error }), {
        status,
        headers: retryAfter === undefined ? {} : { "retry-after": String(retryAfter) },
      });
    },
  });
  return { client, requests };
}

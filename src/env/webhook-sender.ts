/** Requests to webhooks: what the node needs of the outside world. */

export type SenderRequest = {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | string;
  /** Time for the whole call, from the resolution of the name to the end of the answer. */
  readonly timeoutMs: number;
  /** Bytes of the answer that are returned. The rest is not read. */
  readonly answerBytesMax: number;
  /**
   * True: a call whose answer does not arrive up to `answerBytesMax` has failed. False: the status
   * is what counts.
   */
  readonly needsBody: boolean;
  /** Ends the call. */
  readonly signal?: AbortSignal;
};

export type SenderAnswer = {
  readonly status: number;
  readonly body: Uint8Array;
  /** Value of the header `Retry-After`. */
  readonly retryAfter: string | null;
};

/** Calls the URLs of webhooks. */
export interface WebhookSender {
  /** @returns why the URL must not be called; null if it may be. */
  check(url: string): string | null;
  /**
   * Sends a POST request. A redirect is an answer like any other and is not followed.
   *
   * @throws Error if there was no answer in time, or an address behind the URL must not be called.
   */
  send(request: SenderRequest): Promise<SenderAnswer>;
}

/** For nodes without a way to call webhooks. */
export const NO_SENDER: WebhookSender = {
  check: () => "this node cannot call webhooks",
  send: () => Promise.reject(new Error("this node cannot call webhooks")),
};

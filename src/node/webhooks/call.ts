/** One request to a receiver, what came of it, and what that means for the record. */
import { feature as faultPoint } from "bun:bundle";
import type { Clock } from "../../env/clock.ts";
import type { SenderAnswer, WebhookSender } from "../../env/webhook-sender.ts";
import { fromUtf8 } from "../../lib/bytes.ts";
import type { WebhookDefinition } from "../../webhook/definition.ts";
import type { WebhookAttempt } from "../webhook-api.ts";
import type { Outgoing } from "./request.ts";
import { type Verdict, verdictOf } from "./verdict.ts";

/** Bytes of an answer that are shown. */
const ANSWER_BYTES_MAX = 1_024;

/** A request to a receiver, and its answer or why there is none. */
export type Called = {
  readonly id: string;
  readonly atMs: number;
  readonly durationMs: number;
  readonly answer: SenderAnswer | null;
  readonly error: string | null;
};

/** Sends a request once. */
export async function callReceiver(
  { clock, sender }: { readonly clock: Clock; readonly sender: WebhookSender },
  { url, timeoutMs }: WebhookDefinition,
  { id, headers, body }: Outgoing,
  signal: AbortSignal,
): Promise<Called> {
  const atMs = clock.now();
  const startedUs = clock.monotonic();
  const done = (answer: SenderAnswer | null, error: string | null): Called => ({
    ...{ id, atMs, answer, error },
    durationMs: Math.round((clock.monotonic() - startedUs) / 1000),
  });
  try {
    const bounds = { timeoutMs, answerBytesMax: ANSWER_BYTES_MAX, needsBody: false };
    return done(await sender.send({ url, headers, body, ...bounds, signal }), null);
  } catch (error) {
    return done(null, error instanceof Error ? error.message : String(error));
  }
}

export function verdictOfCall({ answer }: Called, nowMs: number): Verdict {
  if (answer !== null) return verdictOf(answer.status, answer.retryAfter, nowMs);
  if (faultPoint("webhook-counts-lost-answers")) return { kind: "delivered" };
  return { kind: "retry", delayMs: null };
}

export function outcomeOf({ kind }: Verdict, isLast: boolean): WebhookAttempt["outcome"] {
  if (kind === "delivered") return "delivered";
  if (isLast) return "dead";
  return kind === "gone" ? "paused" : "retry";
}

export const attemptOf = (
  { id, atMs, durationMs, answer, error }: Called,
  record: WebhookAttempt["record"],
  outcome: WebhookAttempt["outcome"],
): WebhookAttempt => ({
  ...{ id, record, atMs, durationMs, error, outcome },
  status: answer?.status ?? null,
  answer: answer === null ? "" : shownText(answer.body),
});

/** Text as far as it is UTF-8; a character may have been cut. */
function shownText(bytes: Uint8Array): string {
  try {
    return fromUtf8(bytes);
  } catch {
    return new TextDecoder().decode(bytes);
  }
}

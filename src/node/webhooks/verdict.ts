/** The meaning of a receiver's answer for the record. */

/** A receiver can put off a delivery for at most this long. */
export const RETRY_AFTER_MS_MAX = 24 * 3_600_000;
const HTTP_DATE = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? .*\d\d:\d\d:\d\d/;

export type Verdict =
  | { readonly kind: "delivered" }
  /** `delayMs` null: the backoff of the webhook. Otherwise nothing else is delivered before either. */
  | { readonly kind: "retry"; readonly delayMs: number | null }
  /** The receiver wants no more deliveries. */
  | { readonly kind: "gone" };

const RETRY: Verdict = { kind: "retry", delayMs: null };

export function verdictOf(status: number, retryAfter: string | null, nowMs: number): Verdict {
  if (status >= 200 && status < 300) return { kind: "delivered" };
  if (status === 410) return { kind: "gone" };
  if (status !== 429 && status !== 503) return RETRY;
  return { kind: "retry", delayMs: retryAfterMs(retryAfter, nowMs) };
}

/** Reads seconds or an HTTP date (RFC 9110, 10.2.3). @returns null if it is neither. */
export function retryAfterMs(text: string | null, nowMs: number): number | null {
  const trimmed = text?.trim() ?? "";
  const seconds = /^\d+$/.test(trimmed) ? Number(trimmed) : null;
  const untilMs = HTTP_DATE.test(trimmed) ? Date.parse(trimmed) : Number.NaN;
  const waitMs = seconds !== null ? seconds * 1000 : untilMs - nowMs;
  if (Number.isNaN(waitMs)) return null;
  return Math.min(Math.max(0, Math.ceil(waitMs)), RETRY_AFTER_MS_MAX);
}

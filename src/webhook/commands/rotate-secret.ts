import type { BrokerState, HasBroker } from "../../broker/state.ts";
import type { LeveledKind } from "../../lib/command-kind.ts";
import type { Millis } from "../../lib/ids.ts";
import { SECRET_OVERLAP_MS, WEBHOOKS_FEATURE, WEBHOOKS_LEVEL } from "../definition.ts";
import { findWebhook, type HasWebhooks, type WebhookRejected, webhookRejected } from "../state.ts";

export type RotateSecret = {
  readonly type: "rotate_secret";
  readonly name: string;
  readonly secret: Uint8Array;
};

export type RotateSecretResult =
  | {
      readonly ok: true;
      readonly type: "rotate_secret";
      /** When the former secret ceases to sign. */
      readonly previousUntil: Millis;
    }
  | WebhookRejected<"webhook_not_found">;

/** Replaces the secret. The former one signs too for a day; one before that ends at once. */
export function applyRotateSecret(
  state: HasWebhooks,
  broker: BrokerState,
  { name, secret }: RotateSecret,
  now: Millis,
): RotateSecretResult {
  const webhook = findWebhook(state, broker, name)?.webhook;
  if (webhook === undefined) return webhookRejected("webhook_not_found");
  const until = (now + SECRET_OVERLAP_MS) as Millis;
  state.parts.webhooks.set({
    ...webhook,
    secret: { bytes: Uint8Array.from(secret), createdAt: now },
    previous: { bytes: webhook.secret.bytes, until },
  });
  return { ok: true, type: "rotate_secret", previousUntil: until };
}

export const rotateSecret: LeveledKind<RotateSecret, RotateSecretResult, HasBroker & HasWebhooks> =
  {
    type: "rotate_secret",
    tag: 103,
    level: WEBHOOKS_LEVEL,
    feature: WEBHOOKS_FEATURE,
    encode(body, { name, secret }) {
      body.text(name);
      body.blob(secret);
    },
    decode: (body) => ({ type: "rotate_secret", name: body.text(), secret: body.blob() }),
    apply: (state, command) => applyRotateSecret(state, state.broker, command, state.now),
    summarize: ({ previousUntil }, summary) => summary.numbers(previousUntil, 0),
  };

import type { BrokerState, HasBroker } from "../../broker/state.ts";
import { DecodeError } from "../../lib/bytes.ts";
import type { LeveledKind } from "../../lib/command-kind.ts";
import type { Millis } from "../../lib/ids.ts";
import { WEBHOOKS_FEATURE, WEBHOOKS_LEVEL } from "../definition.ts";
import {
  findWebhook,
  type HasWebhooks,
  type PauseReason,
  type WebhookRejected,
  webhookRejected,
} from "../state.ts";

export type PauseWebhook = {
  readonly type: "pause_webhook";
  readonly name: string;
  /** The webhook that is meant; null: the present one of the name. */
  readonly queueId: number | null;
  /** Null: deliver again. */
  readonly reason: PauseReason | null;
};

export type PauseWebhookResult =
  | {
      readonly ok: true;
      readonly type: "pause_webhook";
      /** False: it was so already. */
      readonly changed: boolean;
    }
  | WebhookRejected<"webhook_not_found">;

const REASONS: readonly (PauseReason | null)[] = [null, "requested", "gone"];

/** Ends or resumes the deliveries of a webhook. The first reason for a pause stays. */
export function applyPauseWebhook(
  state: HasWebhooks,
  broker: BrokerState,
  { name, queueId, reason }: PauseWebhook,
  now: Millis,
): PauseWebhookResult {
  const webhook = findWebhook(state, broker, name)?.webhook;
  if (webhook === undefined || (queueId !== null && webhook.queueId !== queueId)) {
    return webhookRejected("webhook_not_found");
  }
  const changed = (webhook.paused === null) !== (reason === null);
  const paused = reason === null ? null : { at: now, reason };
  if (changed) state.parts.webhooks.set({ ...webhook, paused });
  return { ok: true, type: "pause_webhook", changed };
}

export const pauseWebhook: LeveledKind<PauseWebhook, PauseWebhookResult, HasBroker & HasWebhooks> =
  {
    type: "pause_webhook",
    tag: 102,
    level: WEBHOOKS_LEVEL,
    feature: WEBHOOKS_FEATURE,
    encode(body, { name, queueId, reason }) {
      body.text(name);
      // Ids begin at 1.
      body.varint(queueId ?? 0);
      body.u8(REASONS.indexOf(reason));
    },
    decode(body) {
      const name = body.text();
      const queueId = body.varint();
      const reason = REASONS[body.u8()];
      if (reason === undefined) throw new DecodeError("unknown reason of a pause");
      return { type: "pause_webhook", name, queueId: queueId === 0 ? null : queueId, reason };
    },
    apply: (state, command) => applyPauseWebhook(state, state.broker, command, state.now),
    summarize: ({ changed }, summary) => summary.flag(changed),
  };

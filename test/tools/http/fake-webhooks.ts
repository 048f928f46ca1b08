import type { WebhookApi } from "../../../src/node/api.ts";

const NOT_FOUND = { ok: false, code: "webhook_not_found" } as const;
const FULL = { ok: false, code: "too_many_webhooks" } as const;

/** A node without any webhook. */
export class FakeWebhooks implements WebhookApi {
  define = async () => FULL;
  deleteWebhook = async () => NOT_FOUND;
  pause = async () => NOT_FOUND;
  resume = async () => NOT_FOUND;
  rotate = async () => NOT_FOUND;
  test = async () => NOT_FOUND;
  redrive = async () => NOT_FOUND;
  purge = async () => NOT_FOUND;
  deliveries = async () => NOT_FOUND;
  listWebhooks = () => [];
  describeWebhook = () => NOT_FOUND;
  topicsOfWebhook = () => null;
}

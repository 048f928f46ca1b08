/** Webhooks with their backlog, and one with its last deliveries and a button that tests it. */
import type { Deliveries, WebhookList, WebhookTested } from "../../../api/webhooks.ts";
import { send, sendForText } from "../api.ts";
import { count, duration, timeOf } from "../lib/format.ts";
import type { ApiRequest } from "../lib/request.ts";
import {
  deleteWebhook,
  listWebhooks,
  pauseWebhook,
  purgeWebhook,
  redriveWebhook,
  testWebhook,
  webhookDeliveries,
} from "../lib/requests.ts";
import { hashOf } from "../lib/route.ts";
import { note } from "../ui/announce.ts";
import { curlButton } from "../ui/curl.ts";
import { confirmDestruction, openDialog } from "../ui/dialog.ts";
import { h } from "../ui/dom.ts";
import { button, row } from "../ui/form.ts";
import type { Trouble } from "../ui/page.ts";
import { Table } from "../ui/table.ts";

type WebhookRow = WebhookList["webhooks"][number];
type Delivery = Deliveries["deliveries"][number];

export type WebhookTable = {
  readonly element: HTMLElement;
  /** Asks the server again. */
  load(): Promise<void>;
};

export function webhookTable(signal: AbortSignal, trouble: Trouble): WebhookTable {
  const table = new Table<WebhookRow>({
    caption: "Webhooks",
    keyOf: ({ webhook }) => webhook,
    empty: () => "No webhooks. A webhook delivers the records of a topic to a URL.",
    columns: [
      {
        label: "Webhook",
        cell: (each) =>
          button(
            each.webhook,
            () => trouble.watch(signal, () => openWebhook(each, signal, () => void load())),
            { class: "link", "data-item": true },
          ),
      },
      { label: "Topic", cell: ({ topic }) => h("a", { href: hashOf(["topics", topic]) }, topic) },
      { label: "State", cell: stateOf },
      { label: "Ready", kind: "number", cell: ({ ready }) => count(ready) },
      { label: "Delayed", kind: "number", wide: true, cell: ({ delayed }) => count(delayed) },
      { label: "Dead", kind: "number", cell: ({ dead }) => count(dead) },
      { label: "Delivered", kind: "number", wide: true, cell: (each) => count(each.delivered) },
      {
        label: "Oldest",
        kind: "number",
        cell: (each) => (each.oldest_age_ms === 0 ? "" : duration(each.oldest_age_ms)),
      },
    ],
  });
  const load = async (): Promise<void> => {
    table.update((await send<WebhookList>(listWebhooks, signal)).webhooks);
  };
  return { element: table.element, load };
}

const stateOf = ({ paused, paused_reason: reason }: WebhookRow): string =>
  !paused ? "active" : reason === "gone" ? "paused: the receiver answered 410" : "paused";

/** Shows one webhook with its last deliveries, and what can be done with it. */
async function openWebhook(
  { webhook, url, paused, dead }: WebhookRow,
  signal: AbortSignal,
  changed: () => void,
): Promise<void> {
  const table = deliveryTable();
  const load = async (): Promise<void> => {
    const { deliveries } = await send<Deliveries>(webhookDeliveries(webhook), signal);
    table.update(deliveries);
  };
  await load();
  const test = async (): Promise<void> => {
    const { delivery } = await send<WebhookTested>(testWebhook(webhook));
    note(`The test was answered: ${answerOf(delivery)}`);
    await load();
  };
  const close = (text: string): void => {
    note(text);
    dialog.close();
    changed();
  };
  const pause = async (): Promise<void> => {
    await sendForText(pauseWebhook(webhook, !paused));
    close(paused ? `Resumed ${webhook}` : `Paused ${webhook}`);
  };
  const redrive = async (): Promise<void> => {
    const { moved } = await send<{ moved: number }>(redriveWebhook(webhook));
    close(`Moved ${count(moved)} dead letters back`);
  };
  type Verb = "Delete" | "Purge";
  const destroy = (verb: Verb, warning: string, request: ApiRequest): void => {
    dialog.close();
    const title = `${verb} this webhook`;
    confirmDestruction({ title, warning, name: webhook, request, done: changed, verb });
  };
  const purge = (): void =>
    destroy(
      "Purge",
      "All present records count as delivered. The topic keeps them.",
      purgeWebhook(webhook),
    );
  const remove = (): void =>
    destroy(
      "Delete",
      "Nothing is delivered any more. Its topic and its dead letters stay.",
      deleteWebhook(webhook),
    );
  const dialog = openDialog(
    webhook,
    h("p", {}, "Delivers to ", h("code", {}, url)),
    h("h3", {}, "Last deliveries"),
    table.element,
    row(
      button("Test", test),
      button("Refresh", load),
      button(paused ? "Resume" : "Pause", pause),
      ...(dead > 0 ? [button("Move back", redrive)] : []),
      button("Purge…", purge),
      button("Delete…", remove),
      button("Close", () => dialog.close()),
      curlButton(() => testWebhook(webhook)),
    ),
  );
  dialog.element.classList.add("large");
}

const deliveryTable = (): Table<Delivery> =>
  new Table<Delivery>({
    caption: "Last deliveries",
    keyOf: (each) => `${each.webhook_id} ${each.attempt} ${each.at_ms}`,
    empty: () => "No deliveries since this leader leads.",
    fixed: true,
    columns: [
      { label: "Time", cell: (each) => timeOf(each.at_ms) },
      {
        label: "Record",
        cell: (each) => (each.test ? "test" : `${each.partition}/${each.offset}`),
      },
      {
        label: "Attempt",
        kind: "number",
        cell: ({ attempt }) => (attempt === null ? "" : count(attempt)),
      },
      { label: "Outcome", cell: ({ outcome }) => outcome },
      { label: "Answer", cell: answerOf },
      { label: "Took", kind: "number", cell: (each) => `${count(each.duration_ms)} ms` },
      { label: "Body", kind: "data", wide: true, cell: ({ body }) => body.slice(0, 200) },
    ],
  });

const answerOf = ({ status, error }: Delivery): string =>
  status === null ? (error ?? "no answer") : `status ${status}`;

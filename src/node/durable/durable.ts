import type { Clock } from "../../env/clock.ts";
import type { Random } from "../../env/random.ts";
import type { WebhookSender } from "../../env/webhook-sender.ts";
import type { Machine } from "../../machine/machine.ts";
import type { Instruments } from "../../metrics/instruments.ts";
import type { Logger } from "../../metrics/log.ts";
import type { DurableApi } from "../durable-api.ts";
import type { Linearizer } from "../reads/linearizer.ts";
import type { Commander } from "../writes/commander.ts";
import type { ReadTime } from "../writes/kv-access.ts";
import { StreamListing } from "./listing.ts";
import { StreamReader } from "./reader.ts";
import { Subscriptions } from "./subscriptions.ts";
import { Touches } from "./touches.ts";
import { Webhooks } from "./webhooks.ts";
import { type DurableLimits, StreamWriter } from "./writer.ts";

export type DurableStreamsOptions = {
  readonly machine: Machine;
  readonly commander: Commander;
  /** The cluster time. */
  readonly clock: Clock;
  readonly reads: ReadTime;
  readonly random: Random;
  readonly linearizer: Pick<Linearizer, "confirm">;
  readonly replica: { readonly isLeader: boolean };
  readonly limits: DurableLimits;
  readonly sender: WebhookSender;
  readonly log: Logger;
  readonly instruments: Pick<Instruments, "subscriptionCalls" | "subscriptionCallsFailed">;
};

/** Durable streams on this node. */
export class DurableStreams implements DurableApi {
  readonly #reader: StreamReader;
  readonly #listing: StreamListing;
  readonly #writer: StreamWriter;
  readonly #subscriptions: Subscriptions;
  readonly #webhooks: Webhooks;

  constructor(options: DurableStreamsOptions) {
    const touches = new Touches(options.commander, options.clock);
    this.#reader = new StreamReader({ ...options, touches });
    this.#listing = new StreamListing(options);
    this.#writer = new StreamWriter(options);
    const subscriptions = new Subscriptions(options);
    this.#subscriptions = subscriptions;
    const tokenOf: Subscriptions["tokenOf"] = (of, nowMs) => subscriptions.tokenOf(of, nowMs);
    this.#webhooks = new Webhooks({ ...options, tokenOf });
  }

  readonly createStream: DurableApi["createStream"] = (request) => this.#writer.create(request);
  readonly appendStream: DurableApi["appendStream"] = (request) => this.#writer.append(request);
  readonly deleteStream: DurableApi["deleteStream"] = (path) => this.#writer.delete(path);
  readonly describeStream: DurableApi["describeStream"] = (path) => this.#reader.describe(path);
  readonly readStream: DurableApi["readStream"] = (request) => this.#reader.read(request);
  readonly waitForStream: DurableApi["waitForStream"] = (wait) => this.#reader.wait(wait);
  readonly inspectStream: DurableApi["inspectStream"] = (path) => this.#listing.inspect(path);
  readonly listStreams: StreamListing["list"] = (request) => this.#listing.list(request);
  readonly putSubscription: DurableApi["putSubscription"] = (request) =>
    this.#subscriptions.put(request);
  readonly describeSubscription: DurableApi["describeSubscription"] = (id) =>
    this.#subscriptions.describe(id);
  readonly listSubscriptions: Subscriptions["list"] = () => this.#subscriptions.list();
  readonly deleteSubscription: DurableApi["deleteSubscription"] = (id) =>
    this.#subscriptions.delete(id);
  readonly linkStreams: DurableApi["linkStreams"] = (request) => this.#subscriptions.link(request);
  readonly claimWake: DurableApi["claimWake"] = (id, worker) =>
    this.#subscriptions.claim(id, worker);
  readonly settleWake: DurableApi["settleWake"] = (request) => this.#subscriptions.settle(request);
  readonly webhookKeys: Subscriptions["webhookKeys"] = () => this.#subscriptions.webhookKeys();

  /** Called after the machine has applied entries, and when the role of this node has changed. */
  applied(): void {
    this.#subscriptions.applied();
    this.#webhooks.applied();
  }

  stop(): void {
    this.#webhooks.stop();
  }
}

import type { DurableApi } from "../../node/api.ts";
import type { Services } from "../services.ts";

/** The dependencies of the handlers of durable streams. */
export type DurableServices = Services & {
  readonly durable: DurableApi;
  /** Time after which a live read without records is answered. */
  readonly longPollMs: number;
};

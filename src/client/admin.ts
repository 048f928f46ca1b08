/** Administration of one node: the first address that answers. */
import { COMPACTED, SEALED_STATUS } from "./shapes.ts";
import type { CallOptions, Request, Transport } from "./transport.ts";
import type { Compaction } from "./types.ts";
import { camel } from "./values.ts";

/** A checkpoint syncs each partition that was written to, which may take this long. */
const COMPACT_WAIT_MS = 120_000;

export class Admin {
  readonly #transport: Transport;
  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Takes a checkpoint now and deletes journal that it makes unnecessary. */
  async compact(options: CallOptions = {}): Promise<Compaction> {
    const request: Request = {
      method: "POST",
      path: "/admin/compact",
      repeatable: true,
      waitMs: COMPACT_WAIT_MS,
      ...options,
    };
    const { checkpointIndex, freedBytes } = camel(await this.#transport.json(request, COMPACTED));
    return { checkpointIndex, freedBytes };
  }

  /** @returns the last log index that is on the disk of the node. */
  async lastSyncedIndex(options: CallOptions = {}): Promise<number> {
    const request = { method: "GET", path: "/admin/sealed/status", ...options } as const;
    return (await this.#transport.json(request, SEALED_STATUS)).last_synced_batch_id;
  }

  /** The metrics of the node as Prometheus reads them. */
  async metrics(options: CallOptions = {}): Promise<string> {
    const request = { method: "GET", path: "/metrics", ...options } as const;
    const { bytes } = await this.#transport.send(request);
    return new TextDecoder().decode(bytes);
  }
}

import { COMPACTED, type Compacted, SEALED_STATUS, type SealedStatus } from "../../api/admin.ts";
import { NO_FIELDS_BODY, NO_QUERY } from "../../api/common.ts";
import { readOptionalJson } from "../body.ts";
import type { Endpoint } from "../request-context.ts";
import { json } from "../responses.ts";
import type { Services } from "../services.ts";
import { backupEndpoint } from "./backup.ts";

export const adminEndpoints = (services: Services): readonly Endpoint[] => {
  const { node } = services;
  const checkpoint = (path: string, summary: string): Endpoint => ({
    method: "POST",
    path,
    access: { kind: "node", scope: "admin" },
    leaderOnly: false,
    query: NO_QUERY,
    docs: { summary, tag: "admin", body: NO_FIELDS_BODY, answer: COMPACTED, errors: ["disk_full"] },
    handle: async (context) => {
      await readOptionalJson(context, NO_FIELDS_BODY);
      // A checkpoint syncs each partition that was written to: half a minute for 10,000.
      services.allowLong(context.request);
      const { checkpointIndex, freedBytes } = await node.compact();
      return json<Compacted>({
        ok: true,
        checkpoint_index: checkpointIndex,
        freed_bytes: freedBytes,
      });
    },
  });
  return [
    checkpoint("/admin/compact", "Take a checkpoint now and drop what it makes unnecessary"),
    checkpoint("/admin/sealed/gc", "The same: drop journal segments that are not needed any more"),
    {
      method: "GET",
      path: "/admin/sealed/status",
      access: { kind: "node", scope: "admin" },
      leaderOnly: false,
      query: NO_QUERY,
      docs: { summary: "The last synced batch", tag: "admin", answer: SEALED_STATUS, errors: [] },
      handle: async () => {
        return json<SealedStatus>({ ok: true, last_synced_batch_id: await node.lastSyncedIndex() });
      },
    },
    backupEndpoint(services),
  ];
};

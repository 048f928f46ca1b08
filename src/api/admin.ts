/** Health and administration of a node. */
import { Type as t } from "@sinclair/typebox";
import { natural, ok, type Wire } from "./common.ts";

export const COMPACTED = t.Object({
  ok,
  checkpoint_index: natural("Log index up to which the checkpoint reaches"),
  freed_bytes: natural("Bytes of disk that were released"),
});
export type Compacted = Wire<typeof COMPACTED>;
export const SEALED_STATUS = t.Object({
  ok,
  last_synced_batch_id: natural("Last log index that was fsynced"),
});
export type SealedStatus = Wire<typeof SEALED_STATUS>;
export const HEALTH = t.Object({ ok: t.Union([t.Literal(true), t.Literal(1)]) });
export type Health = Wire<typeof HEALTH>;
export const READY = t.Object({ ready: t.Boolean(), reason: t.Optional(t.String()) });
export type Ready = Wire<typeof READY>;

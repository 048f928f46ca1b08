import type { Brand } from "./brand.ts";

/** A member of the cluster, as named by `RF_HA_NODE_ID`. */
export type NodeId = Brand<string, "NodeId">;
/** One Raft group with its own journal. Today there is exactly one, `SHARD_0`. */
export type ShardId = Brand<number, "ShardId">;
/** Wall-clock milliseconds since 1970, always an integer. */
export type Millis = Brand<number, "Millis">;
/** Monotonic microseconds since an arbitrary start; only differences are meaningful. */
export type Micros = Brand<number, "Micros">;

export const SHARD_0 = 0 as ShardId;

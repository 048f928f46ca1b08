/** Producers that number their writes, as `http/` sees them. */
import type { MaybePromise } from "../lib/maybe-promise.ts";
import type { Result, WriteReject } from "./api.ts";

export interface ProducersApi {
  /** The last writes of the producers of a topic, as far as this node knows. */
  list(
    request: ProducersRequest,
  ): MaybePromise<
    Result<
      { readonly producers: readonly ProducerLast[]; readonly total: number },
      "topic_not_found" | "partition_not_found"
    >
  >;
  /** Forgets a producer in all partitions of a topic. */
  forget(topic: string, id: string): Promise<Result<{ partitions: number }, ForgetProducerReject>>;
}
export type ProducersRequest = {
  readonly topic: string;
  /** Null: all. */
  readonly partition: number | null;
  /** Null: all. */
  readonly id: string | null;
  readonly limit: number;
};
/** The last write of a producer in a partition. */
export type ProducerLast = {
  readonly id: string;
  readonly partition: number;
  readonly epoch: number;
  readonly seq: number;
  readonly offset: number;
  readonly count: number;
  readonly lastWriteMs: number;
};
export type ForgetProducerReject =
  | WriteReject
  | "topic_not_found"
  | "producer_not_found"
  | "cluster_not_upgraded";

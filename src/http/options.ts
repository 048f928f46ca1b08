import type { Instruments } from "../metrics/instruments.ts";
import type { Logger } from "../metrics/log.ts";
import type { MetricSources } from "../metrics/sources.ts";
import type { ClusterApi, StreamApi } from "../node/api.ts";
import type { AuthOptions } from "./auth.ts";
import type { Endpoint } from "./request-context.ts";

export type HttpOptions = {
  readonly auth: AuthOptions;
  /** Name or address that the operator gave to listen on; without tokens `dev` works by it. */
  readonly listenedOn?: string;
  /** "ayder": behave as the C implementation where CONTRACT 11 says so. */
  readonly compat: "ayder" | "";
  readonly limits: HttpLimits;
  /** Memory for requests and answers. Default: `DEFAULT_MEMORY`. */
  readonly memory?: HttpMemory;
  /** Answers are compressed if the client asks for it. Default: true. */
  readonly compression?: boolean;
  /** Partitions of a topic that is created without a number. */
  readonly defaultPartitions: number;
  /** Produce in rocket mode where a request does not say `mode=sealed`. */
  readonly rocket: boolean;
  readonly redirectStatus: 307 | 308;
  /** A follower passes writes on instead of redirecting them; absent: it redirects. */
  readonly forwardWrites?: {
    readonly commitTimeoutMs: number;
    /** Requests to the leader at the same time. Default: 256, as the runtime has it. */
    readonly forwardsMax?: number;
  };
  /** What is encrypted: the HTTP API of all nodes, and the links between them. Default: nothing. */
  readonly tls?: { readonly http: boolean; readonly peers: boolean };
  /** `Retry-After` of every 503. */
  readonly retryAfterSeconds: number;
  readonly version: string;
  readonly instruments: Instruments;
  readonly log: Logger;
  /** What a scrape asks for; what is absent is worked out from the node's API. */
  readonly sources?: Partial<MetricSources>;
  /** Membership and leadership; absent: no such routes. */
  readonly cluster?: ClusterApi;
  /** Queries, joins and views; absent: no such routes. */
  readonly streams?: StreamApi;
  /** Routes of other parts: stream processing, cluster administration, console. */
  readonly endpoints?: readonly Endpoint[];
  /** Wall clock, milliseconds since 1970. Default: the system's. */
  readonly now?: () => number;
  /** Milliseconds since some start, never going back. Default: the system's. */
  readonly monotonic?: () => number;
};

export type HttpLimits = {
  readonly messageBytesMax: number;
  readonly requestBytesMax: number;
  readonly ndjsonLinesMax: number;
  readonly topicPartitionsMax: number;
};

export const DEFAULT_LIMITS: HttpLimits = {
  messageBytesMax: 1024 * 1024,
  requestBytesMax: 16 * 1024 * 1024,
  ndjsonLinesMax: 100_000,
  topicPartitionsMax: 1024,
};

export type HttpMemory = {
  /** Bytes of larger answers that are being made or sent. */
  readonly answerBytesMax: number;
  /** Bytes of larger request bodies, from their arrival to the answer. */
  readonly bodyBytesMax: number;
  /** An answer whose client takes nothing for this long is ended. */
  readonly stalledAnswerMs: number;
};

export const DEFAULT_MEMORY: HttpMemory = {
  answerBytesMax: 256 * 1024 * 1024,
  bodyBytesMax: 256 * 1024 * 1024,
  stalledAnswerMs: 300_000,
};

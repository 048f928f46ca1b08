import type { Gauge } from "../lib/gauge.ts";
import type { Instruments } from "../metrics/instruments.ts";
import type { Logger } from "../metrics/log.ts";
import type { MetricSources } from "../metrics/sources.ts";
import type {
  ClusterApi,
  DurableApi,
  ExportApi,
  LaterApi,
  QueueApi,
  StreamApi,
  WebhookApi,
} from "../node/api.ts";
import type { AuthOptions } from "./auth.ts";
import type { BudgetGauges } from "./memory-budget.ts";
import type { Endpoint } from "./request-context.ts";

export type HttpOptions = {
  readonly auth: AuthOptions;
  /** Name or address that the operator configured to listen on; the token `dev` is valid for it. */
  readonly listenedOn?: string;
  /** "ayder": behave as the C implementation where CONTRACT 11 says so. */
  readonly compat: "ayder" | "";
  readonly limits: HttpLimits;
  /** Memory for requests and answers. Default: `DEFAULT_MEMORY`. */
  readonly memory?: HttpMemory;
  /** Compress responses if the client asks for it. Default: true. */
  readonly compression?: boolean;
  /** Default number of partitions of a new topic. */
  readonly defaultPartitions: number;
  /** Produce in rocket mode unless a request has `mode=sealed`. */
  readonly rocket: boolean;
  readonly redirectStatus: 307 | 308;
  /** A follower forwards writes to the leader over HTTP. If absent, it redirects clients. */
  readonly forwardWrites?: ForwardOptions;
  /** A follower forwards these always, also if it redirects other writes. Default: it redirects. */
  readonly forwardPolls?: ForwardOptions;
  /** Use of TLS: for the HTTP API of all nodes, and for the links between nodes. Default: none. */
  readonly tls?: { readonly http: boolean; readonly peers: boolean };
  /** Value of `Retry-After` in every 503 response, in seconds. */
  readonly retryAfterSeconds: number;
  readonly version: string;
  readonly instruments: Instruments;
  readonly log: Logger;
  /** Sources of metrics. Absent ones are computed from the node's API. */
  readonly sources?: Partial<MetricSources>;
  /** Membership and leadership. If absent, the routes do not exist. */
  readonly cluster?: ClusterApi;
  /** Durable streams. If absent, the routes do not exist. */
  readonly durable?: {
    readonly api: DurableApi;
    /** Time after which a live read without records is answered. */
    readonly longPollMs: number;
    /** Origins whose pages may use the streams, such as `https://app.example.com`; `*` for all. */
    readonly corsOrigins: readonly string[];
  };
  /** Queries, joins and views. If absent, the routes do not exist. */
  readonly streams?: StreamApi;
  /** Queues. If absent, the routes do not exist. */
  readonly queues?: QueueApi;
  /** Records that are produced later. If absent, the routes do not exist. */
  readonly later?: LaterApi;
  /** Webhooks. If absent, the routes do not exist. */
  readonly webhooks?: WebhookApi;
  /** Exports to Parquet. If absent, the routes do not exist. */
  readonly exports?: ExportApi;
  /** Additional routes: stream processing, cluster administration, console. */
  readonly endpoints?: readonly Endpoint[];
  /** If absent, this thread is the only one that serves HTTP. */
  readonly shared?: SharedHttp;
  /** Wall clock, in milliseconds since 1970. Default: the system clock. */
  readonly now?: () => number;
  /** Monotonic clock, in milliseconds. Default: the system clock. */
  readonly monotonic?: () => number;
};

/** Limits that count over all threads that serve HTTP. */
export type SharedHttp = {
  /** Number of these threads. */
  readonly threads: number;
  readonly answers: BudgetGauges;
  readonly bodies: BudgetGauges;
  /** Streams that follow new records. */
  readonly followStreams: Gauge;
  /** Memory of the rate limits, in the order of the tokens. */
  readonly buckets: readonly SharedArrayBuffer[];
  /** Milliseconds of a clock that all threads share. */
  readonly monotonicMs: () => number;
};

export type ForwardOptions = {
  readonly commitTimeoutMs: number;
  /** Maximum of concurrent requests to the leader. Default: 256, the limit of the runtime. */
  readonly forwardsMax?: number;
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
  /** Limit of the bytes of larger responses that are being made or sent. */
  readonly answerBytesMax: number;
  /** Limit of the bytes of larger request bodies, from their arrival to the response. */
  readonly bodyBytesMax: number;
  /** A response is ended if its client reads nothing for this long. */
  readonly stalledAnswerMs: number;
};

export const DEFAULT_MEMORY: HttpMemory = {
  answerBytesMax: 256 * 1024 * 1024,
  bodyBytesMax: 256 * 1024 * 1024,
  stalledAnswerMs: 300_000,
};

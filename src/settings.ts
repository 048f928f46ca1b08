/** Every setting, once: the command line, the environment, `--help` and the README come from here. */

export type SettingKind = "text" | "path" | "integer" | "bytes" | "boolean" | "choice";

export type Setting = {
  /** Environment variables, the first that is set wins. */
  readonly variables: readonly string[];
  /** Command-line flag without the dashes; it wins over the environment. */
  readonly flag?: string;
  readonly kind: SettingKind;
  /** As it would be written; empty means unset. */
  readonly default: string;
  readonly choices?: readonly string[];
  readonly min?: number;
  readonly max?: number;
  readonly help: string;
  readonly section: Section;
};

export const SECTIONS = [
  "Server",
  "Access",
  "Broker",
  "Limits",
  "Storage",
  "Cluster",
  "Compatibility",
] as const;
export type Section = (typeof SECTIONS)[number];

const KiB = 1024;
const MiB = 1024 * KiB;
const DAY_MS = 86_400_000;

export const SETTINGS = {
  port: {
    variables: ["RF_HTTP_PORT", "PORT"],
    flag: "port",
    kind: "integer",
    default: "1109",
    min: 0,
    max: 65_535,
    help: "HTTP port; 0 takes a free one and prints it",
    section: "Server",
  },
  host: {
    variables: ["RF_HTTP_ADDR"],
    flag: "host",
    kind: "text",
    default: "",
    help: "address to listen on, `host` or `host:port`; unset: 127.0.0.1, or 0.0.0.0 once tokens are set",
    section: "Server",
  },
  dataDir: {
    variables: ["RF_DATA_DIR"],
    flag: "data-dir",
    kind: "path",
    default: "./ayder-data",
    help: "where everything is kept",
    section: "Server",
  },
  tlsCert: {
    variables: ["RF_TLS_CERT"],
    flag: "tls-cert",
    kind: "path",
    default: "",
    help: "certificate chain (PEM) for HTTPS; with the key",
    section: "Server",
  },
  tlsKey: {
    variables: ["RF_TLS_KEY"],
    flag: "tls-key",
    kind: "path",
    default: "",
    help: "private key (PEM) for HTTPS",
    section: "Server",
  },
  logLevel: {
    variables: ["RF_LOG_LEVEL"],
    flag: "log-level",
    kind: "choice",
    choices: ["debug", "info", "warn", "error"],
    default: "info",
    help: "least level that is logged to stderr",
    section: "Server",
  },
  tokens: {
    variables: ["RF_BEARER_TOKENS"],
    kind: "text",
    default: "",
    help: "who may do what: `token[@spec]`, separated by `,`; unset: `dev`, from loopback only",
    section: "Access",
  },
  authSkipPrefixes: {
    variables: ["RF_AUTH_SKIP_PREFIXES"],
    kind: "text",
    default: "",
    help: "paths that need no token, by prefix, separated by `,`",
    section: "Access",
  },
  autoCreateTopics: {
    variables: ["RF_AUTO_CREATE_TOPICS"],
    kind: "boolean",
    default: "1",
    help: "a valid produce to a topic that does not exist creates it",
    section: "Broker",
  },
  defaultPartitions: {
    variables: ["RF_DEFAULT_PARTITIONS"],
    kind: "integer",
    default: "8",
    min: 1,
    max: 1024,
    help: "partitions of a topic that is created without a number",
    section: "Broker",
  },
  rocket: {
    variables: ["RF_ROCKET"],
    kind: "boolean",
    default: "0",
    help: "answer every produce from memory, as if it had `mode=rocket`: a crash may lose it",
    section: "Broker",
  },
  commitTimeoutMs: {
    variables: ["RF_COMMIT_TIMEOUT_MS"],
    kind: "integer",
    default: "5000",
    min: 1,
    max: 600_000,
    help: "a write without `timeout_ms` answers 504 `commit_timeout` after this long",
    section: "Broker",
  },
  dedupeWindowMs: {
    variables: ["RF_IDEMPOTENCY_WINDOW_MS"],
    kind: "integer",
    default: String(DAY_MS),
    min: 1,
    max: 365 * DAY_MS,
    help: "how long an idempotency key is remembered",
    section: "Broker",
  },
  dedupeKeysMax: {
    variables: ["RF_IDEMPOTENCY_KEYS"],
    kind: "integer",
    default: "1000000",
    min: 1,
    max: 100_000_000,
    help: "how many idempotency keys a partition remembers at most",
    section: "Broker",
  },
  messageBytesMax: {
    variables: ["RF_MAX_MESSAGE_BYTES"],
    kind: "bytes",
    default: String(MiB),
    min: 1,
    max: 16 * MiB,
    help: "largest message or KV value",
    section: "Limits",
  },
  requestBytesMax: {
    variables: ["RF_MAX_REQUEST_BYTES"],
    kind: "bytes",
    default: String(16 * MiB),
    min: KiB,
    max: 16 * MiB,
    help: "largest request body",
    section: "Limits",
  },
  ndjsonLinesMax: {
    variables: ["RF_MAX_NDJSON_LINES"],
    kind: "integer",
    default: "100000",
    min: 1,
    max: 1_000_000,
    help: "most messages of one produce-ndjson",
    section: "Limits",
  },
  topicPartitionsMax: {
    variables: ["RF_MAX_TOPIC_PARTITIONS"],
    kind: "integer",
    default: "1024",
    min: 1,
    max: 1024,
    help: "most partitions of a topic",
    section: "Limits",
  },
  partitionsMax: {
    variables: ["RF_MAX_PARTITIONS"],
    kind: "integer",
    default: "10000",
    min: 1,
    max: 100_000,
    help: "most partitions of a node",
    section: "Limits",
  },
  queueBytesMax: {
    variables: ["RF_QUEUE_BYTES"],
    kind: "bytes",
    default: String(64 * MiB),
    min: MiB,
    max: 1024 * MiB,
    help: "writes waiting for the journal; past it they are refused with 503 `overloaded`",
    section: "Limits",
  },
  queueRequestsMax: {
    variables: ["RF_QUEUE_REQUESTS"],
    kind: "integer",
    default: "100000",
    min: 1,
    max: 10_000_000,
    help: "the same, counted in requests",
    section: "Limits",
  },
  journalSegmentBytes: {
    variables: ["RF_JOURNAL_SEGMENT_BYTES"],
    kind: "bytes",
    default: String(32 * MiB),
    min: 64 * KiB,
    max: 1024 * MiB,
    help: "size of a journal file; it is allocated ahead",
    section: "Storage",
  },
  segmentBytes: {
    variables: ["RF_SEGMENT_BYTES"],
    kind: "bytes",
    default: String(64 * MiB),
    min: 4 * KiB,
    max: 1024 * MiB,
    help: "size of a partition segment; retention frees whole segments",
    section: "Storage",
  },
  tailBytes: {
    variables: ["RF_TAIL_BYTES"],
    kind: "bytes",
    default: String(64 * MiB),
    min: MiB,
    max: 16 * 1024 * MiB,
    help: "newest records that are kept in memory, all partitions together",
    section: "Storage",
  },
  checkpointBytes: {
    variables: ["RF_CHECKPOINT_BYTES"],
    kind: "bytes",
    default: String(64 * MiB),
    min: 64 * KiB,
    max: 4096 * MiB,
    help: "a checkpoint is taken after this much journal; it bounds the time of a restart",
    section: "Storage",
  },
  diskReserveBytes: {
    variables: ["RF_DISK_RESERVE_BYTES"],
    kind: "bytes",
    default: String(64 * MiB),
    min: 0,
    max: 1024 * 1024 * MiB,
    help: "free space below which produce answers 507; at most a tenth of the disk counts",
    section: "Storage",
  },
  haEnabled: {
    variables: ["RF_HA_ENABLED"],
    kind: "boolean",
    default: "0",
    help: "this node is one of a cluster",
    section: "Cluster",
  },
  haNodeId: {
    variables: ["RF_HA_NODE_ID"],
    kind: "text",
    default: "node1",
    help: "name of this node",
    section: "Cluster",
  },
  compat: {
    variables: ["RF_COMPAT"],
    kind: "choice",
    choices: ["", "ayder"],
    default: "",
    help: "`ayder` answers a few requests as the C implementation does",
    section: "Compatibility",
  },
  workers: {
    variables: ["RF_WORKERS"],
    flag: "workers",
    kind: "integer",
    default: "1",
    min: 0,
    max: 1024,
    help: "accepted for scripts of the C implementation; one thread serves requests",
    section: "Compatibility",
  },
} as const satisfies Readonly<Record<string, Setting>>;

export type SettingName = keyof typeof SETTINGS;

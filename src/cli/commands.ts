/** The registry. A command is loaded when it is called, so that it does not slow others down. */
import type { Command } from "./command.ts";

export type Entry = {
  readonly name: string;
  readonly summary: string;
  load(): Promise<Command>;
};

/** The command that runs if none is named. */
export const DEFAULT_COMMAND = "serve";

/** In the order of the help. */
export const COMMANDS: readonly Entry[] = [
  {
    name: "serve",
    summary: "run a server (default)",
    load: async () => (await import("./serve.ts")).SERVE,
  },
  {
    name: "topics",
    summary: "list, describe, create and delete topics; limit and delete messages",
    load: async () => (await import("./topics.ts")).TOPICS,
  },
  {
    name: "retention",
    summary: "list and set limits of age and size",
    load: async () => (await import("./retention.ts")).RETENTION,
  },
  {
    name: "produce",
    summary: "write messages from arguments, files or standard input",
    load: async () => (await import("./produce.ts")).PRODUCE,
  },
  {
    name: "producers",
    summary: "list and forget producers that number their writes",
    load: async () => (await import("./producers.ts")).PRODUCERS,
  },
  {
    name: "consume",
    summary: "print messages; follow a topic as it grows",
    load: async () => (await import("./consume.ts")).CONSUME,
  },
  {
    name: "groups",
    summary: "show lag and members of consumer groups; seek, delete",
    load: async () => (await import("./groups.ts")).GROUPS,
  },
  {
    name: "queues",
    summary: "list, describe, define and delete queues; move dead letters back",
    load: async () => (await import("./queues.ts")).QUEUES,
  },
  {
    name: "receive",
    summary: "lease messages of a queue and print them",
    load: async () => (await import("./receive.ts")).RECEIVE,
  },
  {
    name: "work",
    summary: "run a command for each message of a queue",
    load: async () => (await import("./work.ts")).WORK,
  },
  {
    name: "webhooks",
    summary: "list, create, test, pause and delete webhooks; show deliveries",
    load: async () => (await import("./webhooks.ts")).WEBHOOKS,
  },
  {
    name: "schedules",
    summary: "list, show, put and delete records that are produced later",
    load: async () => (await import("./schedules.ts")).SCHEDULES,
  },
  {
    name: "kv",
    summary: "get, set, list and delete keys and namespaces; compare-and-swap",
    load: async () => (await import("./kv.ts")).KV,
  },
  {
    name: "streams",
    summary: "list, create, read, append to, close and delete durable streams",
    load: async () => (await import("./streams.ts")).STREAMS,
  },
  {
    name: "query",
    summary: "filter and aggregate records",
    load: async () => (await import("./query.ts")).QUERY,
  },
  {
    name: "join",
    summary: "join the records of two topics within a time window",
    load: async () => (await import("./join.ts")).JOIN,
  },
  {
    name: "views",
    summary: "list, show, create and delete continuous queries",
    load: async () => (await import("./views.ts")).VIEWS,
  },
  {
    name: "cluster",
    summary: "show nodes; add, promote, remove; transfer leadership",
    load: async () => (await import("./cluster.ts")).CLUSTER,
  },
  {
    name: "admin",
    summary: "take a checkpoint of a node; show its last synced log index",
    load: async () => (await import("./admin.ts")).ADMIN,
  },
  {
    name: "bench",
    summary: "measure rates and latency percentiles of a server",
    load: async () => (await import("./bench.ts")).BENCH,
  },
  {
    name: "settings",
    summary: "print all settings of serve",
    load: async () => (await import("./settings.ts")).SETTINGS_COMMAND,
  },
  {
    name: "health",
    summary: "exit with 0 if a server is healthy, with 3 if not",
    load: async () => (await import("./health.ts")).HEALTH,
  },
  {
    name: "export",
    summary: "write a topic to Parquet files in a directory or bucket",
    load: async () => (await import("./export.ts")).EXPORT,
  },
  {
    name: "exports",
    summary: "list, show, create, pause, flush and delete exports",
    load: async () => (await import("./exports.ts")).EXPORTS,
  },
  {
    name: "backup",
    summary: "write the state of a running server to a file or bucket; list, prune",
    load: async () => (await import("./backup.ts")).BACKUP,
  },
  {
    name: "restore",
    summary: "create a data directory from a backup",
    load: async () => (await import("./restore.ts")).RESTORE,
  },
  {
    name: "verify",
    summary: "verify every checksum of a data directory or backup",
    load: async () => (await import("./verify.ts")).VERIFY,
  },
  {
    name: "inspect",
    summary: "print the contents of the files of a data directory",
    load: async () => (await import("./inspect.ts")).INSPECT,
  },
  {
    name: "completion",
    summary: "print a completion script for bash, zsh or fish",
    load: async () => (await import("./completion.ts")).completion(() => COMMANDS),
  },
];

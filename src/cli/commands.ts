/** The registry. A command is loaded when it is called, so that none costs another its start. */
import type { Command } from "./command.ts";

export type Entry = {
  readonly name: string;
  readonly summary: string;
  load(): Promise<Command>;
};

/** What runs when no command is named. */
export const DEFAULT_COMMAND = "serve";

/** In the order of the help. */
export const COMMANDS: readonly Entry[] = [
  {
    name: "serve",
    summary: "run a server (the default)",
    load: async () => (await import("./serve.ts")).SERVE,
  },
  {
    name: "topics",
    summary: "list, describe, create and delete topics",
    load: async () => (await import("./topics.ts")).TOPICS,
  },
  {
    name: "produce",
    summary: "write messages: arguments, files, or the lines of standard input",
    load: async () => (await import("./produce.ts")).PRODUCE,
  },
  {
    name: "consume",
    summary: "print messages; follow a topic as it grows",
    load: async () => (await import("./consume.ts")).CONSUME,
  },
  {
    name: "groups",
    summary: "lag of consumer groups; seek forward",
    load: async () => (await import("./groups.ts")).GROUPS,
  },
  {
    name: "kv",
    summary: "get, set, list and delete keys; compare-and-swap, time to live",
    load: async () => (await import("./kv.ts")).KV,
  },
  {
    name: "query",
    summary: "filter, aggregate and join records",
    load: async () => (await import("./query.ts")).QUERY,
  },
  {
    name: "cluster",
    summary: "status of the nodes; add, promote, remove; move the leadership",
    load: async () => (await import("./cluster.ts")).CLUSTER,
  },
  {
    name: "bench",
    summary: "load a server for a few seconds: rates and percentiles",
    load: async () => (await import("./bench.ts")).BENCH,
  },
  {
    name: "settings",
    summary: "print every setting of serve",
    load: async () => (await import("./settings.ts")).SETTINGS_COMMAND,
  },
  {
    name: "health",
    summary: "exit with 0 if a server serves, with 3 if not",
    load: async () => (await import("./health.ts")).HEALTH,
  },
  {
    name: "backup",
    summary: "write all that a running server has to a file or a bucket",
    load: async () => (await import("./backup.ts")).BACKUP,
  },
  {
    name: "restore",
    summary: "make a data directory from a backup",
    load: async () => (await import("./restore.ts")).RESTORE,
  },
  {
    name: "verify",
    summary: "read every checksum of a data directory, or of a backup",
    load: async () => (await import("./verify.ts")).VERIFY,
  },
  {
    name: "inspect",
    summary: "show what is in the files of a data directory",
    load: async () => (await import("./inspect.ts")).INSPECT,
  },
  {
    name: "completion",
    summary: "print a script for bash, zsh or fish",
    load: async () => (await import("./completion.ts")).completion(loadAll),
  },
];

const loadAll = () => Promise.all(COMMANDS.map(({ load }) => load()));

/** Table of contents of the manual: each section with its pages, in reading order. */

export type Section = {
  readonly title: string;
  /** Names of the Markdown files in this folder, without `.md`. */
  readonly pages: readonly string[];
};

export const CONTENTS: readonly Section[] = [
  { title: "First steps", pages: ["index", "start", "concepts"] },
  {
    title: "HTTP API",
    pages: [
      "http",
      "topics",
      "produce",
      "consume",
      "batches",
      "groups",
      "queues",
      "webhooks",
      "schedules",
      "kv",
      "durable-streams",
      "errors",
    ],
  },
  { title: "Stream processing", pages: ["stream-processing", "stream-rules"] },
  { title: "Tools", pages: ["command-line", "client", "console"] },
  {
    title: "Operation",
    pages: [
      "settings",
      "cluster",
      "security",
      "operations",
      "monitoring",
      "backup",
      "exports",
      "systemd",
      "kubernetes",
      "docker",
    ],
  },
  { title: "More", pages: ["migration", "performance", "changes"] },
];

export const pageNames = (): readonly string[] => CONTENTS.flatMap(({ pages }) => pages);

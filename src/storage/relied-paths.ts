/** The paths of a data directory that a running node relies on, relative to its root. */

const SHARD = String.raw`shards/\d+`;
const PARTITION = String.raw`${SHARD}/partitions(?:@\d+)?/[^/]+`;
const SEGMENT = new RegExp(String.raw`^${PARTITION}/\d{20}\.seg$`);
const PATHS = new RegExp(
  `^(?:${[
    "FORMAT",
    "shards",
    SHARD,
    `${SHARD}/hard-state`,
    `${SHARD}/journal`,
    String.raw`${SHARD}/journal/(?:\d{16}\.seg|claimed)`,
    `${SHARD}/checkpoints`,
    String.raw`${SHARD}/checkpoints/\d{20}(?:@\d+)?\.(?:ckpt|install)`,
    String.raw`${SHARD}/partitions(?:@\d+)?`,
    PARTITION.replace("[^/]+", String.raw`(?:\d+-\d+|shared)`),
  ].join("|")})$`,
);

/** True for files and directories whose loss means that acknowledged data may be lost. */
export const isReliedPath = (path: string): boolean => PATHS.test(path) || SEGMENT.test(path);

/**
 * True for segments of partitions. A segment that is not open may be missing: its reader finds that
 * out and repairs it. Writes into an open one that was removed would be lost.
 */
export const isReliedWhileOpen = (path: string): boolean => SEGMENT.test(path);

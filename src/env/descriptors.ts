import { readdirSync, readFileSync, statSync } from "node:fs";

/** Default if the limit cannot be read: the lowest limit of common systems and containers. */
const LIMIT_UNKNOWN = 1024;
/** Descriptors held open for files that are opened when connections use all others. */
const RESERVE = 8;
/** Descriptors for the runtime, the journal, checkpoints, locks, listeners and peers. */
const OTHERS = 40;
/** Share of the limit that open segment files of partitions may use, and its bounds. */
const SEGMENT_SHARE = 4;
const SEGMENT_FILES_MIN = 8;
const SEGMENT_FILES_MAX = 256;
const CONNECTIONS_MIN = 8;
/** Maximum number of connections at any limit, because each one uses kernel memory. */
const CONNECTIONS_MAX = 50_000;

/** How many descriptors of this process each kind of use gets. */
export type DescriptorPlan = {
  readonly limit: number;
  readonly reserve: number;
  readonly segmentFiles: number;
  readonly connections: number;
};

/** The limit on open files of this process (RLIMIT_NOFILE, soft; Bun raises it to the hard one). */
export function descriptorLimit(): number {
  try {
    const line = /^Max open files\s+(\d+|unlimited)/m.exec(
      readFileSync("/proc/self/limits", "utf8"),
    );
    if (line?.[1] === "unlimited") return Number.MAX_SAFE_INTEGER;
    return Number(line?.[1] ?? LIMIT_UNKNOWN);
  } catch {
    return LIMIT_UNKNOWN;
  }
}

/** Number of descriptors that are open in this process. Null if the system does not report it. */
export function openDescriptors(): number | null {
  try {
    // Linux reports the number since 6.2. Older kernels report 0.
    const { size } = statSync("/proc/self/fd");
    return size > 0 ? size : readdirSync("/proc/self/fd").length;
  } catch {
    return null;
  }
}

/** @param perConnection descriptors that one client may need: 2 if writes are forwarded. */
export function planDescriptors(limit: number, perConnection: number): DescriptorPlan {
  const shared = Math.max(0, limit - OTHERS - RESERVE);
  const segmentFiles = clamp(
    Math.floor(shared / SEGMENT_SHARE),
    SEGMENT_FILES_MIN,
    SEGMENT_FILES_MAX,
  );
  const left = Math.floor((shared - segmentFiles) / perConnection);
  return {
    limit,
    reserve: RESERVE,
    segmentFiles,
    connections: clamp(left, CONNECTIONS_MIN, CONNECTIONS_MAX),
  };
}

const clamp = (value: number, min: number, max: number): number =>
  Math.min(max, Math.max(min, value));

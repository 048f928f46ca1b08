import { LEVEL_DELIVERY } from "../../lib/log-levels.ts";
import type { Machine } from "../../machine/machine.ts";

/** With fewer partitions each has files of its own, which are easier to look into. */
export const SHARE_FROM_DEFAULT = 100;

/** The level of the log from which on every member reads files that partitions share. */
export const SHARED_FILES_LEVEL = LEVEL_DELIVERY;

/** True if the small ones of so many partitions should share files. */
export const hasManyPartitions = ({ broker, parts }: Machine, from = SHARE_FROM_DEFAULT): boolean =>
  broker.partitionCount + parts.durable.byId.size >= from;

/** Level of the log that holds commands of groups whose members share partitions. */
export const LEVEL_SHARED_WORK = 2;
export const SHARED_WORK = "Groups that share partitions";

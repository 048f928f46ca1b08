export const SHARED_WORK = "Groups that share partitions";

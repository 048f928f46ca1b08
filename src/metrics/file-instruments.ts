/** Gauges of records in files and of their windows in memory. */
import { Cell } from "./histogram.ts";

export const FILE_GAUGES = {
  readCacheBytes: {
    name: "ayder_read_cache_bytes",
    help: "Memory of records that were read from segment files",
  },
  readCacheBytesMax: {
    name: "ayder_read_cache_bytes_limit",
    help: "Limit for the memory of records that were read from segment files",
  },
  sharedFileBytes: {
    name: "ayder_shared_files_bytes",
    help: "Bytes of files that small partitions and streams share",
  },
  sharedGarbageBytes: {
    name: "ayder_shared_files_garbage_bytes",
    help: "Bytes of shared files that belong to no partition any more",
  },
} as const;

export const newFileCells = () => ({
  readCacheBytes: new Cell(),
  readCacheBytesMax: new Cell(),
  sharedFileBytes: new Cell(),
  sharedGarbageBytes: new Cell(),
});

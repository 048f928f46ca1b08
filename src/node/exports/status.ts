/** The memory of a leader about an export: nothing of it is replicated. */
import type { Random } from "../../env/random.ts";
import type { NextRecord } from "./planner.ts";

const RETRY_FIRST_MS = 1_000;
const RETRY_MAX_MS = 60_000;
/** Retries of several exports are spread by this part of their delay. */
const JITTER = 0.3;

export class ExportStatus {
  /** The file that is being written. Null: none. */
  running: AbortController | null = null;
  runningPartition = -1;
  /** Attempts in a row that failed. */
  failures = 0;
  retryAtMs = 0;
  lastError: string | null = null;
  lastErrorAtMs: number | null = null;
  /** Grows with each attempt, so that those that waited longest are next. */
  lastAttempt = 0;
  /** The place was found to be free, or to belong to this export. */
  isPlaceChecked = false;
  /** When the pointer to the last manifest was written under this leader. */
  pointerAtMs: number | null = null;
  /** Files that were given up are removed from this time on. */
  removeAtMs = 0;
  /** The turn that is under way began before the export was deleted. */
  isOfOpenExport = false;
  readonly next = new Map<number, NextRecord>();

  failed(message: string, nowMs: number, random: Random): void {
    const delayMs = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(this.failures, 16));
    const spread = 1 + JITTER * ((random.u32() / 2 ** 32) * 2 - 1);
    this.failures++;
    this.retryAtMs = nowMs + Math.round(delayMs * spread);
    this.lastError = message;
    this.lastErrorAtMs = nowMs;
  }

  /** A file that was given up is still there. The export goes on. */
  notRemoved(message: string, nowMs: number): void {
    this.removeAtMs = nowMs + RETRY_MAX_MS;
    this.lastError = message;
    this.lastErrorAtMs = nowMs;
  }

  succeeded(): void {
    this.failures = 0;
    this.retryAtMs = 0;
  }
}

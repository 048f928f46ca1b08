/** Classifies errors of the operating system by what a caller can do about them. */
import { DiskFailure, DiskFull, ResourceShortage } from "./disk.ts";

/** Delay before a read or write that failed for lack of memory is retried. */
const SHORTAGE_WAIT_MS = 20;
/** Error codes for a lack of descriptors, memory or threads. The failed call had no effect. */
const SHORTAGES = ["EMFILE", "ENFILE", "ENOMEM", "EAGAIN"];

type Callback<T> = (error: NodeJS.ErrnoException | null, value: T) => void;

export function attempt<T>(
  operation: string,
  path: string,
  start: (done: Callback<T>) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => {
      if (error) reject(fault(operation, path, error));
      else resolve(value);
    });
  });
}

/** Returns assertions and errors that are already typed unchanged. */
export function fault(operation: string, path: string, cause: unknown): Error {
  if (cause instanceof DiskFailure) return cause;
  if (cause instanceof Error && cause.name === "AssertionError") return cause;
  const code = codeOf(cause);
  const message = `${operation} ${path}: ${reasonOf(cause)}`;
  if (code === "ENOSPC" || code === "EDQUOT") return new DiskFull(message, { cause });
  // A failed sync may have dropped bytes that were written, for any cause.
  return SHORTAGES.includes(code) && !/sync$/.test(operation)
    ? new ResourceShortage(message, { cause })
    : new DiskFailure(message, { cause });
}

/** Bun repeats the call and the path after the reason: "ENOENT: no such file or directory, open '/a'". */
function reasonOf(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : String(cause);
  return message.replace(/^(E[A-Z0-9]+: [^,']+), \w+(?: '.*')?$/s, "$1");
}

export const isShortage = (error: unknown): boolean =>
  error instanceof ResourceShortage || SHORTAGES.includes(codeOf(error));

/** True if a free descriptor would have helped. */
export function isDescriptorShortage(error: unknown): boolean {
  const code = codeOf(error instanceof ResourceShortage ? error.cause : error);
  return code === "EMFILE" || code === "ENFILE";
}

/** Repeats a call of an open file that failed for lack of memory: it had no effect. */
export async function whileShort<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!isShortage(error)) throw error;
    }
    await Bun.sleep(SHORTAGE_WAIT_MS);
  }
}

export function codeOf(cause: unknown): string {
  if (!(cause instanceof Error) || !("code" in cause)) return "";
  return String(cause.code);
}

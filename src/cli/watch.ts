/** Repeats a text: redrawn in place on a terminal, printed when it changes elsewhere. */
import type { Io } from "./command.ts";
import { harmless } from "./visible.ts";

const HOME_AND_CLEAR = "\u001b[H\u001b[J";
const CLEAR_TO_END_OF_LINE = "\u001b[K";
const ENCODER = new TextEncoder();

export type Watched = {
  /** Time between two texts. */
  readonly everyMs: number;
  /** Shown above the text on a terminal. */
  readonly title: string;
  /** Separates two texts where they are not redrawn. */
  readonly between: string;
  readonly text: () => Promise<string>;
};

/** Ends when the user interrupts it. @throws whatever `text` throws */
export async function watch({ everyMs, title, between, text }: Watched, io: Io): Promise<void> {
  let last: string | null = null;
  while (!io.interrupted.aborted) {
    let next: string;
    try {
      next = await text();
    } catch (error) {
      if (io.interrupted.aborted) return;
      throw error;
    }
    if (io.isTty) await io.out(screen(`${title}\n\n${next}`, io.rows));
    else if (next !== last) await io.out(last === null ? next : `${between}${next}`);
    last = next;
    await pause(everyMs, io.interrupted);
  }
}

/** As bytes, because the escapes of text are shown and not executed. */
function screen(text: string, rows: number): Uint8Array {
  const lines = harmless(text).trimEnd().split("\n");
  const room = Math.max(1, rows - 1);
  const shown = lines.length <= room ? lines : [...lines.slice(0, room - 1), cutText(lines, room)];
  const body = shown.map((line) => `${line}${CLEAR_TO_END_OF_LINE}\n`).join("");
  return ENCODER.encode(`${HOME_AND_CLEAR}${body}`);
}

const cutText = (lines: readonly string[], room: number): string =>
  `… ${lines.length - room + 1} more lines`;

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });

/** Starts real servers as processes of their own, from source or from the binary, on free ports. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";

export type ServerOptions = {
  readonly dataDir: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
};

export type Server = {
  readonly url: string;
  readonly pid: number;
  readonly process: Subprocess;
  /** Everything it wrote to stderr so far. */
  readonly log: () => string;
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number>;
};

/** The command that starts a server: `AYDER_BINARY` if it is set, else the source. */
export function serverCommand(): string[] {
  const binary = process.env["AYDER_BINARY"];
  if (binary !== undefined && binary !== "") return [binary];
  return [process.execPath, join(import.meta.dir, "../../../src/main.ts")];
}

/** Environment without the settings of whoever runs the tests. */
export function cleanEnvironment(extra: Readonly<Record<string, string>> = {}) {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && !/^(RF_|AYDER_|PORT$)/.test(name)) env[name] = value;
  }
  // The same on every machine, whatever its number of cores: one thread, or what `AYDER_WORKERS` says.
  return { ...env, RF_WORKERS: process.env["AYDER_WORKERS"] ?? "0", ...extra };
}

/**
 * Starts a server and waits until it listens.
 *
 * @throws Error with what it wrote to stderr if it ends before.
 */
export async function startServer(options: ServerOptions): Promise<Server> {
  const child = Bun.spawn(
    [...serverCommand(), "--port", "0", "--data-dir", options.dataDir, ...(options.args ?? [])],
    { env: cleanEnvironment(options.env), stdout: "pipe", stderr: "pipe", stdin: "ignore" },
  );
  const log = collect(child.stderr);
  const url = await firstUrl(child.stdout);
  if (url === null) {
    const code = await child.exited;
    await log.done;
    throw new ServerEnded(code, log.text());
  }
  return {
    url,
    pid: child.pid,
    process: child,
    log: log.text,
    async kill() {
      child.kill("SIGKILL");
      await child.exited;
    },
    async stop() {
      child.kill("SIGTERM");
      return await child.exited;
    },
  };
}

export class ServerEnded extends Error {
  readonly code: number;
  readonly log: string;

  constructor(code: number, log: string) {
    super(`the server ended with code ${code} before it listened:\n${log}`);
    this.code = code;
    this.log = log;
  }
}

/** A directory of its own, and what removes it. */
export function temporaryDirectory(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), "ayder-test-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

function collect(stream: ReadableStream<Uint8Array>) {
  let text = "";
  const decoder = new TextDecoder();
  const done = (async () => {
    for await (const chunk of stream) text += decoder.decode(chunk, { stream: true });
  })();
  return { text: () => text, done };
}

/** Reads stdout up to the line that names the address; goes on reading so that it never blocks. */
async function firstUrl(stream: ReadableStream<Uint8Array>): Promise<string | null> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return null;
    text += decoder.decode(value, { stream: true });
    const match = /listening on (https?:\/\/\S+)/.exec(text);
    if (match?.[1] === undefined) continue;
    void (async () => {
      while (!(await reader.read()).done);
    })();
    return match[1];
  }
}

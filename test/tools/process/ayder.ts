/** Runs the command line as a separate process, as a user does. */
import { cleanEnvironment, serverCommand } from "./server.ts";

export type Run = { readonly code: number; readonly out: string; readonly err: string };

export type RunOptions = {
  readonly stdin?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  /** The process leads a process group of its own, as one that a shell starts in a terminal. */
  readonly detached?: boolean;
};

/** @returns the result when the process has ended, with its output as text. */
export async function ayder(args: readonly string[], options: RunOptions = {}): Promise<Run> {
  const child = spawnAyder(args, options);
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, out, err };
}

/** For commands that run until they are stopped. */
export function spawnAyder(
  args: readonly string[],
  { stdin = "", env, detached = false }: RunOptions = {},
) {
  return Bun.spawn([...serverCommand(), ...args], {
    env: cleanEnvironment(env),
    stdin: typeof stdin === "string" ? new TextEncoder().encode(stdin) : stdin,
    stdout: "pipe",
    stderr: "pipe",
    detached,
  });
}

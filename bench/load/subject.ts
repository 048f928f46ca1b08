import { readdirSync } from "node:fs";

/** Starts a program that prints `listening on URL`, as a process of its own. */
export type Subject = {
  readonly port: number;
  readonly pid: number;
  kill(): Promise<void>;
};

export async function startSubject(
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Subject> {
  const child = Bun.spawn([...command], {
    stdout: "pipe",
    stderr: "inherit",
    stdin: "ignore",
    env: { ...process.env, ...env },
  });
  const reader = child.stdout.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`${command.join(" ")} ended before it listened`);
    text += decoder.decode(value);
    const port = /listening on https?:\/\/[^:]+:(\d+)/.exec(text)?.[1];
    if (port === undefined) continue;
    return {
      port: Number(port),
      pid: child.pid,
      async kill() {
        child.kill("SIGKILL");
        await child.exited;
      },
    };
  }
}

/** CPU time that a process has taken, in microseconds (Linux): its first thread, and the others. */
export async function cpuMicros(pid: number): Promise<{ main: number; others: number }> {
  const time = { main: 0, others: 0 };
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const text = await Bun.file(`/proc/${pid}/task/${task}/schedstat`)
      .text()
      .catch(() => "0");
    time[Number(task) === pid ? "main" : "others"] += Number(text.split(" ")[0]) / 1000;
  }
  return time;
}

/** Resident memory of a process, in MiB (Linux). */
export async function residentMiB(pid: number): Promise<number> {
  const status = await Bun.file(`/proc/${pid}/status`).text();
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
}

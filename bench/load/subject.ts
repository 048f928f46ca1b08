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
  const schedule = await Bun.file(`/proc/${pid}/task/${pid}/schedstat`).text();
  const main = Number(schedule.split(" ")[0]) / 1000;
  // The time of the process counts threads that have ended, too. It is in ticks of 10 ms.
  const stat = await Bun.file(`/proc/${pid}/stat`).text();
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const all = (Number(fields[11]) + Number(fields[12])) * 10_000;
  return { main, others: Math.max(0, all - main) };
}

/** Resident memory of a process, in MiB (Linux). */
export async function residentMiB(pid: number): Promise<number> {
  const status = await Bun.file(`/proc/${pid}/status`).text();
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
}

/** Child processes that end with this process, whatever ends it. */
import type { Subprocess } from "bun";

const alive = new Set<Subprocess>();
let hooked = false;

export function adopt(child: Subprocess): void {
  alive.add(child);
  child.exited.then(
    () => alive.delete(child),
    () => alive.delete(child),
  );
  if (hooked) return;
  hooked = true;
  process.on("exit", endAll);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      endAll();
      process.exit(1);
    });
  }
}

function endAll(): void {
  // A stopped process dies of SIGKILL too.
  for (const child of alive) child.kill("SIGKILL");
}

/** Before the command: the kernel ends the child even if this process is killed. */
export function withParent(command: readonly string[]): string[] {
  const setpriv = Bun.which("setpriv");
  return setpriv === null ? [...command] : [setpriv, "--pdeathsig", "KILL", ...command];
}

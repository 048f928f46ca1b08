/** The leader is killed many times in a row: each time writes go on, and it comes back by itself. */
import { hasCaughtUp } from "./membership.ts";
import type { Run } from "./run-state.ts";
import { timeTakeover } from "./takeover.ts";

const SECONDS_PER_KILL = 2;

/** Kills whoever leads, as soon as the one before is back and has everything. */
export async function killsInARow(run: Run): Promise<void> {
  const count = Math.ceil(run.options.seconds / SECONDS_PER_KILL);
  const { cluster, takeovers, findings, notes, recorder } = run;
  const returns: number[] = [];
  for (let i = 1; i <= count; i++) {
    const leader = await run.leader();
    if (leader === null) return;
    await run.fault("kill-leader", leader.id, async () => {
      const begin = recorder.now();
      await Promise.all([leader.kill(), timeTakeover(run, leader)]);
      if (takeovers.length < i) findings.push(`no write was taken after kill ${i}`);
      cluster.start(leader);
      if (!(await run.serves(leader)) || !(await hasCaughtUp(run, leader))) return;
      returns.push(Math.round(recorder.now() - begin));
    });
    if (findings.length > 0) return;
  }
  returns.sort((a, b) => a - b);
  const [median, longest] = [returns[returns.length >> 1], returns.at(-1)];
  notes.push(
    `${returns.length} killed leaders came back and had everything: median ${median} ms ` +
      `after the kill, longest ${longest} ms`,
  );
}

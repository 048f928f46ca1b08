/** A server that is measured beside Ayder in the same run. */
import type { LoadResult } from "./generator.ts";

/** One kind of load on a peer. */
export type PeerLoad = {
  run(connections: number, seconds: number): Promise<LoadResult>;
  /**
   * The program that makes the load. `http` is the one that loads Ayder; the others speak a protocol
   * of their own.
   */
  readonly client: "http" | "redis-benchmark" | "bench/load";
  /** Messages of one answer, if they are not as many as were asked for. */
  readonly messages?: number;
};

export type Peer = {
  readonly pid: number;
  /** Loads by name: `redis XADD always`, … */
  readonly loads: Readonly<Record<string, PeerLoad>>;
  kill(): Promise<void>;
};

export type SpawnOptions = {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
};

export function spawnPeer(
  line: readonly string[],
  loads: Peer["loads"],
  { cwd, env = {} }: SpawnOptions = {},
): Peer {
  const child = Bun.spawn([...line], {
    stdio: ["ignore", "ignore", "ignore"],
    env: { ...process.env, ...env },
    ...(cwd === undefined ? {} : { cwd }),
  });
  return {
    pid: child.pid,
    loads,
    async kill() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

/** Resolves when a GET of the address is answered with a success. */
export async function answers(url: string, timeoutMs = 30_000): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while ((await fetch(url).catch(() => null))?.ok !== true) {
    if (performance.now() > endMs) throw new Error(`${url} does not answer`);
    await Bun.sleep(50);
  }
}

/** A real Prometheus (Debian: prometheus) with the shipped configuration, on nodes of ours. */
import { join } from "node:path";
import { ROOT } from "../../../src/release/compile.ts";
import { freePorts } from "../process/ports.ts";

export const PROMETHEUS = join(ROOT, "src/deploy/prometheus");

export type Sample = { readonly metric: Readonly<Record<string, string>>; readonly value: number };
export type Prometheus = {
  /** @throws Error for an expression that it cannot evaluate. */
  query(expression: string): Promise<readonly Sample[]>;
  stop(): Promise<void>;
};

/** @param targets `host:port` of each node. */
export async function startPrometheus(
  directory: string,
  targets: readonly string[],
): Promise<Prometheus> {
  const config = (await Bun.file(join(PROMETHEUS, "prometheus.yml")).text())
    .replaceAll('"ayder:1109"', targets.map((target) => JSON.stringify(target)).join(", "))
    .replace("rules.yml", join(PROMETHEUS, "rules.yml"))
    .replaceAll(/(interval|timeout): [45]s/g, "$1: 1s");
  const file = join(directory, "prometheus.yml");
  await Bun.write(file, config);
  const [port = 0] = freePorts(1);
  const child = Bun.spawn(
    [
      "prometheus",
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(directory, "tsdb")}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { stdio: ["ignore", "ignore", Bun.file(join(directory, "prometheus.log"))] },
  );
  const url = `http://127.0.0.1:${port}`;
  await until(() => fetch(`${url}/-/ready`).then(({ ok }) => ok));
  return {
    async query(expression) {
      const body = new URLSearchParams({ query: expression });
      const answer = await fetch(`${url}/api/v1/query`, { method: "POST", body });
      const { status, data, error } = (await answer.json()) as Answer;
      if (status !== "success") throw new Error(`${expression}: ${error}`);
      return data.result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
    },
    async stop() {
      child.kill("SIGTERM");
      await child.exited;
    },
  };
}

type Answer = {
  readonly status: string;
  readonly error?: string;
  readonly data: {
    readonly result: readonly { metric: Record<string, string>; value: [number, string] }[];
  };
};

/** Asks until it is so; a minute is given up on. */
export async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    if (await isSo().catch(() => false)) return;
    await Bun.sleep(200);
  }
  throw new Error("it did not come to pass within a minute");
}

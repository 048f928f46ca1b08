/** Three real nodes on free ports, from source or from the binary. */
import { join } from "node:path";
import type { Subprocess } from "bun";
import { freePorts } from "./ports.ts";
import { cleanEnvironment, serverCommand } from "./server.ts";

export const IDS = ["node1", "node2", "node3"];

export type Nodes = { readonly urls: readonly string[]; readonly children: readonly Subprocess[] };

export type StartedNodes = Nodes & {
  readonly raftPorts: readonly number[];
  /** Starts a node again that has ended. */
  readonly spawn: (at: number) => Subprocess;
};

/**
 * @param environment of all of them, besides.
 * @param fronts HTTP ports by which the nodes know each other, if they are not their own.
 */
export function startNodes(
  directory: string,
  environment: Readonly<Record<string, string>> = {},
  host = "127.0.0.1",
  fronts: readonly number[] | null = null,
): StartedNodes {
  const ports = freePorts(2 * IDS.length);
  const scheme = environment["RF_TLS_CERT"] === undefined ? "http" : "https";
  const raft = (i: number) => ports[2 * i];
  const http = (i: number) => ports[2 * i + 1];
  const nodes = IDS.map(
    (id, i) => `${id}:${host}:${raft(i)}:${100 - i}:${fronts?.[i] ?? http(i)}`,
  ).join(",");
  const spawn = (i: number) => {
    const id = IDS[i] ?? "";
    return Bun.spawn([...serverCommand(), "--data-dir", join(directory, id)], {
      env: cleanEnvironment({
        RF_HA_ENABLED: "1",
        RF_HA_NODE_ID: id,
        RF_HA_NODES: nodes,
        RF_HA_BOOTSTRAP_LEADER: i === 0 ? "1" : "0",
        ...(fronts === null ? {} : { RF_HTTP_PORT: String(http(i)) }),
        ...environment,
      }),
      stdout: "ignore",
      stderr: "ignore",
      stdin: "ignore",
    });
  };
  const children = IDS.map((_, i) => spawn(i));
  return {
    spawn,
    urls: IDS.map((_, i) => `${scheme}://${host}:${http(i)}`),
    children,
    raftPorts: IDS.map((_, i) => raft(i) ?? 0),
  };
}

export async function untilReady(urls: readonly string[]): Promise<void> {
  for (const url of urls) {
    for (;;) {
      const ready = await fetch(`${url}/ready`, { tls: { rejectUnauthorized: false } }).catch(
        () => null,
      );
      if (ready?.status === 200) break;
      await Bun.sleep(100);
    }
  }
}

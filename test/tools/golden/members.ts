/**
 * Three members of a cluster, on the addresses that are recorded in their directories. A member is
 * known by the address in the log, so these cannot be free ports of a run: the nodes have loopback
 * addresses that nothing else uses, and one run at a time has them.
 */
import { join } from "node:path";
import type { Subprocess } from "bun";
import { SMALL_FILES } from "../backup/sample.ts";
import { Client } from "../crash/client.ts";
import { cleanEnvironment, serverCommand } from "../process/server.ts";

export const MEMBERS = ["node1", "node2", "node3"] as const;
export type MemberName = (typeof MEMBERS)[number];

const NETWORK = "127.81.9";
const RAFT_PORT = 7001;
const HTTP_PORT = 8001;
const LOCK_PORT = 7000;
const hostOf = (name: MemberName) => `${NETWORK}.${MEMBERS.indexOf(name) + 1}`;
const NODES = MEMBERS.map(
  (name, i) => `${name}:${hostOf(name)}:${RAFT_PORT}:${9 - i}:${HTTP_PORT}`,
);

export type Member = {
  readonly name: MemberName;
  readonly client: Client;
  readonly child: Subprocess;
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>;
};

/** @param directory has a directory of each member by its name. */
export function startMember(
  directory: string,
  name: MemberName,
  environment: Readonly<Record<string, string>> = {},
): Member {
  const child = Bun.spawn([...serverCommand(), "--data-dir", join(directory, name)], {
    env: cleanEnvironment({
      ...SMALL_FILES,
      RF_HA_ENABLED: "1",
      RF_HA_NODE_ID: name,
      RF_HA_NODES: NODES.join(","),
      RF_BEARER_TOKENS: "dev",
      RF_HTTP_ADDR: hostOf(name),
      RF_LOG_LEVEL: "error",
      ...environment,
    }),
    stdout: "ignore",
    stderr: "inherit",
    stdin: "ignore",
  });
  return {
    name,
    client: new Client(`http://${hostOf(name)}:${HTTP_PORT}`),
    child,
    async kill() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

/** Waits until the member has caught up and knows a leader. */
export async function untilReady({ client, child, name }: Member): Promise<void> {
  while ((await client.send("GET", "/ready"))?.status !== 200) {
    if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}`);
    await Bun.sleep(50);
  }
}

/** The member that leads, once there is one. */
export async function leaderOf(members: readonly Member[]): Promise<Member> {
  for (;;) {
    for (const member of members) {
      const answer = await member.client.send("GET", "/ha/membership");
      const { leader_id: id } = (answer?.body["membership"] ?? {}) as { leader_id?: string };
      const leader = members.find(({ name }) => name === id);
      if (leader !== undefined) return leader;
    }
    await Bun.sleep(50);
  }
}

/** Waits until no other process uses the addresses. @returns what releases them. */
export async function reserveAddresses(): Promise<() => void> {
  for (;;) {
    try {
      const socket = { data() {} };
      const listener = Bun.listen({ hostname: `${NETWORK}.9`, port: LOCK_PORT, socket });
      return () => listener.stop(true);
    } catch {
      await Bun.sleep(200);
    }
  }
}

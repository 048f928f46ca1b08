/**
 * The C program that Ayder re-creates, as a peer. It is not a part of this repository: the variable
 * `AYDER_C` names its binary, and src/docs/performance.md says how to build it.
 *
 * A produce is synced only if the request waits for that (`timeout_ms`). Without it, the answer comes
 * before the message is in the file. Reads come from memory, where it keeps all messages.
 */
import { firstPages, gets, lines, produces, puts, randomPages } from "./cases.ts";
import type { HttpLoad } from "./generator.ts";
import { freePort } from "./nodes.ts";
import { answers, type Peer, type PeerLoad, spawnPeer } from "./peer.ts";
import { AyderApi, provenStored } from "./proof.ts";

/** Longer than any sync takes, so that no request is answered before. */
const SYNCED = "&timeout_ms=30000";

export async function startOriginal(path: string, data: string, http: HttpLoad): Promise<Peer> {
  const port = freePort();
  // One process without a cluster manager is its fastest form on two cores.
  const line = [path, "--port", `${port}`, "--workers", "0"];
  const options = { cwd: data, env: { RF_BEARER_TOKENS: "dev", RF_HA_ENABLED: "0" } };
  const started = spawnPeer(line, {}, options);
  const kill = async () => {
    // It removes its shared memory when it is told to end.
    process.kill(started.pid, "SIGTERM");
    await Bun.sleep(500);
    await started.kill();
  };
  try {
    await answers(`http://127.0.0.1:${port}/health`);
    return { pid: started.pid, loads: await loadsOf(port, http), kill };
  } catch (cause) {
    await kill();
    throw cause;
  }
}

/** Fills it, checks what it answers, and counts the messages of its pages. */
async function loadsOf(port: number, http: HttpLoad): Promise<Peer["loads"]> {
  const api = new AyderApi(port);
  await api.fill();
  await api.fillBig();
  await api.synced(SYNCED);
  await api.keys();
  const load = (requests: readonly string[], messages?: number): PeerLoad => ({
    client: "http",
    run: (connections, seconds) =>
      http({ port, requests, connections, warmupSeconds: 0.5, seconds }),
    ...(messages === undefined ? {} : { messages }),
  });
  const stores = (messages: number, requests: readonly string[]): PeerLoad => {
    const one = load(requests);
    return {
      ...one,
      run: (connections, seconds) =>
        provenStored(api, messages, connections, () => one.run(connections, seconds)),
    };
  };
  return {
    "C original, synced": stores(1, produces(SYNCED)),
    "C original, not synced": stores(1, produces()),
    "C original, 100 lines, synced": stores(100, lines(SYNCED)),
    "C original, page of 100": load(firstPages(100), await api.firstPages(100)),
    "C original, page of 1000": load(firstPages(1000), await api.firstPages(1000)),
    "C original, random page of 100": load(randomPages(100), await api.randomPages(100)),
    "C original, random page of 1000": load(randomPages(1000), await api.randomPages(1000)),
    "C original KV put, synced": load(puts(SYNCED.replace("&", "?"))),
    "C original KV get": load(gets()),
  };
}

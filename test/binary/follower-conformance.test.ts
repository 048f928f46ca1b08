/**
 * The black-box suite against a follower of three processes of the binary that forwards writes to the
 * leader.
 */
import { afterAll, beforeAll, describe } from "bun:test";
import { join } from "node:path";
import { register } from "../conformance/suite.ts";
import { startNodes, untilReady } from "../tools/process/nodes.ts";
import { temporaryDirectory } from "../tools/process/server.ts";

describe.skipIf(process.env["AYDER_BINARY"] === undefined)("a follower", () => {
  const directory = temporaryDirectory();
  const AUTHORIZATION = { authorization: "Bearer dev" };
  let nodes: ReturnType<typeof startNodes>;
  let follower = "";

  beforeAll(async () => {
    nodes = startNodes(join(directory.path, "nodes"), {
      RF_BEARER_TOKENS: "dev,reader@read,writer@write=orders.*",
      RF_LOG_LEVEL: "error",
      RF_HA_FOLLOWER_WRITES: "forward",
    });
    await untilReady(nodes.urls);
    follower = await untilFollower();
  }, 60_000);

  afterAll(async () => {
    for (const child of nodes.children) child.kill("SIGKILL");
    await Promise.all(nodes.children.map((child) => child.exited));
    directory.remove();
  });

  async function untilFollower(): Promise<string> {
    for (;;) {
      for (const url of nodes.urls) {
        const text = await (await fetch(`${url}/metrics_ha`, { headers: AUTHORIZATION })).text();
        if (/^ramforge_ha_role(\{[^}]*\})? 1$/m.test(text)) return url;
      }
      await Bun.sleep(50);
    }
  }

  register(() => ({
    url: follower,
    token: "dev",
    reader: "reader",
    ordersWriter: "writer",
    // A linearizable read is answered once this node has applied all that was acknowledged.
    catchUp: () =>
      fetch(`${follower}/kv/catch-up/k?consistency=linearizable`, { headers: AUTHORIZATION }),
  }));
});

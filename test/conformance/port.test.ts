/** The same suite with a worker port between the application and its node. */
import { afterAll, beforeAll } from "bun:test";
import { createApp } from "../../src/http/app.ts";
import { type RunningServer, startServer } from "../../src/http/server.ts";
import { SILENT } from "../../src/metrics/log.ts";
import { FakeNode } from "../tools/http/fake-node.ts";
import { httpOptions, TOKEN } from "../tools/http/fixture.ts";
import { portPair } from "../tools/node/port-pair.ts";
import { registerEdge } from "./suite.ts";

let server: RunningServer | undefined;
beforeAll(() => {
  const options = { queueBytesMax: 64 * 1024 * 1024, ringBytes: 1024 * 1024 };
  const { port } = portPair({ node: new FakeNode() }, options);
  const tokens = `${TOKEN},reader@read,writer@write=orders.*`;
  const app = createApp(port, httpOptions({ auth: { tokens, skipPrefixes: [] } }));
  const place = { host: "127.0.0.1", port: 0, tls: null, idleTimeoutSeconds: 30, log: SILENT };
  server = startServer(app, place);
});
afterAll(() => server?.stop(100));
registerEdge(() => ({
  url: server?.url ?? "",
  token: TOKEN,
  reader: "reader",
  ordersWriter: "writer",
}));

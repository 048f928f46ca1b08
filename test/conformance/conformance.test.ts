/**
 * The black-box suite: against `AYDER_URL` and `AYDER_TOKEN` if they are set, else against the
 * application on a node in memory, which has no stream processing.
 */
import { afterAll, beforeAll } from "bun:test";
import type { RunningServer } from "../../src/http/server.ts";
import { startFixture, TOKEN } from "../tools/http/fixture.ts";
import { register, registerEdge } from "./suite.ts";

const external = process.env["AYDER_URL"];
if (external !== undefined) {
  register(() => ({ url: external, token: process.env["AYDER_TOKEN"] ?? "dev" }));
} else {
  let server: RunningServer | undefined;
  beforeAll(() => {
    const tokens = `${TOKEN},reader@read,writer@write=orders.*`;
    ({ server } = startFixture({ auth: { tokens, skipPrefixes: [] } }));
  });
  afterAll(() => server?.stop(100));
  registerEdge(() => ({
    url: server?.url ?? "",
    token: TOKEN,
    reader: "reader",
    ordersWriter: "writer",
  }));
}

// Vitest runs this file: the published suite, with the tests of subscriptions.
import { runConformanceTests } from "@durable-streams/server-conformance-tests";

const { CONFORMANCE_URL, CONFORMANCE_LONG_POLL_MS } = process.env;

runConformanceTests({
  baseUrl: CONFORMANCE_URL,
  longPollTimeoutMs: Number(CONFORMANCE_LONG_POLL_MS),
  subscriptions: true,
});

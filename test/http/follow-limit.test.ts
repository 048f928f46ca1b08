/** The number of streams that follow new records is bounded over all threads. */
import { expect, test } from "bun:test";
import { FOLLOW_STREAMS_MAX, FollowLimit } from "../../src/http/follow-limit.ts";
import { SharedGauge } from "../../src/lib/gauge.ts";
import { Cell } from "../../src/metrics/histogram.ts";
import { sharedLimits, sharedMemory } from "../../src/server/shared-limits.ts";
import { fixture } from "../tools/http/fixture.ts";

test("threads share the limit, and each counts its own streams", () => {
  const memory = SharedGauge.memory(2);
  const cells = [new Cell(), new Cell()];
  const [one, two] = cells.map(
    (cell, own) => new FollowLimit(cell, new SharedGauge(memory, own), 3),
  ) as [FollowLimit, FollowLimit];
  one.begin();
  two.begin();
  two.begin();
  for (const limit of [one, two]) {
    expect(() => limit.begin()).toThrow("3 streams are open, which is the limit");
  }
  expect(cells.map(({ value }) => value)).toEqual([1, 2]);
  two.end();
  one.begin();
  expect(cells.map(({ value }) => value)).toEqual([2, 1]);
});

test("the streams of another thread count, and a stream that ends makes room", async () => {
  const memory = sharedMemory(2, 1);
  const other = sharedLimits(memory, 1).http.followStreams;
  const { ask, app, node, options } = fixture({ shared: sharedLimits(memory, 0).http });
  await node.createTopic("t", 1);
  const follow = "GET /broker/consume/t/g/0?follow=1";
  const request = () =>
    app.fetch(
      new Request("http://localhost/broker/consume/t/g/0?follow=1", {
        headers: { authorization: "Bearer test-token" },
      }),
    );
  other.add(FOLLOW_STREAMS_MAX - 1);
  const first = await request();
  expect(first.status).toBe(200);
  expect(await ask(follow)).toMatchObject({
    status: 503,
    body: { error: "overloaded", message: "10000 streams are open, which is the limit" },
  });
  expect([options.instruments.followStreams.value, other.value]).toEqual([1, FOLLOW_STREAMS_MAX]);
  await first.body?.cancel();
  expect(other.value).toBe(FOLLOW_STREAMS_MAX - 1);
  const again = await request();
  expect(again.status).toBe(200);
  await again.body?.cancel();
});

import { describe, expect, test } from "bun:test";
import { fixture } from "./fixture.ts";

describe("RF_COMPAT=ayder", () => {
  const filled = async () => {
    const made = fixture({ compat: "ayder" });
    for (const body of ["a", "b", "c"])
      await made.ask("POST /broker/topics/t/produce?partition=0", { body });
    const commit = (offset: number) =>
      made.ask("POST /broker/commit", {
        body: JSON.stringify({ topic: "t", group: "g", partition: 0, offset }),
      });
    const read = async () => (await made.ask("GET /broker/consume/t/g/0")).body;
    return { ...made, commit, read };
  };

  test("/health answers 1", async () => {
    expect((await fixture({ compat: "ayder" }).ask("GET /health")).body).toEqual({ ok: 1 });
    expect((await fixture().ask("GET /health")).body).toEqual({ ok: true });
  });
  test("unknown query parameters and fields are ignored", async () => {
    const { ask } = await filled();
    expect((await ask("GET /health?x=1")).body).toEqual({ ok: 1 });
    expect((await ask("GET /broker/consume/t/g/0?ofset=2")).body["count"]).toBe(3);
    const body = '{"name":"u","partition":3}';
    expect((await ask("POST /broker/topics", { body })).body["partitions"]).toBe(8);
  });
  test("committed_offset is null before the first commit", async () => {
    const { read } = await filled();
    expect(await read()).toMatchObject({ committed_offset: null, count: 3 });
  });
  test("a committed offset is the last one that was worked off", async () => {
    const { commit, read, ask } = await filled();
    expect((await commit(0)).body).toEqual({ ok: true, committed_offset: 0 });
    expect(await read()).toMatchObject({ committed_offset: 0, count: 2, next_offset: 3 });
    expect((await commit(2)).body).toEqual({ ok: true, committed_offset: 2 });
    expect(await read()).toMatchObject({ committed_offset: 2, count: 0 });
    const { body } = await ask("GET /broker/topics/t");
    expect(body["groups"]).toEqual([{ group: "g", partition: 0, committed_offset: 2, lag: 0 }]);
  });
  test("a commit beyond the last record counts as one of the last record", async () => {
    const { commit } = await filled();
    const answer = await commit(3);
    expect(answer.body).toMatchObject({ ok: true, committed_offset: 2 });
  });
});

import { describe, expect, test } from "bun:test";
import { HTTP_ERRORS } from "../../src/http/errors.ts";
import type { Rejected, WriteReject } from "../../src/node/api.ts";
import { FakeLater } from "../tools/http/fake-later.ts";
import { fixture } from "../tools/http/fixture.ts";

const WRITES = [
  ["POST /broker/topics", '{"name":"t"}'],
  ["DELETE /broker/topics/t", undefined],
  ["POST /broker/topics/t/produce?partition=0", "x"],
  ["POST /broker/topics/t/produce-ndjson", "x"],
  ["POST /broker/commit", '{"topic":"t","group":"g","partition":0,"offset":0}'],
  ["POST /broker/delete-before", '{"topic":"t","partition":0,"before_offset":0}'],
  ["POST /broker/retention", '{"topic":"*","ttl_ms":1}'],
  ["POST /kv/ns/a/b%20c?cas=0", "x"],
  ["DELETE /kv/ns/a", undefined],
] as const;
const STATUS: Readonly<Record<Exclude<WriteReject, "not_leader">, number>> = {
  no_leader: 503,
  no_quorum: 503,
  overloaded: 503,
  shutting_down: 503,
  commit_timeout: 504,
  disk_full: 507,
};

const rejecting = (rejection: Rejected<WriteReject>, changes = {}) => {
  const made = fixture(changes);
  made.node.rejectWrites = rejection;
  return made;
};
const asked = (body: string | undefined) => (body === undefined ? {} : { body });

describe("what the node rejects", () => {
  for (const [line, body] of WRITES) {
    for (const [code, status] of Object.entries(STATUS)) {
      test(`${line} after ${code} is ${status}`, async () => {
        const { ask } = rejecting({ ok: false, code: code as WriteReject });
        const answer = await ask(line, asked(body));
        expect(answer.status).toBe(status);
        expect(Object.keys(answer.body).sort()).toEqual(["docs", "error", "message", "ok"]);
        expect(answer.body).toMatchObject({ ok: false, error: code });
        expect(answer.headers.get("retry-after")).toBe(status === 503 ? "1" : null);
      });
    }
    test(`${line} on a follower is sent to the leader`, async () => {
      const { ask, node } = rejecting({ ok: false, code: "not_leader" });
      node.healthNow = { role: "follower", leaderId: "n2", leaderUrl: "http://leader:1109" };
      const headers = { host: "evil.example" };
      const answer = await ask(line, { ...asked(body), headers });
      const location = `http://leader:1109${line.slice(line.indexOf(" ") + 1)}`;
      expect(answer.status).toBe(307);
      expect(answer.headers.get("location")).toBe(location);
      expect(answer.body).toMatchObject({
        ok: false,
        error: "redirect_to_leader",
        leader_url: "http://leader:1109",
        redirect: { status: 307, location },
      });
      const unknown = await ask(line, { ...asked(body), token: "wrong" });
      expect(unknown.status).toBe(401);
    });
  }
  test("308 where it is asked for", async () => {
    const { ask, node } = rejecting({ ok: false, code: "not_leader" }, { redirectStatus: 308 });
    node.healthNow = { leaderUrl: "http://l:1" };
    const answer = await ask("POST /kv/a/b", { body: "x" });
    expect(answer.status).toBe(308);
    expect(answer.body).toMatchObject({ redirect: { status: 308 } });
  });
  test("a node that forwards never redirects: 503 if the leader changed meanwhile", async () => {
    const changes = { forwardWrites: { commitTimeoutMs: 1000 } };
    for (const [line, body] of WRITES) {
      const { ask, node } = rejecting({ ok: false, code: "not_leader" }, changes);
      // When the request came, the node itself led, or nobody.
      const leaders = [null, "http://leader:1109"];
      node.leaderUrl = () => leaders.shift() ?? null;
      const answer = await ask(line, asked(body));
      expect([line, answer.status]).toEqual([line, 503]);
      expect(answer.headers.get("retry-after")).toBe("1");
      expect(answer.headers.get("location")).toBeNull();
      expect(answer.body).toMatchObject({
        error: "not_leader",
        message:
          "This node is not the leader, and the leader has just changed; nothing was done, try again",
      });
    }
  });
  test("a follower that knows no leader says so", async () => {
    const { ask } = rejecting({ ok: false, code: "not_leader" }, { retryAfterSeconds: 7 });
    const answer = await ask("POST /kv/a/b", { body: "x" });
    expect(answer.status).toBe(503);
    expect(answer.body["error"]).toBe("no_leader");
    expect(answer.headers.get("retry-after")).toBe("7");
  });
});

describe("what the node did not finish", () => {
  test("a produce whose wait is over is 202 and not durable", async () => {
    const { ask, node } = fixture();
    node.slowSync = true;
    const answer = await ask("POST /broker/topics/t/produce?partition=0&timeout_ms=0", {
      body: "x",
    });
    expect(answer.status).toBe(202);
    expect(answer.body).toMatchObject({
      ok: true,
      offset: 0,
      synced: false,
      durable: false,
      sealed: true,
    });
    const put = await ask("POST /kv/a/b?timeout_ms=0", { body: "x" });
    expect(put.status).toBe(202);
    expect(put.body).toMatchObject({ ok: true, synced: false, durable: false });
  });
  test("a delayed produce whose wait is over is 202 and not durable, a repetition too", async () => {
    const later = new FakeLater();
    const { ask } = fixture({ later });
    const first = { scheduleId: 8, firstOffset: 0, partition: 0, count: 1, deliverAtMs: 5_000 };
    const ack = { batchId: 7, synced: false, ackedBy: 1, payloadMatches: true, committed: false };
    const line = "POST /broker/topics/t/produce?partition=0&delay_ms=5000&timeout_ms=0";
    later.scheduled = { ok: true, ...first, ...ack, duplicate: false };
    const answer = await ask(line, { body: "x" });
    expect(answer.status).toBe(202);
    const where = {
      ok: true,
      scheduled: true,
      schedule_id: "delayed:8",
      deliver_at_ms: 5_000,
      count: 1,
      partition: 0,
    };
    const mode = { sealed: true, durable: false, mode: "sealed", synced: false };
    expect(answer.body).toEqual({ ...where, batch_id: 7, ...mode, acked_by: 1 });
    later.scheduled = { ok: true, ...first, ...ack, duplicate: true };
    const again = await ask(`${line}&idempotency_key=k`, { body: "x" });
    expect(again.status).toBe(202);
    expect(again.body).toEqual({ ...where, ...mode, sealed: false, duplicate: true });
  });
  test("rocket for the process, sealed for a request", async () => {
    const { ask } = fixture({ rocket: true });
    const mode = async (query: string) =>
      (await ask(`POST /broker/topics/t/produce?${query}`, { body: "x" })).body["mode"];
    expect(await mode("")).toBe("rocket");
    expect(await mode("mode=sealed")).toBe("sealed");
  });
});

describe("bugs", () => {
  test("a node that throws is 500 without its words", async () => {
    const lines: string[] = [];
    const note = (message: string, fields?: object) => lines.push(message + JSON.stringify(fields));
    const log = { debug: note, info: note, warn: note, error: note };
    const { ask, node } = fixture({ log });
    node.broken = new Error("secret detail");
    for (const line of [
      "POST /broker/topics/t/produce",
      "POST /kv/a/b",
      "GET /broker/consume/t/g/0",
    ]) {
      const answer = await ask(line, line.startsWith("POST") ? { body: "x" } : {});
      expect(answer.status).toBe(500);
      expect(Object.keys(answer.body).sort()).toEqual(["docs", "error", "message", "ok"]);
      expect(JSON.stringify(answer.body)).not.toContain("secret");
    }
    expect(lines.length).toBe(3);
    expect(lines[0]).toContain("secret detail");
  });
  test("every code has a fitting status and its own words", () => {
    for (const [code, { status, message }] of Object.entries(HTTP_ERRORS)) {
      expect(code).toMatch(/^[a-z_]+$/);
      expect([400, 401, 403, 404, 405, 409, 410, 413, 415, 416, 429, 500, 503, 504, 507]).toContain(
        status,
      );
      expect(message.length).toBeGreaterThan(5);
    }
  });
});

/** CONTRACT 11: the calls that the original has, too. */
import { describe, expect, test } from "bun:test";
import { anInteger, expectError } from "../tools/conformance/expectations.ts";
import { Client, type TargetOf } from "../tools/conformance/target.ts";

export function register(target: TargetOf): void {
  const client = new Client(target);

  describe("admin", () => {
    for (const path of ["/admin/compact", "/admin/sealed/gc"]) {
      test(`POST ${path} with and without a body`, async () => {
        for (const body of ["", "{}"]) {
          expect((await client.ask(`POST ${path}`, { body })).body).toMatchObject({ ok: true });
        }
        expectError(
          await client.ask(`POST ${path}`, { body: '{"force":true}' }),
          400,
          "unknown_field",
        );
        expectError(await client.ask(`POST ${path}?force=1`), 400, "unknown_parameter");
        expectError(await client.ask(`GET ${path}`), 405, "method_not_allowed");
      });
    }
    test("/admin/sealed/status tells the last synced batch", async () => {
      const topic = await client.topic("synced");
      const produced = await client.produce(topic, "x");
      const { body } = await client.ask("GET /admin/sealed/status");
      expect(body).toEqual({ ok: true, last_synced_batch_id: anInteger });
      expect(Number(body["last_synced_batch_id"])).toBeGreaterThanOrEqual(
        Number(produced.body["batch_id"]),
      );
    });
    test("/admin/backup has what was acknowledged before, and names its index", async () => {
      const topic = await client.topic("backup");
      const produced = await client.produce(topic, "x");
      const answer = await client.ask("GET /admin/backup");
      expect(answer.status).toBe(200);
      expect(answer.headers.get("content-type")).toBe("application/octet-stream");
      expect(Number(answer.headers.get("ayder-backup-index"))).toBeGreaterThanOrEqual(
        Number(produced.body["batch_id"]),
      );
      expect(answer.headers.get("ayder-backup-bytes")).toBe(String(answer.bytes.length));
      const head = await client.ask("HEAD /admin/backup");
      expect({ status: head.status, length: head.bytes.length }).toEqual({
        status: 200,
        length: 0,
      });
      expectError(await client.ask("GET /admin/backup?to=disk"), 400, "unknown_parameter");
      expectError(await client.ask("POST /admin/backup"), 405, "method_not_allowed");
    });
  });
}

/** CONTRACT 7. */
import { describe, expect, test } from "bun:test";
import { anInteger, expectError, SEALED } from "../tools/conformance/expectations.ts";
import { Client, freshName, type Json, type TargetOf } from "../tools/conformance/target.ts";

export function register(target: TargetOf): void {
  const client = new Client(target);
  const put = (path: string, body = "v") => client.ask(`POST /kv/${path}`, { body });
  const get = (path: string, headers = {}) => client.ask(`GET /kv/${path}`, { headers });

  describe("kv", () => {
    test("put, get, meta and delete", async () => {
      const key = `${freshName("kv")}/user`;
      const written = await put(key, "hello");
      expect(written.body).toEqual({ ...SEALED, cas: anInteger, batch_id: anInteger });
      const cas = written.body["cas"];
      expect((await get(key)).body).toEqual({ value: "aGVsbG8=", cas });
      expect((await get(`${key}/meta`)).body).toEqual({ cas, ttl_ms: 0, bytes: 5 });
      const deleted = await client.ask(`DELETE /kv/${key}`);
      expect(deleted.body).toEqual({ ...SEALED, deleted: true, batch_id: anInteger });
      expectError(await get(key), 404, "not_found");
      expectError(await get(`${key}/meta`), 404, "not_found");
      expect((await client.ask(`DELETE /kv/${key}`)).body).toMatchObject({
        ok: true,
        deleted: false,
      });
    });
    test("octet-stream has the bytes and the revision as ETag", async () => {
      const key = `${freshName("kv")}/raw`;
      const cas = (await put(key, "r\n")).body["cas"];
      const { bytes, headers } = await get(key, { accept: "application/octet-stream" });
      expect(Buffer.from(bytes).toString()).toBe("r\n");
      expect(headers.get("etag")).toBe(`"${cas}"`);
      expect(headers.get("content-type")).toBe("application/octet-stream");
    });
    test("PUT is POST, and another method is 405 with those that are allowed", async () => {
      const key = `${freshName("kv")}/put`;
      const written = await client.ask(`PUT /kv/${key}?cas=0`, { body: "hello" });
      expect(written.body).toEqual({ ...SEALED, cas: anInteger, batch_id: anInteger });
      expect((await get(key)).body["value"]).toBe("aGVsbG8=");
      expectError(await client.ask(`PUT /kv/${key}?cas=0`, { body: "x" }), 409, "cas_mismatch", [
        "expected",
        "current",
      ]);
      const patch = await client.ask(`PATCH /kv/${key}`, { body: "x" });
      expectError(patch, 405, "method_not_allowed");
      expect(patch.headers.get("allow")).toBe("POST, PUT, GET, DELETE, HEAD");
    });
    test("If-None-Match with the revision is 304, for JSON and for bytes", async () => {
      const key = `${freshName("kv")}/etag`;
      const cas = (await put(key, "v")).body["cas"];
      const tag = `"${cas}"`;
      const forms = ["application/json", "application/octet-stream"].flatMap((accept) =>
        ["GET", "HEAD"].map((method) => ({ accept, method })),
      );
      const ask = async ({ accept, method }: (typeof forms)[number], match: string) => {
        const headers = { accept, "if-none-match": match };
        const answer = await client.ask(`${method} /kv/${key}`, { headers });
        return [answer.status, answer.headers.get("etag")];
      };
      for (const form of forms) {
        for (const match of [tag, `W/${tag}`, `"x", W/"y,z" , ${tag}`, "*"]) {
          expect(await ask(form, match)).toEqual([304, tag]);
        }
        for (const match of ['"0"', `"${cas}0"`, String(cas), ""]) {
          expect(await ask(form, match)).toEqual([200, tag]);
        }
      }
      expectError(await get(`${key}x`, { "if-none-match": "*" }), 404, "not_found");
    });
    test("Accept chooses between base64 and bytes by weight", async () => {
      const key = `${freshName("kv")}/weight`;
      await put(key, "v");
      for (const [accept, type] of [
        ["*/*", "application/json"],
        ["application/json, application/octet-stream;q=0.5", "application/json"],
        ["application/octet-stream, application/json;q=0.5", "application/octet-stream"],
        ["application/octet-stream;q=0", "application/json"],
        ["application/json;q=0", "application/octet-stream"],
        ["application/json;q=0, */*", "application/octet-stream"],
        ["APPLICATION/OCTET-STREAM", "application/octet-stream"],
        ["text/html", "application/json"],
      ] as const) {
        expect([accept, (await get(key, { accept })).headers.get("content-type")]).toEqual([
          accept,
          type,
        ]);
      }
    });
    test("cas grows within the namespace and is not reused after deletion", async () => {
      const space = freshName("kv");
      const revisions: number[] = [];
      for (const key of ["a", "b", "a"])
        revisions.push(Number((await put(`${space}/${key}`)).body["cas"]));
      await client.ask(`DELETE /kv/${space}/a`);
      revisions.push(Number((await put(`${space}/a`)).body["cas"]));
      expect([...new Set(revisions)].sort((a, b) => a - b)).toEqual(revisions);
    });
    test("cas=0 writes only what is absent, another cas only what has it", async () => {
      const key = `${freshName("kv")}/cas`;
      const cas = Number((await put(`${key}?cas=0`, "1")).body["cas"]);
      const taken = await put(`${key}?cas=0`, "2");
      expectError(taken, 409, "cas_mismatch", ["expected", "current"]);
      expect(taken.body).toMatchObject({ expected: 0, current: cas });
      const next = Number((await put(`${key}?cas=${cas}`, "3")).body["cas"]);
      expect(next).toBeGreaterThan(cas);
      expectError(await put(`${key}?cas=${cas}`, "4"), 409, "cas_mismatch", [
        "expected",
        "current",
      ]);
      expectError(await client.ask(`DELETE /kv/${key}?cas=${cas}`), 409, "cas_mismatch", [
        "expected",
        "current",
      ]);
      expect((await get(key)).body).toEqual({
        value: Buffer.from("3").toString("base64"),
        cas: next,
      });
      expect((await client.ask(`DELETE /kv/${key}?cas=${next}`)).body["deleted"]).toBe(true);
    });
    test("ttl_ms is how long a key lives", async () => {
      const key = `${freshName("kv")}/ttl`;
      await put(`${key}?ttl_ms=100000000`);
      const left = Number((await get(`${key}/meta`)).body["ttl_ms"]);
      expect(left).toBeGreaterThan(0);
      expect(left).toBeLessThanOrEqual(100_000_000);
      await put(`${key}?ttl_ms=1`);
      await Bun.sleep(20);
      let answer = await get(key);
      for (let i = 0; i < 300 && answer.status === 200; i++) {
        await Bun.sleep(20);
        answer = await get(key);
      }
      expectError(answer, 404, "not_found", ["expired"]);
      expect(answer.body["expired"]).toBe(true);
      expect(answer.body["message"]).toMatch(/expired/);
    });
    test("any number is a time to live, and is kept as it is", async () => {
      const key = `${freshName("kv")}/ttl`;
      for (const ttlMs of [2 ** 53 - 2 ** 42, Number.MAX_SAFE_INTEGER]) {
        expect((await put(`${key}?ttl_ms=${ttlMs}`)).status).toBe(200);
        const left = Number((await get(`${key}/meta`)).body["ttl_ms"]);
        expect(left).toBeLessThanOrEqual(ttlMs);
        // A clock that counts from 1970 takes its own time from the largest of all.
        expect(left).toBeGreaterThan(2 ** 53 - 2 ** 42 - 2 ** 32);
        expect((await get(key)).body["value"]).toBe("dg==");
      }
    });
    test("a key may have slashes, escaped or not, and any UTF-8", async () => {
      const space = freshName("kv");
      await put(`${space}/a%2Fb/c`, "slashes");
      expect((await get(`${space}/a/b%2fc`)).body["value"]).toBe(
        Buffer.from("slashes").toString("base64"),
      );
      await put(`${space}/%F0%9F%98%80%20%25%3Fx`, "emoji");
      const { body } = await client.ask(`GET /kv/${space}`);
      expect((body["keys"] as Json[]).map(({ key }) => key)).toEqual(["a/b/c", "😀 %?x"]);
    });
    test("a key has up to 1024 bytes", async () => {
      const space = freshName("kv");
      expect((await put(`${space}/${"k".repeat(1024)}`)).status).toBe(200);
      expectError(await put(`${space}/${"k".repeat(1025)}`), 400, "invalid_key");
      expectError(await put(`${space}/${"%C3%A9".repeat(513)}`), 400, "invalid_key");
    });
    test("meta is reserved behind a slash, and a name elsewhere", async () => {
      const space = freshName("kv");
      expectError(await put(`${space}/a/meta`), 400, "reserved_key");
      expectError(await put(`${space}/a%2Fmeta`), 400, "reserved_key");
      expect((await put(`${space}/meta`)).status).toBe(200);
      expect((await put(`${space}/meta/a`)).status).toBe(200);
      expect((await get(`${space}/meta`)).body["value"]).toBe("dg==");
    });
    for (const query of [
      "cas=-1",
      "cas=",
      "cas=18446744073709551616",
      "cas=9007199254740993",
      "ttl_ms=-1",
      "ttl_ms=1e18",
      "timeout_ms=x",
      "cas=1&cas=1",
    ]) {
      test(`${query} is 400 and writes nothing`, async () => {
        const key = `${freshName("kv")}/k`;
        expectError(await put(`${key}?${query}`), 400, /^(invalid|repeated)_parameter$/);
        expectError(await get(key), 404, "not_found");
      });
    }
    test("a value may be empty, and 1 MiB at most", async () => {
      const key = `${freshName("kv")}/size`;
      await put(key, "");
      expect((await get(key)).body["value"]).toBe("");
      expect((await put(key, "x".repeat(1024 * 1024))).status).toBe(200);
      expectError(await put(key, "x".repeat(1024 * 1024 + 1)), 413, "message_too_large", ["limit"]);
    });
    test("namespaces do not share keys, and have names like topics", async () => {
      const space = freshName("kv");
      await put(`${space}/k`);
      expectError(await get(`${space}x/k`), 404, "not_found");
      expectError(await put("a%20b/k"), 400, "invalid_namespace");
      expectError(await put(`${"a".repeat(250)}/k`), 400, "invalid_namespace");
    });
    test("a list goes by prefix, in byte order, page by page", async () => {
      const space = freshName("kv");
      for (const key of ["b/2", "a/1", "b/1", "b/3", "c"]) await put(`${space}/${key}`, "12");
      const list = async (query: string) => (await client.ask(`GET /kv/${space}?${query}`)).body;
      const first = await list("prefix=b%2F&limit=2");
      expect(first).toMatchObject({ ok: true, count: 2, next: "b/2" });
      expect((first["keys"] as Json[])[0]).toEqual({
        key: "b/1",
        cas: anInteger,
        bytes: 2,
        ttl_ms: 0,
      });
      const second = await list("prefix=b%2F&limit=2&after=b%2F2");
      expect((second["keys"] as Json[]).map(({ key }) => key)).toEqual(["b/3"]);
      expect(second["next"]).toBeNull();
      expect((await list(""))["count"]).toBe(5);
      expect((await client.ask(`GET /kv/${space}x`)).body).toMatchObject({
        keys: [],
        count: 0,
        next: null,
      });
    });
    test("namespaces are listed by name, with their keys and bytes", async () => {
      const [one, two] = [freshName("spaces"), freshName("spaces")];
      const listed = async () =>
        ((await client.ask("GET /kv")).body["namespaces"] as Json[]).filter(
          ({ namespace }) => namespace === one || namespace === two,
        );
      await put(`${two}/k`);
      const cas = (await put(`${two}/k`)).body["cas"];
      await put(`${one}/k`);
      expect(await listed()).toEqual([
        { namespace: one, revision: anInteger, keys: 1, bytes: anInteger },
        { namespace: two, revision: cas, keys: 1, bytes: anInteger },
      ]);
      await client.ask(`DELETE /kv/${one}/k`);
      expect((await listed())[0]).toMatchObject({ namespace: one, keys: 0, bytes: 0 });
    });
    test("a namespace is deleted with its keys, and its revisions are never used again", async () => {
      const space = freshName("spaces");
      const drop = (query = "") => client.ask(`DELETE /kv/${space}${query}`);
      const names = async () =>
        ((await client.ask("GET /kv")).body["namespaces"] as Json[]).map(
          (each) => each["namespace"],
        );
      await put(`${space}/a`, "123");
      const cas = Number((await put(`${space}/b/c`, "")).body["cas"]);
      expectError(await drop("?if_empty=1"), 409, "namespace_not_empty", ["keys"]);
      // An empty name of a key in a script does not delete the namespace.
      expectError(await drop("/"), 400, "invalid_key");
      expectError(await drop("/?cas=1"), 400, "invalid_key");
      expectError(await drop("?cas=1"), 400, "unknown_parameter");
      expectError(await drop("?if_empty=yes"), 400, "invalid_parameter");
      expectError(await drop("?ifempty=1"), 400, "unknown_parameter");
      expectError(await client.ask("DELETE /kv/a%20b"), 400, "invalid_namespace");
      expect(await names()).toContain(space);
      const ack = {
        sealed: true,
        durable: true,
        mode: "sealed",
        synced: true,
        batch_id: anInteger,
      };
      expect((await drop()).body).toEqual({ ok: true, deleted: true, keys: 2, bytes: 7, ...ack });
      expect(await names()).not.toContain(space);
      expectError(await get(`${space}/a`), 404, "not_found");
      expect((await client.ask(`GET /kv/${space}`)).body).toMatchObject({ count: 0 });
      expect((await drop()).body).toEqual({ ok: true, deleted: false, keys: 0, bytes: 0, ...ack });
      expect((await put(`${space}/a`)).body["cas"]).toBeGreaterThan(cas);
      await client.ask(`DELETE /kv/${space}/a`);
      expect((await drop("?if_empty=1&timeout_ms=5000")).body).toMatchObject({ deleted: true });
    });
  });
}

import { describe, expect, test } from "bun:test";
import type { ClusterApi } from "../../src/node/api.ts";
import { fixture } from "../tools/http/fixture.ts";

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
    const lag = { group: "g", partition: 0, committed_offset: 2, lag: 0 };
    expect(body["groups"]).toContainEqual(lag);
  });
  test("offset=-1 reads from the start, and no other sign is taken", async () => {
    const { ask, commit } = await filled();
    await commit(1);
    const { body } = await ask("GET /broker/consume/t/g/0?offset=-1");
    expect(body).toMatchObject({ count: 3, next_offset: 3, committed_offset: 1 });
    expect((await ask("GET /broker/consume/t/g/0?offset=-2")).body["error"]).toBe(
      "invalid_parameter",
    );
    const plain = await fixture().ask("GET /broker/consume/t/g/0?offset=-1");
    expect(plain.body).toMatchObject({
      error: "invalid_parameter",
      message: 'offset is "-1": it must be a decimal integer from 0 to 9007199254740991',
    });
  });
  test("consume is linearizable unless it asks otherwise", async () => {
    for (const [compat, query, linearizable] of [
      ["ayder", "", true],
      ["ayder", "?consistency=applied", false],
      ["ayder", "?consistency=linearizable", true],
      ["", "", false],
      ["", "?consistency=linearizable", true],
    ] as const) {
      const { node, ask } = fixture({ compat });
      await ask("POST /broker/topics/t/produce?partition=0", { body: "a" });
      const asked: boolean[] = [];
      const consume = node.consume.bind(node);
      node.consume = (request) => {
        asked.push(request.linearizable);
        return consume(request);
      };
      expect((await ask(`GET /broker/consume/t/g/0${query}`)).status).toBe(200);
      expect(asked).toEqual([linearizable]);
    }
  });
  test("addresses of members are URLs; add takes both spellings always", async () => {
    for (const compat of ["ayder", ""] as const) {
      const added: unknown[] = [];
      const node = {
        index: 0,
        nodeId: "n1",
        advertiseAddr: "10.0.0.1:7000",
        httpAddr: "10.0.0.1:7001",
        priority: 1,
        isVoter: true,
        isLearner: false,
        role: "leader",
        matchIndex: 1,
        healthy: true,
      } as const;
      const cluster: ClusterApi = {
        membership: async () => ({
          epoch: 1,
          jointActive: false,
          nodes: [node],
          leaderId: "n1",
          term: 1,
        }),
        addMember: async (member) => {
          added.push(member);
          return { ok: true };
        },
        promoteMember: async () => ({ ok: true }),
        removeMember: async () => ({ ok: true }),
        transferLeadership: async () => ({ ok: true, target: "n1" }),
      };
      const { ask } = fixture({ compat, cluster });
      const { membership } = (await ask("GET /ha/membership")).body as {
        membership: { nodes: { advertise_addr: string; http_addr: string }[] };
      };
      const scheme = compat === "ayder" ? "http://" : "";
      expect(membership.nodes[0]).toMatchObject({
        advertise_addr: `${scheme}10.0.0.1:7000`,
        http_addr: `${scheme}10.0.0.1:7001`,
      });
      // An address that nobody knows yet is empty, not half of a URL.
      Object.assign(node, { advertiseAddr: "", httpAddr: "" });
      const unknown = (await ask("GET /ha/membership")).body as { membership: { nodes: object[] } };
      expect(unknown.membership.nodes[0]).toMatchObject({ advertise_addr: "", http_addr: "" });
      for (const start of ["", "http://", "https://"]) {
        const body = JSON.stringify({
          node_id: "n2",
          advertise_addr: `${start}10.0.0.2:7000`,
          http_addr: `${start}10.0.0.2:7001`,
        });
        expect((await ask("POST /ha/membership/add", { body })).status).toBe(200);
      }
      const one = {
        nodeId: "n2",
        host: "10.0.0.2",
        raftPort: 7000,
        httpPort: 7001,
        priority: null,
      };
      expect(added).toEqual([one, one, one]);
      const body = JSON.stringify({ node_id: "n2", advertise_addr: "ftp://10.0.0.2:7000" });
      expect((await ask("POST /ha/membership/add", { body })).status).toBe(400);
      // The host would be stored nowhere, and clients would be sent to another one.
      const addresses = { advertise_addr: "10.0.0.2:7000", http_addr: "public.example:7001" };
      const two = JSON.stringify({ node_id: "n2", ...addresses });
      const refused = await ask("POST /ha/membership/add", { body: two });
      expect([refused.status, refused.body["message"]]).toEqual([
        400,
        'http_addr has the host "public.example" and advertise_addr "10.0.0.2": a node has one host for both',
      ]);
      expect(added.length).toBe(3);
    }
  });
  test("a commit beyond the last record counts as one of the last record", async () => {
    const { commit } = await filled();
    const answer = await commit(3);
    expect(answer.body).toMatchObject({ ok: true, committed_offset: 2 });
  });
});

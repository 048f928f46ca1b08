/** Lists of very many topics or groups are sent in pieces, and are exactly what the token may read. */
import { expect, test } from "bun:test";
import { fixture, TOKEN } from "../tools/http/fixture.ts";

const COUNT = 12_345;
const nameOf = (i: number) => `${i % 3 === 0 ? "orders" : "users"}.${String(i).padStart(6, "0")}`;
const allNames = Array.from({ length: COUNT }, (_, i) => nameOf(i)).sort();

type Body = { readonly topics: { readonly topic: string }[]; readonly next?: string | null };

async function filled(tokens: string) {
  const made = fixture({ auth: { tokens, skipPrefixes: [] } });
  for (const name of allNames.toReversed()) await made.node.createTopic(name, 1);
  const limits: number[] = [];
  const list = made.node.listTopics.bind(made.node);
  made.node.listTopics = (request) => {
    limits.push(request?.limit ?? Number.POSITIVE_INFINITY);
    return list(request);
  };
  const names = async (token: string, query = "") => {
    const answer = await made.ask(`GET /broker/topics${query}`, { token });
    const { topics, next } = answer.body as Body;
    return { names: topics.map(({ topic }) => topic), next };
  };
  return { ...made, names, limits };
}

test("all topics come once, by name, in pieces", async () => {
  const { names, limits, options } = await filled("every");
  const whole = await names("every");
  expect(whole.names).toEqual(allNames);
  expect(whole.next).toBeUndefined();
  expect(limits.length).toBeGreaterThan(6);
  expect(Math.max(...limits)).toBeLessThanOrEqual(5_000);
  expect(options.instruments.answerBytesInUse.value).toBe(0);
});

test("a list that fills its pieces exactly ends", async () => {
  const { node, names } = await filled("every");
  for (const name of allNames.slice(4_000)) await node.deleteTopic(name);
  expect((await names("every")).names).toEqual(allNames.slice(0, 4_000));
  for (const name of allNames.slice(2_000)) await node.deleteTopic(name);
  expect((await names("every")).names).toEqual(allNames.slice(0, 2_000));
});

test("a token that is limited to names sees only those, on pages and as a whole", async () => {
  const { names } = await filled("some@read=users.*,none@read=other.*,writer@write");
  const permitted = allNames.filter((name) => name.startsWith("users."));
  expect((await names("some")).names).toEqual(permitted);
  expect(await names("none")).toMatchObject({ names: [] });
  expect(await names("none", "?limit=1")).toMatchObject({ names: [], next: null });
  const found: string[] = [];
  for (let next: string | null | undefined = ""; typeof next === "string"; ) {
    const page = await names("some", `?limit=999&after=${next}`);
    expect(page.names.length).toBeLessThanOrEqual(999);
    found.push(...page.names);
    next = page.next;
    if (typeof next === "string") expect(permitted).toContain(next);
  }
  expect(found).toEqual(permitted);
});

test("the groups of a wide topic are asked for a few at a time, and an answer that lost them is cut off", async () => {
  const { node, app, ask } = fixture();
  await node.createTopic("wide", 1024);
  const groups = Array.from({ length: 9 }, (_, i) => `g${i}`);
  for (const group of groups) {
    await node.commitOffset({ topic: "wide", group, partition: 0, offset: 0 });
  }
  const asked: (readonly string[] | undefined)[] = [];
  const groupsOf = node.groupsOf.bind(node);
  node.groupsOf = (topic, names) => {
    asked.push(names);
    return groupsOf(topic, names);
  };
  const { body } = await ask("GET /broker/topics/wide");
  expect((body["groups"] as unknown[]).length).toBe(9 * 1024);
  expect(asked).toEqual([groups.slice(3, 6), groups.slice(6)]);

  const headers = { authorization: `Bearer ${TOKEN}` };
  const answer = await app.fetch(new Request("http://localhost/broker/topics/wide", { headers }));
  await node.deleteTopic("wide");
  await expect(answer.text()).rejects.toThrow();
});

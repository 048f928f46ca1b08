/** A member is its topics' business: who may not read them all can neither replace nor end it. */
import { expect, test } from "bun:test";
import { fixture } from "../tools/http/fixture.ts";

const TOKENS = "every,orders@read=orders.*";

test("joining as a member that exists needs the scope for the topics that it has", async () => {
  const { ask, node } = fixture({ auth: { tokens: TOKENS, skipPrefixes: [] } });
  const owned: Readonly<Record<string, readonly string[]>> = {
    theirs: ["payments.a"],
    both: ["orders.a", "payments.a"],
    ours: ["orders.a"],
  };
  node.groups.topicsOfMember = (({ member }: { readonly member: string }) =>
    owned[member] ?? []) as typeof node.groups.topicsOfMember;
  const join = async (member: string | null, token: string) => {
    const named = member === null ? {} : { member };
    const body = JSON.stringify({ topics: ["orders.b"], ...named });
    const { body: answer } = await ask("POST /broker/groups/g/join", { token, body });
    return answer["error"];
  };
  // The node of this test has no quorum, so this error says that the request came through.
  const passed = "no_quorum";
  for (const [member, expected] of [
    ["theirs", "forbidden"],
    ["both", "forbidden"],
    ["ours", passed],
    ["new", passed],
    [null, passed],
  ] as const) {
    expect([member, await join(member, "orders")]).toEqual([member, expected]);
    expect([member, await join(member, "every")]).toEqual([member, passed]);
  }
});

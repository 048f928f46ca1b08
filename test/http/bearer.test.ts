import { expect, test } from "bun:test";
import { fixture } from "../tools/http/fixture.ts";

test("the scheme has any case, and any number of blanks and tabs after it", async () => {
  const { ask } = fixture({ auth: { tokens: "secret", skipPrefixes: [] } });
  const statusOf = async (authorization: string) =>
    (await ask("GET /broker/topics", { token: null, headers: { authorization } })).status;
  for (const start of ["Bearer ", "bearer  ", "BEARER\t", "bEaReR \t  "]) {
    expect(await statusOf(`${start}secret`)).toBe(200);
    expect(await statusOf(`${start}secret`)).toBe(200);
    expect(await statusOf(`${start}secre`)).toBe(401);
  }
  for (const header of ["Bearersecret", "Bearer", "Basic secret", "secret", "Bearer sec ret"]) {
    expect(await statusOf(header)).toBe(401);
  }
});

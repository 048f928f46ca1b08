/** The console is served whole, to whoever asks. */
import { describe, expect, test } from "bun:test";
import { Client, type TargetOf } from "../tools/conformance/target.ts";

export function register(target: TargetOf): void {
  const client = new Client(target);
  const get = (path: string) => client.ask(`GET ${path}`, { token: null });

  describe("console", () => {
    test("the page names a script and a style, and both are there", async () => {
      const page = await get("/ui");
      expect(page.status).toBe(200);
      expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
      const html = Buffer.from(page.bytes).toString();
      const names = [...html.matchAll(/"(ui\/[\w.-]+)"/g)].map(([, name = ""]) => `/${name}`);
      // Relative, so that they also lead there below a path prefix.
      expect(names.length).toBe(2);
      for (const name of names) {
        const file = await get(name);
        expect(file.status).toBe(200);
        expect(file.headers.get("content-type")).toMatch(/^text\/(javascript|css); charset=utf-8$/);
        expect(file.bytes.length).toBeGreaterThan(1000);
      }
    });
  });
}

import { expect } from "bun:test";
import type { Answer } from "./target.ts";

/** The error object of CONTRACT 1: exactly the four fields and those that are named. */
export function expectError(
  answer: Answer,
  status: number,
  code: string | RegExp,
  fields: readonly string[] = [],
): void {
  expect({ status: answer.status, error: answer.body["error"] }).toEqual({
    status,
    error: typeof code === "string" ? code : expect.stringMatching(code),
  });
  expect(Object.keys(answer.body).sort()).toEqual(
    ["ok", "error", "message", "docs", ...fields].sort(),
  );
  expect(answer.body["ok"]).toBe(false);
  expect(answer.body["error"]).toMatch(/^[a-z][a-z0-9_]*$/);
  expect(String(answer.body["message"]).length).toBeGreaterThan(5);
  expect(answer.body["message"]).not.toContain("()");
  expect(answer.body["docs"]).toMatch(/^https:\/\/ayder\.dev\/docs\//);
  expect(answer.headers.get("content-type")).toMatch(/^application\/json/);
}

export const SEALED = {
  ok: true,
  sealed: true,
  durable: true,
  mode: "sealed",
  synced: true,
} as const;
export const anInteger = expect.any(Number) as number;

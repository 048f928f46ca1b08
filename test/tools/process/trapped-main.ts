/**
 * The program with a trap on the thread that serves HTTP. While the file exists that
 * `TRAP_FILE` names: `block` in it keeps that thread from everything else, `throw` makes it throw.
 */
import { existsSync, readFileSync } from "node:fs";

if (!Bun.isMainThread) {
  const path = process.env["TRAP_FILE"] ?? "";
  setInterval(() => {
    if (!existsSync(path)) return;
    const order = readFileSync(path, "utf8");
    if (order === "throw") throw new Error("trapped");
    while (existsSync(path)) Bun.sleepSync(5);
  }, 5);
}
await import("../../../src/main.ts");

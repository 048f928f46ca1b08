/** Chains of certificates that a peer shows in the handshake. */
import { afterAll, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chainProblem } from "../../src/env/tls-chain.ts";
import { Authority, type NodeCertificate } from "../tools/transport/certificates.ts";

const root = mkdtempSync(join(tmpdir(), "ayder-chain-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const authority = new Authority(join(root, "own"));
const namesake = new Authority(join(root, "other"));
const CA = new X509Certificate(authority.ca);
const NOW = Date.UTC(2030, 0, 1);
const make = (options: NodeCertificate, by = authority): X509Certificate =>
  new X509Certificate(
    by.issue({ from: "20290101000000Z", until: "20310101000000Z", ...options }).cert,
  );

test("what an authority has signed is believed while it is valid", () => {
  const leaf = make({ id: "leaf" });
  expect(chainProblem(leaf, [], [CA], NOW)).toBeNull();
  expect(chainProblem(leaf, [], [CA], Date.UTC(2028, 0, 1))).toMatch("not valid yet");
  expect(chainProblem(leaf, [], [CA], Date.UTC(2032, 0, 1))).toMatch("has expired");
  expect(chainProblem(leaf, [], [], NOW)).toMatch("no known authority");
});

test("an authority that only has the same name is not the same", () => {
  const leaf = make({ id: "forged", keyIdentifier: false }, namesake);
  expect(leaf.checkIssued(CA)).toBe(true);
  expect(chainProblem(leaf, [], [CA], NOW)).toMatch("no known authority");
  expect(chainProblem(leaf, [], [CA, new X509Certificate(namesake.ca)], NOW)).toBeNull();
});

test("an intermediate authority will do if it is shown, is one, and is valid itself", () => {
  const middle = make({ id: "middle", isAuthority: true, usage: null });
  const leaf = make({ id: "under", issuer: "middle" });
  expect(chainProblem(leaf, [middle], [CA], NOW)).toBeNull();
  expect(chainProblem(leaf, [], [CA], NOW)).toMatch("no known authority");
  const node = make({ id: "node", usage: null });
  const byNode = make({ id: "by-node", issuer: "node", keyIdentifier: false });
  expect(chainProblem(byNode, [node], [CA], NOW)).toMatch("no known authority");
  const late = { from: "20200101000000Z", until: "20210101000000Z" };
  const old = make({ id: "old", isAuthority: true, usage: null, ...late });
  const byOld = make({ id: "by-old", issuer: "old" });
  expect(chainProblem(byOld, [old], [CA], NOW)).toMatch("intermediate");
});

test("a chain ends, though it be a circle", () => {
  const links = ["m1", "m2", "m3", "m4", "m5"].map((id, i, all) =>
    make({ id, isAuthority: true, usage: null, issuer: all[i - 1] ?? "ca" }),
  );
  const leaf = make({ id: "deep", issuer: "m5" });
  expect(chainProblem(leaf, links, [CA], NOW)).toMatch("too long");
  const self = new X509Certificate(namesake.ca);
  expect(chainProblem(make({ id: "n" }, namesake), [self], [CA], NOW)).toMatch("too long");
});

test("a node's key signs for no other node", () => {
  const node = make({ id: "signer", usage: null });
  const leaf = make({ id: "signed", issuer: "signer", keyIdentifier: false });
  expect(leaf.verify(node.publicKey)).toBe(true);
  expect(chainProblem(leaf, [], [CA, node], NOW)).toMatch("no known authority");
});

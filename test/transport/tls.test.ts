/** Mutual TLS and the handshake above it accept members and nobody else. */
import { afterAll, expect, test } from "bun:test";
import { createHash, sign, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BunClock } from "../../src/env/bun-clock.ts";
import type { BunNetwork, NetworkTls } from "../../src/env/bun-network.ts";
import type { PeerIdentity } from "../../src/env/network.ts";
import { TlsIdentity, TlsUnusable } from "../../src/env/tls-identity.ts";
import { nameProblem } from "../../src/env/tls-names.ts";
import type { NodeId } from "../../src/lib/ids.ts";
import { createLogger } from "../../src/metrics/log.ts";
import { peerNetworkOf } from "../../src/server/peer-network.ts";
import { Authority, type NodeCertificate } from "../tools/transport/certificates.ts";
import { allUp, heartbeat, TestNode, until, withNodes } from "../tools/transport/nodes.ts";

const root = mkdtempSync(join(tmpdir(), "ayder-tls-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const authority = new Authority(join(root, "own"));
const stranger = new Authority(join(root, "other"));
const clock = new BunClock();

let files = 0;
const issue = (options: NodeCertificate, by = authority): NetworkTls =>
  by.issue({ ...options, file: `file${files++}` });
const identity = (tls: NetworkTls, strictId = true): TlsIdentity =>
  new TlsIdentity({ tls, clock, strictId });

/** Asks for no certificate, and shows its own although an honest node would not start with it. */
function bold(tls: NetworkTls): PeerIdentity {
  const certificates = [new X509Certificate(tls.cert).raw];
  return {
    fingerprint: fingerprintOf(new X509Certificate(tls.cert).raw),
    fingerprintOf,
    prove: (statement) => ({ certificates, signature: sign("sha256", statement, tls.key) }),
    judgeDialler: () => null,
    judgeAcceptor: () => null,
  };
}
const fingerprintOf = (certificate: Uint8Array): Uint8Array =>
  createHash("sha256").update(certificate).digest();

const A = issue({ id: "a" });
const B = issue({ id: "b" });
const C = issue({ id: "c" });
const node = (id: string, tls: NetworkTls, strictId = true): TestNode =>
  new TestNode(id, { tls, identity: identity(tls, strictId) });
const boldNode = (id: string, tls: NetworkTls, proof = tls): TestNode =>
  new TestNode(id, { tls, identity: bold(proof) });

/**
 * `a`, with the member `b` at the intruder's address, and the intruder dial each other until both
 * were turned away twice.
 */
async function expectKeptOut(intruder: TestNode, a = node("a", A)): Promise<void> {
  const dials = (of: TestNode): number =>
    [...of.transport.stats().failed.values()].reduce((sum, count) => sum + count, 0);
  try {
    const nowhere = { id: "c" as NodeId, host: "127.0.0.1", port: 1 };
    a.transport.setPeers([{ ...intruder.address, id: "b" as NodeId }, nowhere]);
    intruder.transport.setPeers([a.address]);
    await until(() => dials(a) > 4 && dials(intruder) > 1);
    expect(a.transport.stats().peers[0]).toMatchObject({ id: "b", connects: 0, heard: false });
    expect(intruder.transport.stats().peers[0]).toMatchObject({ connects: 0, heard: false });
  } finally {
    await Promise.all([a.transport.close(), intruder.transport.close()]);
  }
}

test("members with certificates of the cluster's authority talk, whatever the kind of key", async () => {
  const nodes = [
    node("a", A),
    node("b", issue({ id: "b", algorithm: "RSA" })),
    node("c", issue({ id: "c", algorithm: "ED25519", usage: null })),
  ];
  await withNodes(nodes, async () => {
    await allUp(nodes);
    for (const from of nodes) {
      from.transport.send(nodes.filter((to) => to !== from).map((to) => heartbeat(from, to, 1)));
    }
    await until(() => nodes.every((each) => each.received.length === 2));
  });
});

const KEPT_OUT: Readonly<Record<string, () => TestNode>> = {
  "another authority's, with the same names": () =>
    boldNode("b", { ...issue({ id: "b" }, stranger), ca: authority.ca }),
  expired: () => boldNode("b", issue({ id: "b", until: "20260101000000Z" })),
  "not yet valid": () => boldNode("b", issue({ id: "b", from: "20970101000000Z" })),
  "for servers only": () => boldNode("b", issue({ id: "b", usage: "serverAuth" })),
  "for clients only": () => boldNode("b", issue({ id: "b", usage: "clientAuth" })),
  "an authority": () => boldNode("b", issue({ id: "b", isAuthority: true })),
  "another member's, though its address fits": () => boldNode("b", C),
  "of neither its name nor its address": () =>
    boldNode("b", issue({ id: "x", alternativeNames: ["DNS:x", "IP:127.0.0.2"] })),
};
for (const [what, make] of Object.entries(KEPT_OUT)) {
  test(`a certificate keeps its owner out, both ways, if it is ${what}`, () =>
    expectKeptOut(make()));
}

test("the handshake itself refuses what TLS let through", async () => {
  // Over TLS it is `b`, whose certificate is good. In the handshake it shows others.
  const proofs: Readonly<Record<string, NetworkTls>> = {
    "a stolen certificate, without its key": { ...C, cert: B.cert, key: C.key },
    "another member": C,
    expired: issue({ id: "b", until: "20260101000000Z" }),
    "another authority": issue({ id: "b" }, stranger),
    "for servers only": issue({ id: "b", usage: "serverAuth" }),
    "an authority": issue({ id: "b", isAuthority: true }),
  };
  for (const proof of Object.values(proofs)) {
    const a = node("a", A);
    const intruder = boldNode("b", B, proof);
    intruder.transport.setPeers([a.address]);
    a.transport.setPeers([
      { id: "b" as NodeId, host: "127.0.0.1", port: 1 },
      { id: "c" as NodeId, host: "127.0.0.1", port: 1 },
    ]);
    await until(() => (a.transport.stats().refused.get("not_proven") ?? 0) > 0);
    await until(() => (intruder.transport.stats().failed.get("not_proven") ?? 0) > 0);
    expect(a.transport.stats().peers[0]?.heard).toBe(false);
    await Promise.all([a.transport.close(), intruder.transport.close()]);
  }
});

test("a hello without a proof is not enough where TLS is on", async () => {
  const a = node("a", A);
  const silent = new TestNode("b", { tls: B, identity: null });
  await withNodes([a, silent], async () => {
    await until(() => (a.transport.stats().refused.get("not_proven") ?? 0) > 0);
    expect(a.transport.stats().peers[0]?.heard).toBe(false);
  });
});

test("who stands between two nodes is found out, since it shows another certificate", async () => {
  // The dialler believes anybody; so only the signed fingerprint tells that this is not `a`.
  const a = node("a", A);
  const proof = bold(B);
  const fooled = { ...proof, fingerprintOf: () => fingerprintOf(new X509Certificate(C.cert).raw) };
  const b = new TestNode("b", { tls: B, identity: fooled });
  await withNodes([a, b], async () => {
    await until(() => (a.transport.stats().refused.get("not_proven") ?? 0) > 0);
    expect(a.transport.stats().peers[0]?.heard).toBe(false);
  });
});

test("the address is proof enough if the certificate names no other member", async () => {
  const nodes = [
    node("a", A),
    node("b", issue({ id: "host7", alternativeNames: ["IP:127.0.0.1"] })),
  ];
  await withNodes(nodes, () => allUp(nodes));
});

test("any certificate of the authority will do if names are not to be looked at", async () => {
  const nodes = [node("a", A, false), node("b", C, false)];
  await withNodes(nodes, () => allUp(nodes));
  await expectKeptOut(
    boldNode("b", { ...issue({ id: "b" }, stranger), ca: authority.ca }),
    node("a", A, false),
  );
});

test("with TLS too, an unknown id, the own id and another cluster are refused", async () => {
  const a = node("a", A);
  const others = [
    boldNode("x", B),
    boldNode("a", A),
    new TestNode("b", { tls: B, identity: identity(B), clusterId: "other" }),
  ];
  a.transport.setPeers([{ id: "b" as NodeId, host: "127.0.0.1", port: 1 }]);
  others[0]?.transport.setPeers([a.address]);
  others[1]?.transport.setPeers([{ ...a.address, id: "z" as NodeId }]);
  others[2]?.transport.setPeers([a.address]);
  const { refused } = a.transport.stats();
  const codes = ["unknown_peer", "wrong_destination", "wrong_cluster"];
  await until(() => codes.every((code) => (refused.get(code) ?? 0) > 0));
  await Promise.all([a, ...others].map((each) => each.transport.close()));
});

test("with TLS, a member that this node does not know yet proves its name as others do", async () => {
  const membershipInfo = (membershipVersion: number) => ({
    membershipVersion,
    address: { host: "127.0.0.1", port: 1 },
  });
  const stranger = (id: string, proof: NetworkTls): TestNode =>
    new TestNode(id, { tls: B, identity: bold(proof), membershipInfo: membershipInfo(9) });
  const options = { tls: A, identity: identity(A), membershipInfo: membershipInfo(5) };
  const a = new TestNode("a", options);
  a.transport.setPeers([{ id: "c" as NodeId, host: "127.0.0.1", port: 1 }]);
  const impostors = [stranger("x", C), stranger("y", A), stranger("z", { ...C, key: B.key })];
  for (const impostor of impostors) impostor.transport.setPeers([a.address]);
  const { refused } = a.transport.stats();
  for (const impostor of impostors) {
    await until(() => (impostor.transport.stats().failed.get("not_proven") ?? 0) > 0);
  }
  expect(refused.get("unknown_peer")).toBeUndefined();
  expect(a.transport.stats().peers.length).toBe(1);
  const joined = stranger("b", B);
  joined.transport.setPeers([a.address]);
  await until(() => joined.transport.isUp(a.id));
  await Promise.all([a, joined, ...impostors].map((each) => each.transport.close()));
});

test("nobody without a certificate gets as far as a request", async () => {
  const a = node("a", A);
  await withNodes([a], async () => {
    const url = `https://127.0.0.1:${a.network.port}/`;
    const refusal = fetch(url, { tls: { ca: authority.ca } });
    expect(refusal).rejects.toThrow();
    await refusal.catch(() => {});
    const known = await fetch(url, { tls: { ca: authority.ca, cert: B.cert, key: B.key } });
    expect(known.status).toBe(426);
  });
});

test("versions of TLS before 1.2 are refused", async () => {
  const a = node("a", A);
  await withNodes([a], async () => {
    const speak = async (version: string): Promise<string> => {
      const command = ["openssl", "s_client", "-connect", `127.0.0.1:${a.network.port}`];
      const papers = ["-cert", "file1.pem", "-key", "file1.key", "-CAfile", "ca.pem"];
      const cipher = ["-cipher", "ALL@SECLEVEL=0", version];
      const process = Bun.spawn([...command, ...papers, ...cipher], {
        cwd: authority.directory,
        stdin: new Uint8Array(0),
        stdout: "pipe",
        stderr: "pipe",
      });
      return (await process.stdout.text()) + (await process.stderr.text());
    };
    const [old, older, good] = await Promise.all(["-tls1_1", "-tls1", "-tls1_2"].map(speak));
    expect(good).toContain("Verify return code: 0");
    expect(old).toMatch(/alert protocol version/);
    expect(older).toMatch(/alert protocol version/);
  });
});

test("TLS and plain text do not meet", async () => {
  const nodes = [node("a", A), new TestNode("b")];
  const failures = (of: TestNode | undefined): number =>
    of?.transport.stats().failed.get("closed") ?? 0;
  await withNodes(nodes, async () => {
    await until(() => failures(nodes[0]) > 1 && failures(nodes[1]) > 1);
    expect(nodes.map((each) => each.transport.stats().peers[0]?.connects)).toEqual([0, 0]);
  });
});

test("certificates that cannot serve are refused at the start, without a word of the key", () => {
  const expired = issue({ id: "a", until: "20260101000000Z" });
  const bad: readonly (readonly [NetworkTls, RegExp])[] = [
    [{ ...A, key: B.key }, /RF_HA_TLS_KEY is not the key/],
    [{ ...A, key: A.key.slice(0, 90) }, /RF_HA_TLS_KEY is not a private key/],
    [{ ...A, key: "" }, /RF_HA_TLS_KEY/],
    [{ ...A, cert: A.key }, /RF_HA_TLS_CERT has no certificate/],
    [{ ...A, cert: A.cert.replace(/[A-Z]{3}/, "???") }, /RF_HA_TLS_CERT/],
    [{ ...A, ca: "" }, /RF_HA_TLS_CA has no certificate/],
    [{ ...A, ca: B.cert }, /RF_HA_TLS_CA has no certificate of an authority/],
    [{ ...A, ca: stranger.ca }, /no known authority/],
    [expired, /expired/],
    [issue({ id: "a", usage: "serverAuth" }), /not for this use/],
  ];
  for (const [tls, reason] of bad) {
    let shown = "";
    try {
      identity(tls);
    } catch (error) {
      expect(error).toBeInstanceOf(TlsUnusable);
      shown = Bun.inspect(error).replace(/^.*\|.*$/gm, "");
    }
    expect(shown).toMatch(reason);
    for (const line of A.key.split("\n").filter((text) => /^[A-Za-z0-9+/=]{20,}$/.test(text))) {
      expect(shown).not.toContain(line);
    }
  }
});

test("names in certificates: id or host, no wildcards, and never another member's", () => {
  const certificate = (id: string, names: readonly string[]): X509Certificate =>
    new X509Certificate(issue({ id, alternativeNames: names }).cert);
  const expected = { id: "n1" as NodeId, host: "db1.example.com", others: ["n2" as NodeId] };
  const byCommonName = certificate("N1", []);
  const byId = certificate("x", ["DNS:n1", "DNS:n2"]);
  const byUri = certificate("x", ["URI:n1"]);
  const byHost = certificate("x", ["DNS:DB1.example.com"]);
  for (const good of [byCommonName, byId, byUri, byHost])
    expect(nameProblem(good, expected)).toBeNull();
  const bad = [
    certificate("n2", ["DNS:db1.example.com"]),
    certificate("x", ["DNS:n2", "DNS:db1.example.com"]),
    certificate("x", ["DNS:*.example.com"]),
    certificate("x", ["DNS:db1"]),
    certificate("x", []),
    certificate("n11", ["DNS:xn1"]),
    certificate("x", ["email:n1"]),
  ];
  for (const each of bad) expect(nameProblem(each, expected)).not.toBeNull();
  const six = { ...expected, host: "::1" };
  expect(nameProblem(certificate("x", ["IP:0:0:0:0:0:0:0:1"]), six)).toBeNull();
  expect(nameProblem(certificate("x", ["IP:127.0.0.1"]), six)).not.toBeNull();
});

test("new files of a certificate are used for new links, and wrong ones are not", async () => {
  const write = (tls: NetworkTls) => {
    for (const [name, text] of Object.entries(tls)) writeFileSync(join(root, `a.${name}`), text);
  };
  write(A);
  const lines: string[] = [];
  const log = createLogger({ level: "info", now: () => 0, write: (line) => lines.push(line) });
  const settings = {
    haTls: true,
    haTlsCa: join(root, "a.ca"),
    haTlsCert: join(root, "a.cert"),
    haTlsKey: join(root, "a.key"),
    haListen: "",
    haTlsStrictId: true,
  };
  const own = peerNetworkOf(
    settings,
    { id: "a" as NodeId, host: "127.0.0.1", raftPort: 0 },
    null,
    log,
  );
  const a = new TestNode("a", { network: own.network as BunNetwork, identity: own.identity });
  const b = node("b", B);
  const refused = () => b.transport.stats().refused.get("not_proven") ?? 0;
  const again = async () => {
    a.transport.setPeers([]);
    a.transport.setPeers([b.address]);
    await until(() => a.transport.isUp(b.id));
  };
  await withNodes([a, b], async () => {
    await allUp([a, b]);
    const before = own.identity?.fingerprint;
    own.certificates?.check();
    expect(own.identity?.fingerprint).toEqual(before);
    // A key that belongs to another certificate, and a file that is gone.
    write({ ...A, key: B.key });
    own.certificates?.check();
    rmSync(settings.haTlsCert);
    own.certificates?.check();
    expect(own.identity?.fingerprint).toEqual(before);
    expect(lines.filter((line) => line.includes("using the old ones")).length).toBe(2);
    expect(lines.join("")).not.toContain("PRIVATE");
    await again();
    const fresh = issue({ id: "a" });
    write(fresh);
    own.certificates?.check();
    const { raw } = new X509Certificate(fresh.cert);
    expect(own.identity?.fingerprint).toEqual(
      new Uint8Array(createHash("sha256").update(raw).digest()),
    );
    await again();
    b.transport.setPeers([]);
    b.transport.setPeers([a.address]);
    await until(() => b.transport.isUp(a.id));
    expect(refused()).toBe(0);
  });
});

test("certificates are renewed while links are up, and bad ones leave the old in force", async () => {
  const [old, fresh] = [issue({ id: "a" }), issue({ id: "a" })];
  const own = identity(old);
  const a = new TestNode("a", { tls: old, identity: own });
  const b = node("b", B);
  const shown = async (): Promise<string | undefined> => {
    const seen = Promise.withResolvers<string | undefined>();
    const checkServerIdentity = (_: string, certificate: { fingerprint256: string }) => {
      seen.resolve(certificate.fingerprint256);
      return undefined;
    };
    const tls = { ca: authority.ca, cert: C.cert, key: C.key, checkServerIdentity };
    await fetch(`https://127.0.0.1:${a.network.port}/`, { tls });
    return seen.promise;
  };
  await withNodes([a, b], async () => {
    await allUp([a, b]);
    expect(() => own.renew({ ...fresh, key: B.key })).toThrow(TlsUnusable);
    expect(await shown()).toBe(new X509Certificate(old.cert).fingerprint256);
    own.renew(fresh);
    a.network.renew(fresh);
    a.transport.send([heartbeat(a, b, 1)]);
    b.transport.send([heartbeat(b, a, 1)]);
    await until(() => a.received.length === 1 && b.received.length === 1);
    expect([a, b].map((each) => each.transport.stats().peers[0]?.connects)).toEqual([1, 1]);
    expect(await shown()).toBe(new X509Certificate(fresh.cert).fingerprint256);
    b.transport.setPeers([]);
    b.transport.setPeers([a.address]);
    await until(() => a.transport.stats().peers[0]?.connects === 2);
    await allUp([a, b]);
  });
});

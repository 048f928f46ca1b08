/**
 * Certificates for the nodes of a cluster, made by `openssl`: an authority, and for each node a key
 * and a certificate that names it. As a script, it leaves them in a directory:
 *
 *     bun test/tools/transport/certificates.ts DIRECTORY node1 node2=10.0.0.2 node3=db3.example.com
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NetworkTls } from "../../../src/env/bun-network.ts";
import { CommandLine } from "../arguments.ts";

export type NodeCertificate = {
  /** Common name: the node's id. */
  readonly id: string;
  /** Such as `DNS:node1` or `IP:10.0.0.1`. */
  readonly alternativeNames?: readonly string[];
  readonly usage?: string | null;
  readonly isAuthority?: boolean;
  /** UTC, such as `20250101000000Z`. Default: from now on, for ten years. */
  readonly from?: string;
  readonly until?: string;
  readonly algorithm?: "EC" | "RSA" | "ED25519";
  /** Names of the files, if not the id. */
  readonly file?: string;
  /** Files of the certificate that signs; default: the authority's. */
  readonly issuer?: string;
  /** False: without the mark by which it is known which key signed it. */
  readonly keyIdentifier?: boolean;
};

/** A certificate authority in a directory of its own. */
export class Authority {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
    mkdirSync(directory, { recursive: true });
    this.#openssl(
      "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 " +
        "-keyout ca.key -out ca.pem -subj /CN=ayder-ca " +
        "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign",
    );
    writeFileSync(join(directory, "index.txt"), "");
    writeFileSync(join(directory, "ca.conf"), CA_CONF);
  }

  get ca(): string {
    return this.#read("ca.pem");
  }

  /** Makes `<file>.key` and `<file>.pem`. @returns what a node needs. */
  issue(options: NodeCertificate): NetworkTls {
    const { id, algorithm = "EC", file = id, issuer = "ca" } = options;
    this.#openssl(
      `req -new ${KEYS[algorithm]} -nodes -keyout ${file}.key -out ${file}.csr -subj /CN=${id}`,
    );
    writeFileSync(join(this.directory, `${file}.ext`), extensionsOf(options));
    const dates =
      options.from === undefined && options.until === undefined
        ? "-days 3650"
        : `-startdate ${options.from ?? "20250101000000Z"} -enddate ${options.until ?? "20990101000000Z"}`;
    this.#openssl(
      `ca -batch -config ca.conf -notext -create_serial ${dates} -extfile ${file}.ext ` +
        `-cert ${issuer}.pem -keyfile ${issuer}.key ` +
        `-in ${file}.csr -out ${file}.pem`,
    );
    return { ca: this.ca, cert: this.#read(`${file}.pem`), key: this.#read(`${file}.key`) };
  }

  #read(name: string): string {
    return readFileSync(join(this.directory, name), "utf8");
  }

  #openssl(args: string): void {
    const command = ["openssl", ...args.split(" ")];
    const { exitCode, stderr } = Bun.spawnSync(command, { cwd: this.directory });
    if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr.toString()}`);
  }
}

const KEYS = {
  EC: "-newkey ec -pkeyopt ec_paramgen_curve:P-256",
  RSA: "-newkey rsa:2048",
  ED25519: "-newkey ed25519",
} as const;

const CA_CONF = `[ca]
default_ca = own
[own]
dir = .
database = index.txt
new_certs_dir = .
certificate = ca.pem
private_key = ca.key
default_md = default
policy = any
unique_subject = no
serial = serial
[any]
commonName = supplied
`;

function extensionsOf(options: NodeCertificate): string {
  const { id, alternativeNames, usage, isAuthority, keyIdentifier } = options;
  const names = alternativeNames ?? [`DNS:${id}`, "DNS:localhost", "IP:127.0.0.1"];
  const lines = [`basicConstraints=critical,CA:${isAuthority === true ? "TRUE" : "FALSE"}`];
  if (names.length > 0) lines.push(`subjectAltName=${names.join(",")}`);
  if (usage !== null) lines.push(`extendedKeyUsage=${usage ?? "serverAuth,clientAuth"}`);
  if (keyIdentifier === false) lines.push("authorityKeyIdentifier=none");
  return `${lines.join("\n")}\n`;
}

const isAddress = (host: string): boolean => /^[\d.]+$|:/.test(host);

if (import.meta.main) {
  const line = new CommandLine(
    "usage: bun test/tools/transport/certificates.ts [DIRECTORY] [ID[=HOST]]…",
  );
  const [directory = "certificates", ...nodes] = line.read({}, 1_000).positionals;
  const authority = new Authority(directory);
  for (const node of nodes) {
    const [id = "", host] = node.split("=");
    const names = [`DNS:${id}`];
    if (host !== undefined) names.push(`${isAddress(host) ? "IP" : "DNS"}:${host}`);
    authority.issue({ id, alternativeNames: names });
  }
}

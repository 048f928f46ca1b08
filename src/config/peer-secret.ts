import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import type { PeerSecret } from "../env/network.ts";
import { SharedSecret } from "../env/shared-secret.ts";
import type { Logger } from "../metrics/log.ts";
import type { MemberAddress } from "../node/peers/members.ts";
import { bracketed } from "./address.ts";
import { type Config, ConfigError } from "./config.ts";

const SECRETS_MAX = 2;
/** A shorter secret could be guessed from a recorded handshake. */
const SECRET_CHARACTERS_MIN = 16;

export type PeerSecretSettings = Pick<
  Config,
  "haListen" | "haTls" | "haSecret" | "haSecretFile" | "haInsecure" | "compat"
>;

/**
 * Returns the shared secret of the nodes; null if none is configured.
 *
 * @throws ConfigError without anything of the secret, also if there is neither a secret nor TLS
 *   although a Raft address is reached from other machines.
 */
export function peerSecretOf(
  settings: PeerSecretSettings,
  members: readonly MemberAddress[],
  log: Logger,
): PeerSecret | null {
  const secrets = readSecrets(settings);
  if (secrets.length === 0) {
    if (!settings.haTls) refuseOpenPort(settings, members, log);
    return null;
  }
  if (secrets.some(({ length }) => length < SECRET_CHARACTERS_MIN)) {
    log.warn("RF_HA_SECRET is short enough to be guessed", { recommended: SECRET_CHARACTERS_MIN });
  }
  if (settings.haInsecure) {
    log.warn(
      "RF_HA_INSECURE=1: nodes without the shared key are accepted; unset it once all have it",
    );
  }
  return new SharedSecret(secrets, settings.haInsecure);
}

function readSecrets({ haSecret, haSecretFile }: PeerSecretSettings): readonly string[] {
  if (haSecret !== "" && haSecretFile !== "") {
    throw new ConfigError("RF_HA_SECRET and RF_HA_SECRET_FILE are both set: only one is allowed");
  }
  const variable = haSecretFile === "" ? "RF_HA_SECRET" : "RF_HA_SECRET_FILE";
  const text = haSecretFile === "" ? haSecret : readSecretFile(haSecretFile);
  if (haSecret === "" && haSecretFile === "") return [];
  const secrets = text.split(",").map((secret) => secret.trim());
  if (secrets.includes("")) {
    throw new ConfigError(
      `${variable} has an empty secret: it is one secret, or two separated by ","`,
    );
  }
  if (secrets.length > SECRETS_MAX) {
    throw new ConfigError(
      `${variable} has ${secrets.length} secrets separated by ",": at most ${SECRETS_MAX} are allowed`,
    );
  }
  return secrets;
}

function readSecretFile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new ConfigError(`RF_HA_SECRET_FILE: ${path} cannot be read`, { cause });
  }
}

function refuseOpenPort(
  { haListen, haInsecure, compat }: PeerSecretSettings,
  members: readonly MemberAddress[],
  log: Logger,
): void {
  const open = members.find(({ host }) => !isLoopbackHost(host));
  const listensOpen = haListen !== "" && !isLoopbackHost(haListen);
  if (open === undefined && !listensOpen) return;
  const where =
    open === undefined ? haListen : `${open.id} at ${bracketed(open.host)}:${open.raftPort}`;
  if (haInsecure || compat === "ayder") {
    log.warn(
      "the Raft port is open: anyone who reaches it can act as a node; set RF_HA_SECRET or RF_HA_TLS",
      {
        node: where,
      },
    );
    return;
  }
  throw new ConfigError(
    `${open === undefined ? "RF_HA_LISTEN" : "RF_HA_NODES"}: ${where} is not a loopback address, and without a secret or TLS anyone who reaches a Raft port can act as a node. Set the same RF_HA_SECRET (or RF_HA_SECRET_FILE) on all nodes, for example what \`openssl rand -hex 32\` prints; or RF_HA_TLS=1 with RF_HA_TLS_CA, RF_HA_TLS_CERT and RF_HA_TLS_KEY; or RF_HA_INSECURE=1 to start without`,
  );
}

/**
 * True if the address is reached from this machine only. A name that resolves to loopback here may
 * not elsewhere.
 */
export const isLoopbackHost = (host: string): boolean =>
  host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));

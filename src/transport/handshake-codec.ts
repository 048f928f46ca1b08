/** Payloads of the handshake, and the statement that a dialler signs. */

import { type PeerProof, SECRET_PROOF_BYTES } from "../env/network.ts";
import { type ByteReader, ByteWriter, DecodeError } from "../lib/bytes.ts";
import { sha256 } from "../lib/digest.ts";
import type { NodeId, ShardId } from "../lib/ids.ts";
import { readName, readShortBlob, type Session } from "./envelope.ts";

export const PROTOCOL_VERSION = 2;
/** The protocol version with a flag that says that both ends prove the shared secret. */
export const PROTOCOL_WITH_SECRET = 0x80 | PROTOCOL_VERSION;
export const NONCE_BYTES = 32;
const NAME_BYTES_MAX = 255;
const PORT_MAX = 65_535;
const CERTIFICATES_MAX = 4;
const CERTIFICATE_BYTES_MAX = 16 * 1024;
const SIGNATURE_BYTES_MAX = 2048;
/** A domain prefix, so that the signature is not valid in any other protocol. */
const DOMAIN = "ayder peer link v1";

/** The membership version and the address that a node announces in a handshake. */
export type MembershipInfo = {
  /** The log index as of which this node knows the membership. */
  readonly membershipVersion: number;
  /** The node's address as a member; null if it does not know a membership that contains it. */
  readonly address: { readonly host: string; readonly port: number } | null;
};

/** The first message on a link, sent by the acceptor. */
export type Challenge = { readonly protocol: number; readonly nonce: Uint8Array };
/** The dialler's response to the challenge. */
export type Hello = {
  readonly protocol: number;
  readonly from: NodeId;
  readonly to: NodeId;
  /** Null if the cluster id is not known yet. */
  readonly clusterId: string | null;
  readonly storageId: string;
  readonly membershipInfo: MembershipInfo;
  /** The nonce of the challenge. */
  readonly acceptorNonce: Uint8Array;
  readonly diallerNonce: Uint8Array;
  readonly proof: PeerProof | null;
  /** Proof of the shared secret over the statement; only with `PROTOCOL_WITH_SECRET`. */
  readonly secretProof?: Uint8Array;
};
/** The acceptor's response that completes the handshake. */
export type Welcome = {
  readonly from: NodeId;
  readonly clusterId: string | null;
  readonly storageId: string;
  readonly membershipInfo: MembershipInfo;
  /** The nonce of the hello. */
  readonly diallerNonce: Uint8Array;
  /** Proof of the shared secret over `encodeAnswer`, if the hello had one. */
  readonly secretProof?: Uint8Array;
};

/** Never renumber: nodes of different versions talk to each other. */
const REFUSALS = {
  protocol: 1,
  wrong_destination: 2,
  own_id: 3,
  unknown_peer: 4,
  wrong_cluster: 5,
  old_incarnation: 6,
  stale_handshake: 7,
  not_proven: 8,
} as const;
export type RefusalCode = keyof typeof REFUSALS;

export function writeChallenge(writer: ByteWriter, challenge: Challenge): void {
  writer.u8(challenge.protocol);
  writer.raw(challenge.nonce);
}

export function readChallenge(reader: ByteReader): Challenge {
  const protocol = reader.u8();
  return { protocol, nonce: reader.raw(NONCE_BYTES).slice() };
}

export function writeHello(writer: ByteWriter, hello: Hello): void {
  writer.u8(hello.protocol);
  writer.text(hello.from);
  writer.text(hello.to);
  writeCluster(writer, hello.clusterId);
  writer.text(hello.storageId);
  writeMembershipInfo(writer, hello.membershipInfo);
  writer.raw(hello.acceptorNonce);
  writer.raw(hello.diallerNonce);
  const certificates = hello.proof?.certificates ?? [];
  writer.u8(certificates.length);
  for (const certificate of certificates) writer.blob(certificate);
  if (hello.proof !== null) writer.blob(hello.proof.signature);
  if (hello.secretProof !== undefined) writer.raw(hello.secretProof);
}

export function readHello(reader: ByteReader): Hello {
  const protocol = reader.u8();
  return {
    protocol,
    from: readName(reader, NAME_BYTES_MAX) as NodeId,
    to: readName(reader, NAME_BYTES_MAX) as NodeId,
    clusterId: readCluster(reader),
    storageId: readName(reader, NAME_BYTES_MAX),
    membershipInfo: readMembershipInfo(reader),
    acceptorNonce: reader.raw(NONCE_BYTES).slice(),
    diallerNonce: reader.raw(NONCE_BYTES).slice(),
    proof: readProof(reader),
    ...(protocol === PROTOCOL_WITH_SECRET ? { secretProof: readSecretProof(reader) } : {}),
  };
}

const readSecretProof = (reader: ByteReader): Uint8Array => reader.raw(SECRET_PROOF_BYTES).slice();

function readProof(reader: ByteReader): PeerProof | null {
  const count = reader.u8();
  if (count === 0) return null;
  if (count > CERTIFICATES_MAX) throw new DecodeError("too many certificates");
  const certificates: Uint8Array[] = [];
  for (let i = 0; i < count; i++) {
    certificates.push(readShortBlob(reader, CERTIFICATE_BYTES_MAX).slice());
  }
  return { certificates, signature: readShortBlob(reader, SIGNATURE_BYTES_MAX).slice() };
}

export function writeWelcome(writer: ByteWriter, welcome: Welcome): void {
  writeAnswer(writer, welcome);
  if (welcome.secretProof !== undefined) writer.raw(welcome.secretProof);
}

function writeAnswer(writer: ByteWriter, welcome: Omit<Welcome, "secretProof">): void {
  writer.text(welcome.from);
  writeCluster(writer, welcome.clusterId);
  writer.text(welcome.storageId);
  writeMembershipInfo(writer, welcome.membershipInfo);
  writer.raw(welcome.diallerNonce);
}

/** @param withSecret whether the hello proved the secret, so that the welcome must prove it too. */
export function readWelcome(reader: ByteReader, withSecret = false): Welcome {
  return {
    from: readName(reader, NAME_BYTES_MAX) as NodeId,
    clusterId: readCluster(reader),
    storageId: readName(reader, NAME_BYTES_MAX),
    membershipInfo: readMembershipInfo(reader),
    diallerNonce: reader.raw(NONCE_BYTES).slice(),
    ...(withSecret ? { secretProof: readSecretProof(reader) } : {}),
  };
}

export const writeRefusal = (writer: ByteWriter, code: RefusalCode): void =>
  writer.u8(REFUSALS[code]);

export function readRefusal(reader: ByteReader): RefusalCode {
  const tag = reader.u8();
  for (const code of Object.keys(REFUSALS) as RefusalCode[]) {
    if (REFUSALS[code] === tag) return code;
  }
  throw new DecodeError(`unknown refusal ${tag}`);
}

/**
 * Encodes the statement that identifies a link. The dialler signs it, and the session is its
 * digest.
 *
 * @param fingerprint of the acceptor's TLS certificate; empty without TLS. It binds the signature
 * to this connection, since a man in the middle presents another certificate.
 */
export function encodeStatement(
  hello: Omit<Hello, "proof" | "secretProof">,
  shard: ShardId,
  fingerprint: Uint8Array,
): Uint8Array {
  const writer = new ByteWriter(512);
  writer.text(DOMAIN);
  writer.u8(hello.protocol);
  writer.u32(shard);
  writer.text(hello.from);
  writer.text(hello.to);
  writeCluster(writer, hello.clusterId);
  writer.text(hello.storageId);
  writeMembershipInfo(writer, hello.membershipInfo);
  writer.raw(hello.acceptorNonce);
  writer.raw(hello.diallerNonce);
  writer.blob(fingerprint);
  return writer.take();
}

/**
 * Encodes what the acceptor proves the secret over: the dialler's statement and the fields of the
 * welcome.
 */
export function encodeAnswer(
  statement: Uint8Array,
  welcome: Omit<Welcome, "secretProof">,
): Uint8Array {
  const writer = new ByteWriter(1024);
  writer.blob(statement);
  writeAnswer(writer, welcome);
  return writer.take();
}

export function sessionOf(statement: Uint8Array): Session {
  const digest = sha256(statement, 8);
  const view = new DataView(digest.buffer, digest.byteOffset, 8);
  // Zero is reserved for the handshake, so no session has this value.
  return { low: view.getUint32(0, true) || 1, high: view.getUint32(4, true) };
}

function writeMembershipInfo(
  writer: ByteWriter,
  { membershipVersion, address }: MembershipInfo,
): void {
  writer.u64(membershipVersion);
  writer.text(address?.host ?? "");
  writer.u32(address?.port ?? 0);
}

function readMembershipInfo(reader: ByteReader): MembershipInfo {
  const membershipVersion = reader.u64();
  const before = reader.position;
  const host = reader.text();
  if (reader.position - before > NAME_BYTES_MAX + 2) throw new DecodeError("a host is too long");
  const port = reader.u32();
  if (port > PORT_MAX) throw new DecodeError("there is no such port");
  return { membershipVersion, address: host === "" ? null : { host, port } };
}

function writeCluster(writer: ByteWriter, clusterId: string | null): void {
  writer.text(clusterId ?? "");
}

function readCluster(reader: ByteReader): string | null {
  const before = reader.position;
  const text = reader.text();
  if (reader.position - before > NAME_BYTES_MAX + 2) throw new DecodeError("cluster id too long");
  return text === "" ? null : text;
}

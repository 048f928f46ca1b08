/** Sections of the broker in a snapshot. */
import type { ByteReader, ByteWriter } from "../lib/bytes.ts";
import { check } from "../lib/state-part.ts";
import { type LevelPolicy, NO_POLICY } from "./state.ts";

export const SECTION_TOPIC = 2;
export const SECTION_PARTITION = 3;
/** Committed offsets of the partition before. */
export const SECTION_GROUPS = 4;
/** Idempotency keys of the partition before, oldest first. */
export const SECTION_DEDUPE = 5;

const HAS_TTL = 1;
const HAS_MAX_BYTES = 2;

export function writePolicy(writer: ByteWriter, policy: LevelPolicy): void {
  writer.u8((policy.ttlMs === null ? 0 : HAS_TTL) | (policy.maxBytes === null ? 0 : HAS_MAX_BYTES));
  if (policy.ttlMs !== null) writer.varint(policy.ttlMs);
  if (policy.maxBytes !== null) writer.varint(policy.maxBytes);
  writer.varint(policy.revision);
}

/** @param newest the newest revision of any policy. */
export function readPolicy(reader: ByteReader, newest: number): LevelPolicy {
  const flags = reader.u8();
  check(flags <= (HAS_TTL | HAS_MAX_BYTES), "unknown flags of a policy");
  const ttlMs = (flags & HAS_TTL) === 0 ? null : reader.varint();
  const maxBytes = (flags & HAS_MAX_BYTES) === 0 ? null : reader.varint();
  const revision = reader.varint();
  check(revision <= newest, "a policy is newer than the newest");
  return flags === 0 && revision === 0 ? NO_POLICY : { ttlMs, maxBytes, revision };
}

import type { ByteReader } from "../lib/bytes.ts";
import type { NodeId } from "../lib/ids.ts";
import { check, type Section, type StatePart, section } from "../lib/state-part.ts";
import { type MemberMap, type MemberRecord, sortedMembers } from "./members.ts";

/** The directory of the cluster, by id. Absent while it is empty. */
const SECTION_MEMBERS = 9;

export const membersPart: StatePart<MemberMap> = {
  tags: [SECTION_MEMBERS],
  empty: () => new Map(),
  capture: (members) => sectionsOf(sortedMembers(members)).values(),
  restorer() {
    const members: MemberMap = new Map();
    return { section: (_tag, reader) => read(reader, members), finish: () => members };
  },
  digest(members, { writer }) {
    for (const { id, host, raftPort, httpPort, priority, storageId } of sortedMembers(members)) {
      writer.text(JSON.stringify([id, host, raftPort, httpPort, priority, storageId]));
    }
  },
  counts: (members) => [members.size, 0],
};

/** In one section, because a cluster has few nodes. */
function sectionsOf(members: readonly MemberRecord[]): Section[] {
  if (members.length === 0) return [];
  const all = section(SECTION_MEMBERS, (writer) => {
    for (const { id, host, raftPort, httpPort, priority, storageId } of members) {
      writer.text(id);
      writer.text(host);
      writer.varint(raftPort);
      writer.varint(httpPort);
      writer.varint(priority);
      writer.u8(storageId === null ? 0 : 1);
      if (storageId !== null) writer.text(storageId);
    }
  });
  return [all];
}

function read(reader: ByteReader, members: MemberMap): void {
  check(members.size === 0, "members are told twice");
  let last = "";
  while (reader.remaining > 0) {
    const id = reader.text() as NodeId;
    const host = reader.text();
    const raftPort = reader.varint();
    const httpPort = reader.varint();
    const priority = reader.varint();
    const flags = reader.u8();
    check(flags <= 1, "unknown flags of a member");
    const storageId = flags === 0 ? null : reader.text();
    check(id > last, "members are not in order");
    last = id;
    members.set(id, { id, host, raftPort, httpPort, priority, storageId });
  }
}

/** Keys and values in snapshots: each namespace is followed by its entries, in the order of the keys. */
import { type ByteReader, DecodeError } from "../lib/bytes.ts";
import { textBytes } from "../lib/command-kind.ts";
import {
  check,
  type DigestSink,
  type PartRestorer,
  type Section,
  SectionWriter,
  type StatePart,
  section,
} from "../lib/state-part.ts";
import { captured, type NewEntry, type PageCapture } from "./key-page.ts";
import { KvNamespace, KvState } from "./state.ts";

const SECTION_NAMESPACE = 6;
/** Keys and values of the namespace before, in order. */
const SECTION_ENTRIES = 7;
/** The highest revision of deleted namespaces. Absent: no namespace was deleted. */
const SECTION_DELETED = 27;

const FIRST_KEY = new Uint8Array(0);

/** Fields of the header of a snapshot. */
export type KvHeader = { readonly nextNamespaceId: number };

export const kvPart: StatePart<KvState, KvHeader> = {
  tags: [SECTION_NAMESPACE, SECTION_ENTRIES, SECTION_DELETED],
  empty: () => new KvState(),
  // Captured at the call, and not at the first step.
  capture: (kv) => sections(kv.deletedRevision, captureNamespaces(kv)),
  restorer: (header) => new KvRestorer(header),
  digest: digestKv,
  counts: ({ size, bytes, nextNamespaceId }) => [size, bytes, nextNamespaceId],
};

type NamespaceCapture = {
  readonly namespace: KvNamespace;
  readonly revision: number;
  readonly pages: readonly PageCapture[];
};

/** From then on, commands copy a page of keys before they first change it. */
function captureNamespaces(kv: KvState): NamespaceCapture[] {
  kv.epoch.value++;
  const captured: NamespaceCapture[] = [];
  for (const namespace of kv.namespaces.values()) {
    const pages = namespace.keys.capture();
    captured.push({ namespace, revision: namespace.revision, pages });
  }
  return captured;
}

function* sections(
  deletedRevision: number,
  captured: readonly NamespaceCapture[],
): Generator<Section, undefined> {
  if (deletedRevision > 0) {
    yield section(SECTION_DELETED, (writer) => writer.varint(deletedRevision));
  }
  for (const { namespace, revision, pages } of captured) {
    yield section(SECTION_NAMESPACE, (writer) => {
      writer.varint(namespace.id);
      writer.text(namespace.name);
      writer.varint(revision);
    });
    for (const page of pages) yield* entries(page);
  }
}

function* entries(page: PageCapture): Generator<Section, void> {
  const sections = new SectionWriter(SECTION_ENTRIES);
  const { writer } = sections;
  for (let i = 0; i < page.count; i++) {
    if (sections.isFull) yield sections.take();
    const { at, keyLength, length, revision, expiresAt } = captured(page, i);
    writer.varint(revision);
    writer.varint(expiresAt);
    writer.varint(keyLength);
    writer.blob(page.bytes.subarray(at, at + length));
  }
  yield sections.take();
}

class KvRestorer implements PartRestorer<KvState> {
  readonly #kv = new KvState();
  #namespace: KvNamespace | null = null;

  constructor({ nextNamespaceId }: KvHeader) {
    this.#kv.nextNamespaceId = nextNamespaceId;
  }

  section(tag: number, reader: ByteReader): void {
    if (tag === SECTION_DELETED) this.#kv.deletedRevision = reader.varint();
    else if (tag === SECTION_NAMESPACE) this.#restoreNamespace(reader);
    else this.#restoreEntries(reader);
  }

  finish(): KvState {
    return this.#kv;
  }

  #restoreNamespace(reader: ByteReader): void {
    const kv = this.#kv;
    const id = reader.varint();
    const name = reader.text();
    const revision = reader.varint();
    check(id > (this.#namespace?.id ?? 0), "namespaces are not in order");
    check(id < kv.nextNamespaceId, "a namespace is newer than the newest");
    check(!kv.namespaces.has(name), "two namespaces have one name");
    const namespace = new KvNamespace(id, name, kv, revision);
    kv.namespaces.set(name, namespace);
    this.#namespace = namespace;
  }

  #restoreEntries(reader: ByteReader): void {
    const namespace = this.#namespace;
    if (namespace === null) throw new DecodeError("keys have no namespace");
    const kv = this.#kv;
    while (reader.remaining > 0) {
      const entry = decodeKvEntry(reader, namespace);
      namespace.keys.append(entry);
      kv.size++;
      kv.bytes += entry.key.length + entry.value.length;
    }
  }
}

function decodeKvEntry(reader: ByteReader, namespace: KvNamespace): NewEntry {
  const revision = reader.varint();
  const expiresAt = reader.varint();
  const keyLength = reader.varint();
  const bytes = reader.blob();
  check(revision > 0 && revision <= namespace.revision, "a revision was never given out");
  check(keyLength <= bytes.length, "a key is longer than its entry");
  textBytes(bytes, keyLength);
  const key = bytes.subarray(0, keyLength);
  return { key, value: bytes.subarray(keyLength), revision, expiresAt };
}

function digestKv(kv: KvState, digest: DigestSink): void {
  const { writer } = digest;
  writer.u64(kv.nextNamespaceId);
  writer.u64(kv.size);
  writer.u64(kv.bytes);
  writer.u64(kv.deletedRevision);
  for (const namespace of [...kv.namespaces.values()].sort((a, b) => a.id - b.id)) {
    writer.u64(namespace.id);
    writer.text(namespace.name);
    writer.u64(namespace.revision);
    for (const { page, at } of namespace.keys.from(FIRST_KEY)) {
      writer.u64(page.revision(at));
      writer.u64(page.expiresAt(at));
      writer.blob(page.key(at));
      writer.blob(page.value(at));
      digest.flush();
    }
    writer.u64(0);
  }
}

/** A kind of command, described in one place: its tag, its bytes, what it does, what nodes compare. */
import { type ByteReader, ByteWriter, DecodeError, fromUtf8, varintLength } from "./bytes.ts";

type Typed = { readonly type: string };

/** The fields of a command; its type is said by the kind. */
export type FieldsOf<C extends Typed> = Omit<C, "type">;

/** Collects what the nodes of a cluster must have in common after a command. */
export interface Summary {
  flag(yes: boolean): void;
  numbers(a: number, b: number): void;
}

/**
 * @typeParam C the command.
 * @typeParam R its result, the same on every node: `ok: true` with the type of the command, or `ok: false` with a code.
 * @typeParam S the part of the replicated state that it needs.
 * @typeParam E the effects that it may have outside the state.
 */
export type CommandKind<C extends Typed, R, S, E = unknown> = {
  readonly type: C["type"];
  /** First byte of the command in an entry. Never renumber: a command that changes gets a new tag. */
  readonly tag: number;
  /** Stands for the kind in checksums of the state. @default `tag` */
  readonly summaryId?: number;
  /** Bytes that `encode` will write. Present for commands that are frequent or large: it saves a copy. */
  length?(fields: FieldsOf<C>): number;
  encode(body: ByteWriter, fields: FieldsOf<C>): void;
  /**
   * Byte fields may be views of the entry.
   *
   * @param end where the body ends in the reader.
   * @throws UnknownEntryError for fields of a later release.
   * @throws DecodeError if the bytes are damaged.
   */
  decode(body: ByteReader, end: number): C;
  /** Copies the bytes that it keeps, because those of the command are views of the entry. */
  apply(state: S, command: C, effects: E): R;
  /** Adds the result of a success to the checksum of the state. Absent: only the kind is added. */
  summarize?(result: Extract<R, { readonly ok: true }>, summary: Summary): void;
};

/** A kind that older versions do not know. It is proposed when every member knows its level. */
export type LeveledKind<C extends Typed, R, S, E = unknown> = CommandKind<C, R, S, E> & {
  /** Level of the log that it needs. */
  readonly level: number;
  /** The feature, at the start of a sentence: "Shared consumer groups". */
  readonly feature: string;
};

/** Any kind. Its own commands go with it by `CommandOf` and `ResultOf`. */
export type SomeKind = CommandKind<Typed, unknown, never, never>;
export type CommandOf<K> = K extends CommandKind<infer C, infer _R, infer _S, infer _E> ? C : never;
export type ResultOf<K> = K extends CommandKind<infer _C, infer R, infer _S, infer _E> ? R : never;
export type SuccessOf<K> = Extract<ResultOf<K>, { readonly ok: true }>;
/** Codes with which the machine rejects commands of the kind. */
export type CodeOf<K> = Extract<ResultOf<K>, { readonly ok: false; readonly code: string }>["code"];

/** Appends a command to an entry: `u8` tag, varint length of the body, body. */
export function appendCommand<C extends Typed>(
  writer: ByteWriter,
  kind: Pick<CommandKind<C, unknown, never, never>, "tag" | "length" | "encode">,
  fields: FieldsOf<C>,
): void {
  writer.u8(kind.tag);
  if (kind.length !== undefined) {
    writer.varint(kind.length(fields));
    kind.encode(writer, fields);
    return;
  }
  const body = new ByteWriter(64);
  kind.encode(body, fields);
  writer.blob(body.view());
}

/**
 * The entry was written by a newer version of this program. A node that skipped it would no longer
 * be like the others, so it must stop here and go on after an upgrade.
 */
export class UnknownEntryError extends Error {
  override readonly name = "UnknownEntryError";
}

/** Bytes that `ByteWriter.text` writes. */
export function textLength(value: string): number {
  const bytes = Buffer.byteLength(value);
  return varintLength(bytes) + bytes;
}

/** The bytes up to the end of the body. */
export function rest(reader: ByteReader, end: number): Uint8Array {
  if (reader.position > end) throw new DecodeError("command is longer than it says");
  return reader.raw(end - reader.position);
}

/** A flag that this version does not know is a field that it would not see. */
export function knownFlags(flags: number, known: number): number {
  if ((flags & ~known) !== 0) throw new UnknownEntryError(`flags ${flags} of a command`);
  return flags;
}

export function atLeastOne(value: number): number {
  if (value < 1) throw new DecodeError("a count of zero makes no sense here");
  return value;
}

/**
 * Lets bytes pass whose first `length` are UTF-8.
 *
 * @throws DecodeError if they are not.
 */
export function textBytes(bytes: Uint8Array, length = bytes.length): Uint8Array {
  for (let i = 0; i < length; i++) {
    if ((bytes[i] as number) < 128) continue;
    try {
      fromUtf8(bytes.subarray(0, length));
      break;
    } catch (cause) {
      throw new DecodeError("key is not UTF-8", { cause });
    }
  }
  return bytes;
}

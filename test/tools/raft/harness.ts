/** A few cores, a network that does as it is told, and disks that sync when told. */
import {
  type Core,
  type CoreConfig,
  createCore,
  type InitialState,
} from "../../../src/raft/core.ts";
import { configurationOf } from "../../../src/raft/membership.ts";
import type {
  Configuration,
  Entry,
  HardState,
  LogEnd,
  LogIndex,
  Message,
  NodeId,
  Output,
  Persist,
  SnapshotMeta,
  Term,
} from "../../../src/raft/types.ts";
import { Random } from "../random.ts";

export const id = (name: string): NodeId => name as NodeId;
export const ids = (names: string): NodeId[] =>
  names.split(" ").filter((name) => name.length > 0) as NodeId[];
export const index = (value: number): LogIndex => value as LogIndex;
export const term = (value: number): Term => value as Term;
export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (data: Uint8Array): string => new TextDecoder().decode(data);

/** Entries from `first` on, one for each term given. */
export const entriesOf = (first: number, ...terms: number[]): Entry[] =>
  terms.map((t, i) => ({
    index: index(first + i),
    term: term(t),
    type: "normal",
    data: bytes(`${first + i}@${t}`),
  }));

type Having<M extends Message, Type> = M extends Message
  ? Type extends M["type"]
    ? M
    : never
  : never;
export type MessageOf<Type extends Message["type"]> = Having<Message, Type>;
type Body<M> = M extends Message ? Omit<M, "from" | "to" | "term"> : never;

/** A message to the core under test, from a peer. */
export const from = (peer: string, at: number, body: Body<Message>): Message =>
  ({ from: id(peer), to: id("n1"), term: term(at), ...body }) as Message;

/** A vote that tells nothing of commits. */
export const ballot = (type: "vote_response" | "pre_vote_response", granted: boolean) =>
  ({ type, granted, commit: index(0), commitTerm: term(0) }) as Body<Message>;

export type Options = Partial<CoreConfig> & { readonly initial?: Partial<InitialState> };

export function newCore(name: string, voters: string, options: Options = {}): Core {
  const { initial, ...config } = options;
  return createCore(
    {
      id: id(name),
      electionTimeoutTicks: 10,
      heartbeatTicks: 1,
      random: new Random([...name].reduce((sum, c) => sum + c.charCodeAt(0), 0)),
      ...config,
    },
    { configuration: configurationOf(ids(voters)), ...initial },
  );
}

/** One core on its own: syncs at once and collects what it says. */
export class Solo {
  readonly core: Core;
  readonly messages: Message[] = [];
  readonly committed: Entry[] = [];
  readonly outputs: Output[] = [];

  constructor(core: Core) {
    this.core = core;
  }

  static of(voters: string, options: Options = {}): Solo {
    return new Solo(newCore("n1", voters, options));
  }

  /** Drains, syncs and applies until nothing is left to do. */
  settle(): this {
    while (this.core.hasOutput) {
      const output = this.core.drain();
      this.outputs.push(output);
      this.messages.push(...output.messages);
      if (output.persist !== null) this.core.persisted(output.persist.token);
      this.messages.push(...output.messagesAfterPersist);
      this.committed.push(...output.committed);
      const last = output.committed.at(-1);
      if (last !== undefined) this.core.applied(last.index);
    }
    return this;
  }

  step(...messages: Message[]): this {
    for (const message of messages) this.core.step(message);
    return this.settle();
  }

  tick(count = 1): this {
    for (let i = 0; i < count; i++) this.core.tick();
    return this.settle();
  }

  /** Its messages of one type since the last call. */
  take<Type extends Message["type"]>(type: Type): MessageOf<Type>[] {
    const all = this.messages.splice(0);
    return all.filter((message): message is MessageOf<Type> => message.type === type);
  }

  takeAll(): Message[] {
    return this.messages.splice(0);
  }

  /** Elected by all, without pre-vote traffic; its no-op is out, not committed unless alone. */
  elect(): this {
    this.core.campaign();
    this.settle();
    const peers = this.core.configuration.voters.filter((voter) => voter !== this.core.id);
    const grant = (type: "vote_response" | "pre_vote_response", at: number) => {
      for (const peer of peers) this.core.step(from(peer, at, ballot(type, true)));
      this.settle();
    };
    if (this.core.role === "pre_candidate") grant("pre_vote_response", this.core.term + 1);
    if (this.core.role === "candidate") grant("vote_response", this.core.term);
    return this;
  }

  accept(peer: string, match: number): this {
    const { term: at } = this.core;
    return this.step(
      from(peer, at, { type: "append_response", accepted: true, match: index(match) }),
    );
  }

  /** Leader with its no-op committed by every voter, and nothing said yet. */
  lead(): this {
    this.elect();
    for (const peer of this.core.configuration.voters) {
      if (peer !== this.core.id) this.accept(peer, this.core.lastIndex);
    }
    this.takeAll();
    return this;
  }
}

/** The state that survives a crash. */
type Store = {
  hardState: HardState | null;
  snapshot: SnapshotMeta | null;
  entries: Entry[];
  /** The last index of the log before its end was lost. */
  marker: LogEnd | null;
};

export type Applied = { index: number; term: number; data: string };

/** A member of a `Cluster`: core, disk, machine. */
export class Member {
  readonly name: NodeId;
  core: Core;
  store: Store = { hardState: null, snapshot: null, entries: [], marker: null };
  /** The machine: everything applied, in order. */
  applied: Applied[] = [];
  reads: { context: unknown; index: number; applied: number }[] = [];
  dropped: unknown[] = [];
  unsynced: { persist: Persist; messages: readonly Message[] }[] = [];
  readonly #make: (store: Store) => Core;

  constructor(name: NodeId, make: (store: Store) => Core) {
    this.name = name;
    this.#make = make;
    this.core = make(this.store);
  }

  /** Loses what was not synced; the machine starts from the snapshot. */
  restart(): void {
    this.unsynced = [];
    const keep = this.store.snapshot?.index ?? 0;
    this.applied = this.applied.slice(0, keep);
    this.core = this.#make(this.store);
  }

  /** The log on the disk now ends after `keep` entries; what it had is remembered. */
  loseEnd(keep: number): void {
    const { store } = this;
    const last = store.entries.at(-1);
    if (last === undefined) return;
    const { marker } = store;
    const isLater = marker === null || last.term > marker.term || last.term === marker.term;
    if (isLater) store.marker = { index: last.index, term: last.term };
    if (marker?.term === last.term && marker.index > last.index) store.marker = marker;
    store.entries = store.entries.slice(0, keep);
  }

  write(persist: Persist, machineOf: (snapshot: SnapshotMeta) => Applied[]): void {
    const { store } = this;
    if (persist.snapshot !== null) {
      store.snapshot = persist.snapshot;
      store.entries = [];
      this.applied = machineOf(persist.snapshot);
    }
    const first = persist.entries[0];
    if (first !== undefined) {
      const at = first.index - (store.snapshot?.index ?? 0) - 1;
      store.entries = [...store.entries.slice(0, at), ...persist.entries];
    }
    if (persist.hardState !== null) store.hardState = persist.hardState;
  }
}

/** Several members with instant disks and a lossless network, unless the test says otherwise. */
export class Cluster {
  readonly members = new Map<NodeId, Member>();
  readonly wire: Message[] = [];
  /** Every message that a member sent, for transcripts. */
  onSend: (message: Message) => void = () => {};
  /** Whether a message gets through. */
  passes: (message: Message) => boolean = () => true;
  readonly #options: Options;

  constructor(names: string, options: Options = {}) {
    this.#options = options;
    for (const name of ids(names)) this.add(name, configurationOf(ids(names)));
  }

  add(name: NodeId, configuration: Configuration): Member {
    const { initial, ...config } = this.#options;
    const make = (store: Store) =>
      newCore(name, "", {
        ...config,
        initial: {
          ...initial,
          hardState: store.hardState,
          configuration: store.snapshot?.configuration ?? configuration,
          ...(store.snapshot === null ? {} : { snapshot: store.snapshot }),
          entries: store.entries,
          marker: store.marker,
        },
      });
    const member = new Member(name, make);
    this.members.set(name, member);
    return member;
  }

  get(name: string): Member {
    const member = this.members.get(id(name));
    if (member === undefined) throw new Error(`no member ${name}`);
    return member;
  }

  core(name: string): Core {
    return this.get(name).core;
  }

  /** Delivers and syncs until all is quiet. */
  settle(): this {
    for (let round = 0; round < 1000; round++) {
      let busy = false;
      for (const member of this.members.values()) busy = this.turn(member) || busy;
      const wire = this.wire.splice(0);
      for (const message of wire) this.deliver(message);
      if (!busy && wire.length === 0) return this;
    }
    throw new Error("the cluster does not come to rest");
  }

  turn(member: Member): boolean {
    if (!member.core.hasOutput) return false;
    const output = member.core.drain();
    this.carry(output.messages);
    if (output.persist !== null) {
      this.write(member, output.persist);
      member.core.persisted(output.persist.token);
    }
    this.carry(output.messagesAfterPersist);
    this.apply(member, output);
    return true;
  }

  write(member: Member, persist: Persist): void {
    member.write(persist, (snapshot) => this.machineAt(snapshot.index));
  }

  apply(member: Member, output: Output): void {
    for (const entry of output.committed) {
      member.applied.push({ index: entry.index, term: entry.term, data: text(entry.data) });
    }
    const last = output.committed.at(-1);
    if (last !== undefined) member.core.applied(last.index);
    for (const { context, index: at } of output.readStates) {
      member.reads.push({ context, index: at, applied: member.core.appliedIndex });
    }
    member.dropped.push(...output.readsDropped);
    this.fetch(member, output);
  }

  fetch(member: Member, output: Output): void {
    const { store, core } = member;
    for (const { peer, from: first, to } of output.fetches) {
      const base = store.snapshot?.index ?? 0;
      const found = store.entries.filter((e) => e.index >= first && e.index <= to);
      if (first <= base) core.fetchFailed(peer, first);
      else core.fetched(peer, first, found.slice(0, 4));
    }
  }

  /** The machine of whoever has applied so far stands in for the data of a snapshot. */
  machineAt(at: LogIndex): Applied[] {
    for (const { applied } of this.members.values()) {
      if (applied.length >= at) return applied.slice(0, at);
    }
    throw new Error(`nobody has applied ${at}`);
  }

  carry(messages: readonly Message[]): void {
    for (const message of messages) {
      this.onSend(message);
      if (this.passes(message)) this.wire.push(message);
    }
  }

  deliver(message: Message): void {
    this.members.get(message.to)?.core.step(message);
  }

  elect(name: string): this {
    this.core(name).campaign();
    return this.settle();
  }

  tick(count: number): this {
    for (let i = 0; i < count; i++) {
      for (const { core } of this.members.values()) core.tick();
      this.settle();
    }
    return this;
  }

  cut(...names: string[]): void {
    this.passes = ({ from: a, to: b }) => names.includes(a) === names.includes(b);
  }

  heal(): void {
    this.passes = () => true;
  }
}

/** An append that follows (`prev`, `prevTerm`), with an entry of each of these terms. */
export const appendOf = (prev: number, prevTerm: number, terms: number[], commit = 0) =>
  ({
    type: "append_request",
    prevIndex: index(prev),
    prevTerm: term(prevTerm),
    entries: entriesOf(prev + 1, ...terms),
    commit: index(commit),
  }) as const;

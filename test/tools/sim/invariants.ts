/**
 * The invariants that hold after every step. The ghost sees what no node sees: all that was ever
 * applied, every sync of every journal, every vote that left a node. It looks at the product by
 * wrapping a few of its methods.
 */
import { crc32 } from "../../../src/lib/crc32.ts";
import { Machine } from "../../../src/machine/machine.ts";
import { Cluster } from "../../../src/node/peers/cluster.ts";
import { Applier } from "../../../src/node/writes/applier.ts";
import type { Entry, Message } from "../../../src/raft/types.ts";
import { Journal } from "../../../src/storage/journal/journal.ts";
import { type SimCluster, SimViolation } from "./cluster.ts";
import { type Life, running } from "./life.ts";
import type { SimNode } from "./sim-node.ts";

/** Digests of the whole state are compared at every so many entries. */
const DIGEST_EVERY = 16;

type Known = { readonly term: number; readonly crc: number };
type Seen = { life: number; term: number; commit: number; applied: number };

export class Ghost {
  readonly #cluster: SimCluster;
  /** First applied entry of each index: state machine safety. */
  readonly #applied = new Map<number, Known>();
  readonly #digests = new Map<number, { readonly digest: number; readonly node: string }>();
  /** Every entry that was in any journal, by `index@term`: log matching. */
  readonly #logged = new Map<string, { readonly crc: number; previous: number | null }>();
  /** Terms on each disk by index, as syncs reported it. */
  readonly #durable = new Map<string, number[]>();
  readonly #leaders = new Map<number, string>();
  readonly #seen = new Map<string, Seen>();
  /** By node and term, across restarts: whom it voted for, as far as anybody was told. */
  readonly #votes = new Map<string, Map<number, string>>();
  leaderChanges = 0;
  highestApplied = 0;

  constructor(cluster: SimCluster) {
    this.#cluster = cluster;
  }

  /** After each event, of the node that ran. */
  check({ node, id, lives }: SimNode): void {
    if (node === null) return;
    const { role, term, commitIndex, appliedIndex } = node.health();
    const seen = this.#seen.get(id);
    if (seen !== undefined && seen.life === lives) {
      if (term < seen.term) this.#fail("term", `${id} went from term ${seen.term} to ${term}`);
      if (commitIndex < seen.commit) this.#fail("commit", `${id}: ${seen.commit} → ${commitIndex}`);
      if (appliedIndex < seen.applied)
        this.#fail("applied", `${id}: ${seen.applied} → ${appliedIndex}`);
    }
    if (appliedIndex > commitIndex) this.#fail("applied", `${id} applied what is not committed`);
    this.#seen.set(id, { life: lives, term, commit: commitIndex, applied: appliedIndex });
    if (role === "leader") this.#checkLeader(id, term);
  }

  #checkLeader(id: string, term: number): void {
    const known = this.#leaders.get(term);
    if (known === id) return;
    if (known !== undefined) this.#fail("election", `${known} and ${id} lead in term ${term}`);
    this.#leaders.set(term, id);
    this.leaderChanges++;
    this.#cluster.note(`leader ${id} term ${term}`);
  }

  count(effect: string): void {
    this.#cluster.count(effect);
  }

  applied(life: Life, { index, term, type, data }: Entry): void {
    const known = this.#applied.get(index);
    const crc = crc32(data);
    if (known === undefined) {
      this.#applied.set(index, { term, crc });
      this.highestApplied = Math.max(this.highestApplied, index);
      this.#cluster.note(`applied ${index}@${term} ${type} ${crc} by ${life.name}`);
      this.#checkQuorum(life, index, term);
      return;
    }
    if (known.term === term && known.crc === crc) return;
    this.#fail("state machine", `${life.name} applied ${index}@${term}, another ${known.term}`);
  }

  /** Nothing is committed that a majority's disks do not have. */
  #checkQuorum(life: Life, index: number, term: number): void {
    const { plan, initialMembers } = this.#cluster;
    if (plan.faults.includes("membership") || plan.faults.includes("wipe")) return;
    const holds = initialMembers.filter(({ id }) => {
      const at = this.#durable.get(id)?.[index];
      return at === term || at === COVERED;
    });
    if (holds.length * 2 > initialMembers.length) return;
    const who = holds.map(({ id }) => id).join(" ");
    this.#fail("durable quorum", `${life.name} applied ${index}@${term}, durable on [${who}]`);
  }

  digest(life: Life, index: number, machine: Machine): void {
    if (index % DIGEST_EVERY !== 0) return;
    const digest = machine.digest();
    const known = this.#digests.get(index);
    if (known === undefined) this.#digests.set(index, { digest, node: life.name });
    else if (known.digest !== digest)
      this.#fail("digest", `${life.name} and ${known.node} differ at ${index}`);
  }

  appending(life: Life, entries: readonly Entry[]): void {
    let previous: number | null = null;
    for (const { index, term, data } of entries) {
      const key = `${index}@${term}`;
      const crc = crc32(data);
      const known = this.#logged.get(key);
      if (known === undefined) this.#logged.set(key, { crc, previous });
      else {
        if (known.crc !== crc) this.#fail("log matching", `${life.name}: ${key} differs`);
        if (previous !== null && known.previous !== null && known.previous !== previous)
          this.#fail("log matching", `${life.name}: before ${key}`);
        known.previous ??= previous;
      }
      previous = term;
    }
  }

  synced(life: Life, entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    const terms = this.#durable.get(life.name) ?? [];
    this.#durable.set(life.name, terms);
    terms.length = Math.min(terms.length, first.index);
    for (const { index, term } of entries) terms[index] = term;
  }

  /** A snapshot took the place of the journal. */
  reset(life: Life, index: number): void {
    const terms: number[] = [];
    for (let at = 0; at <= index; at++) terms[at] = COVERED;
    this.#durable.set(life.name, terms);
  }

  /** The entries that a new process read: perhaps more than was reported synced. */
  recovered(life: Life, journal: Journal): void {
    const before = this.#durable.get(life.name) ?? [];
    this.reset(life, journal.firstIndex - 1);
    const terms = this.#durable.get(life.name) ?? [];
    // Entries that a disk has lost count as committed while the node votes as if it had them.
    if (journal.marker !== null) {
      for (let at = journal.lastIndex + 1; at < before.length; at++) terms[at] = before[at] ?? 0;
    }
    for (let at = journal.firstIndex; at <= journal.lastIndex; at++) {
      terms[at] = journal.termAt(at) ?? COVERED;
    }
  }

  wiped(id: string): void {
    this.#durable.delete(id);
    // No one may count what it says from now on; that shows elsewhere.
    this.#votes.delete(id);
  }

  /**
   * Checks messages that leave a node: one vote a term, and a leader has all that was ever
   * committed.
   */
  sent(life: Life, messages: readonly Message[]): void {
    for (const message of messages) {
      const { type, term, to } = message;
      if (type === "vote_request") this.#voted(life, term, life.name);
      else if (type === "vote_response" && message.granted) this.#voted(life, term, to);
      else if (type === "append_request") {
        const { prevIndex, prevTerm, entries } = message;
        this.#checkHeld(life, term, prevIndex, prevTerm);
        for (const { index, term: own } of entries) this.#checkHeld(life, term, index, own);
      }
    }
  }

  #voted({ name }: Life, term: number, candidate: string): void {
    const votes = this.#votes.get(name) ?? new Map<number, string>();
    this.#votes.set(name, votes);
    const before = votes.get(term);
    if (before !== undefined && before !== candidate)
      this.#fail("vote", `${name} voted for ${before} and ${candidate} in term ${term}`);
    votes.set(term, candidate);
  }

  /** @param ledTerm the term in which the sender leads, or led when it made the message. */
  #checkHeld({ name }: Life, ledTerm: number, index: number, term: number): void {
    const known = this.#applied.get(index);
    // A leader of an earlier term may send entries that never were committed. It may have heard of the
    // later term since it made the message.
    if (known === undefined || known.term === term || known.term > ledTerm) return;
    this.#fail("leader completeness", `${name} sends ${index}@${term}, committed @${known.term}`);
  }

  #fail(rule: string, message: string): void {
    this.#cluster.fail(new SimViolation(rule, message));
  }
}

/** Lies within a snapshot. */
const COVERED = -1;

const target: { ghost: Ghost | null } = { ghost: null };
/** Set while an `Applier` applies: which entries the machine gets, in order. */
const applying: { entries: Entry[] } = { entries: [] };
let installed = false;

export function observe(ghost: Ghost | null): void {
  target.ghost = ghost;
  if (installed) return;
  installed = true;
  wrapApplier();
  wrapMachine();
  wrapJournal();
  wrapCluster();
}

function wrapCluster(): void {
  const { send } = Cluster.prototype;
  Cluster.prototype.send = function (messages) {
    const { life } = running;
    if (life?.alive) target.ghost?.sent(life, messages);
    send.call(this, messages);
  };
}

function wrapApplier(): void {
  const { apply } = Applier.prototype;
  Applier.prototype.apply = function (entries, start) {
    const isForMachine = ({ type, data }: Entry) => type === "normal" && data.length > 0;
    applying.entries = entries.slice(start).filter(isForMachine).reverse();
    const end = apply.call(this, entries, start);
    const { life } = running;
    if (life !== null) {
      for (const entry of entries.slice(start, end)) target.ghost?.applied(life, entry);
    }
    return end;
  };
}

function wrapMachine(): void {
  const { apply } = Machine.prototype;
  Machine.prototype.apply = function (payload, effects) {
    apply.call(this, payload, effects);
    const entry = applying.entries.pop();
    const { life } = running;
    if (entry !== undefined && life !== null) target.ghost?.digest(life, entry.index, this);
  };
}

function wrapJournal(): void {
  const { open } = Journal;
  const { append, resetTo } = Journal.prototype;
  Journal.open = async (options) => {
    const { life } = running;
    const opened = await open.call(Journal, options);
    if (life?.alive) target.ghost?.recovered(life, opened.journal);
    return opened;
  };
  Journal.prototype.append = async function (entries) {
    const { life } = running;
    if (entries.length > 1) target.ghost?.count("append of several entries");
    if (life !== null) target.ghost?.appending(life, entries);
    const last = await append.call(this, entries);
    if (life?.alive) target.ghost?.synced(life, entries);
    return last;
  };
  Journal.prototype.resetTo = async function (index, term) {
    const { life } = running;
    await resetTo.call(this, index, term);
    if (life?.alive) target.ghost?.reset(life, index);
  };
}

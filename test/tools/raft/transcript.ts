/**
 * Runs a script of commands on a few cores and writes down all that they put out. Nothing happens
 * by itself: disks sync by `sync`, messages arrive by `deliver`. `settle` does both until all is
 * quiet.
 *
 *     cluster n1 n2 n3 [preVote=false …]   new cores      campaign|tick|propose|read|crash NODE …
 *     change NODE v4 l5 r1 [explicit]      membership     transfer NODE TARGET
 *     sync NODE [count]                    oldest writes  deliver [FROM>TO | TO] [count]
 *     drop [FROM>TO | TO]                  lose messages  compact|evict NODE INDEX
 *     status                               one line each  settle
 */
import { membersOf } from "../../../src/raft/membership.ts";
import type { Configuration, Entry, Message, Output, Persist } from "../../../src/raft/types.ts";
import { bytes, Cluster, id, index, type Member, text } from "./harness.ts";

type Command = (args: string[]) => void;

export class Transcript {
  #cluster = new Cluster("");
  #lines: string[] = [];

  /** @returns the output of one command, one line per event. */
  run(line: string): string {
    this.#lines = [];
    const [verb = "", ...args] = line.split(" ").filter((word) => word.length > 0);
    const command = this.#commands[verb];
    if (command === undefined) throw new Error(`unknown command: ${line}`);
    command(args);
    return this.#lines.length > 0 ? this.#lines.join("\n") : "ok";
  }

  readonly #commands: Record<string, Command> = {
    cluster: (args) => {
      const options = args.filter((word) => word.includes("="));
      const names = args.filter((word) => !word.includes("="));
      const settings = options.map((word) => word.split("="));
      this.#cluster = new Cluster(
        names.join(" "),
        Object.fromEntries(settings.map(([key, value]) => [key, JSON.parse(value ?? "")])),
      );
    },
    campaign: ([name]) => this.#on(name, (member) => member.core.campaign()),
    tick: ([name, count = "1"]) =>
      this.#on(name, (member) => {
        for (let i = 0; i < Number(count); i++) member.core.tick();
      }),
    propose: ([name, ...words]) =>
      this.#on(name, (member) => {
        for (const word of words) this.#result(member, member.core.propose(bytes(word)));
      }),
    read: ([name, context]) =>
      this.#on(name, (member) => this.#result(member, member.core.readIndex(context))),
    change: ([name, ...words]) =>
      this.#on(name, ({ core }) => {
        const kinds = { v: "add_voter", l: "add_learner", r: "remove" } as const;
        const changes = words
          .filter((word) => word !== "explicit")
          .map((word) => ({ type: kinds[word[0] as "v"], id: id(`n${word.slice(1)}`) }));
        const transition = words.includes("explicit") ? "joint_explicit" : "auto";
        this.#result({ name } as Member, core.proposeConfChange(changes, transition));
      }),
    transfer: ([name, target = ""]) =>
      this.#on(name, (member) => this.#result(member, member.core.transferLeadership(id(target)))),
    compact: ([name, at]) => this.#on(name, (member) => this.#compact(member, Number(at))),
    evict: ([name, at]) => this.#on(name, (member) => member.core.evict(index(Number(at)))),
    crash: ([name]) => this.#on(name, (member) => member.restart()),
    sync: ([name, count = "1"]) => this.#on(name, (member) => this.#sync(member, Number(count))),
    deliver: ([which, count]) => this.#deliver(which, Number(count ?? 99)),
    drop: ([which]) => {
      for (const message of this.#take(which, 99)) this.#say(`lost ${showMessage(message)}`);
    },
    settle: () => this.#settle(),
    status: () => {
      for (const { core, unsynced } of this.#cluster.members.values()) {
        const { role, term, leader, commit, applied, durableIndex, lastIndex } = core.status();
        this.#say(
          `${core.id} ${role} term=${term} leader=${leader ?? "-"} log=${core.firstIndex}..${lastIndex}` +
            ` durable=${durableIndex} commit=${commit} applied=${applied} writes=${unsynced.length}`,
        );
      }
      this.#say(`wire: ${this.#cluster.wire.length}`);
    },
  };

  #on(name: string | undefined, act: (member: Member) => void): void {
    const member = this.#cluster.get(name ?? "");
    act(member);
    this.#turn(member);
  }

  #say(line: string): void {
    this.#lines.push(line);
  }

  #result(member: Member, result: { ok: boolean; code?: string }): void {
    if (!result.ok) this.#say(`${member.name} refuses: ${result.code}`);
  }

  #turn(member: Member): void {
    while (member.core.hasOutput) {
      const output = member.core.drain();
      this.#show(member, output);
      this.#cluster.wire.push(...output.messages);
      const { persist, messagesAfterPersist: messages } = output;
      if (persist !== null) member.unsynced.push({ persist, messages });
      this.#cluster.apply(member, output);
    }
  }

  #sync(member: Member, count: number): void {
    for (const { persist, messages } of member.unsynced.splice(0, count)) {
      this.#cluster.write(member, persist);
      member.core.persisted(persist.token);
      for (const message of messages) this.#say(`${member.name} sends ${showMessage(message)}`);
      this.#cluster.wire.push(...messages);
      this.#turn(member);
    }
  }

  #deliver(which: string | undefined, count: number): void {
    for (const message of this.#take(which, count)) {
      this.#cluster.deliver(message);
      const member = this.#cluster.members.get(message.to);
      if (member !== undefined) this.#turn(member);
    }
  }

  #take(which: string | undefined, count: number): Message[] {
    const [a = "", b] = (which ?? "").split(">");
    const matches = ({ from, to }: Message) =>
      which === undefined || (b === undefined ? to === a : from === a && to === b);
    const taken = this.#cluster.wire.filter(matches).slice(0, count);
    for (const message of taken) this.#cluster.wire.splice(this.#cluster.wire.indexOf(message), 1);
    return taken;
  }

  #settle(): void {
    for (let round = 0; round < 100; round++) {
      for (const member of this.#cluster.members.values()) this.#sync(member, 99);
      const isSynced = [...this.#cluster.members.values()].every((m) => m.unsynced.length === 0);
      if (isSynced && this.#cluster.wire.length === 0) return;
      this.#deliver(undefined, 999);
    }
  }

  #compact(member: Member, at: number): void {
    const base = member.store.snapshot?.index ?? 0;
    member.core.compact(index(at));
    member.store.snapshot = member.core.snapshot;
    member.store.entries = member.store.entries.slice(at - base);
  }

  #show(member: Member, output: Output): void {
    const say = (line: string) => this.#say(`${member.name} ${line}`);
    const { roleChange, configuration, persist } = output;
    if (roleChange !== null) {
      say(`is ${roleChange.role} in term ${roleChange.term}, leader ${roleChange.leader ?? "-"}`);
    }
    if (configuration !== null) say(`has members ${showConfiguration(configuration)}`);
    if (persist !== null) say(`writes ${showPersist(persist)}`);
    for (const message of output.messages) say(`sends ${showMessage(message)}`);
    for (const message of output.messagesAfterPersist) say(`holds ${showMessage(message)}`);
    if (output.committed.length > 0) say(`applies ${output.committed.map(showEntry).join(" ")}`);
    for (const read of output.readStates) say(`may read ${read.context} at ${read.index}`);
    for (const context of output.readsDropped) say(`gives up reading ${context}`);
    for (const { peer, from, to } of output.fetches) say(`fetches ${from}..${to} for ${peer}`);
  }
}

const showEntry = ({ index: at, term, type, data }: Entry): string =>
  `${at}@${term}${type === "conf_change" ? ":change" : data.length > 0 ? `:${text(data)}` : ""}`;

const showConfiguration = (configuration: Configuration): string => {
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = configuration;
  const joint = votersOutgoing.length > 0 ? ` && (${votersOutgoing.join(" ")})` : "";
  const rest = membersOf(configuration).length > 0 && learners.length + learnersNext.length > 0;
  const learning = rest ? ` learners (${learners.join(" ")}) next (${learnersNext.join(" ")})` : "";
  return `(${voters.join(" ")})${joint}${learning}${autoLeave ? " auto-leave" : ""}`;
};

function showPersist({ token, entries, hardState, snapshot, mustSync }: Persist): string {
  const parts = [`#${token}`];
  if (snapshot !== null) parts.push(`snapshot ${snapshot.index}@${snapshot.term}`);
  if (entries.length > 0) parts.push(`entries ${entries.map(showEntry).join(" ")}`);
  if (hardState !== null) {
    const { term, vote, commit } = hardState;
    parts.push(`term=${term} vote=${vote ?? "-"} commit=${commit}`);
  }
  if (!mustSync) parts.push("(no sync)");
  return parts.join(" ");
}

function showMessage(message: Message): string {
  const head = `${message.type} ${message.from}>${message.to} term=${message.term}`;
  switch (message.type) {
    case "append_request": {
      const { prevIndex, prevTerm, entries, commit } = message;
      const list = entries.map(showEntry).join(" ");
      return `${head} after ${prevIndex}@${prevTerm} [${list}] commit=${commit}`;
    }
    case "append_response":
      return message.accepted
        ? `${head} match=${message.match}`
        : `${head} refuses ${message.rejected}, hint ${message.hintIndex}@${message.hintTerm}`;
    case "vote_request":
    case "pre_vote_request":
      return `${head} last ${message.lastIndex}@${message.lastTerm}${message.transfer ? " by transfer" : ""}`;
    case "vote_response":
    case "pre_vote_response":
      return `${head} ${message.granted ? "yes" : "no"}`;
    case "heartbeat":
      return `${head} commit=${message.commit} round=${message.round}`;
    case "heartbeat_response":
      return `${head} round=${message.round}`;
    case "snapshot_offer":
      return `${head} snapshot ${message.snapshot.index}@${message.snapshot.term}`;
    default:
      return head;
  }
}

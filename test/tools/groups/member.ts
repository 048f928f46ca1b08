/** A member of a group: it joins, reads, commits, pauses, leaves, or just stops. */
import type { GroupCommit, GroupJoin, GroupRead, Owned } from "../history/group-operations.ts";
import type { Outcome } from "../history/operations.ts";
import type { Random } from "../random.ts";

/** An answer, or that there was none. It is in the history already. */
export type Told<Result> = {
  readonly outcome: Outcome;
  /** Why it was refused. */
  readonly code: string | null;
  readonly result: Result | null;
};

/** The way of a member to the nodes, simulated or real. */
export type MemberLink = {
  readonly name: string;
  readonly random: Random;
  now(): number;
  sleep(ms: number): Promise<void>;
  /** Counts what the history has shown. */
  count(effect: string): void;
  join(args: GroupJoin["args"]): Promise<Told<NonNullable<GroupJoin["result"]>>>;
  read(
    args: GroupRead["args"],
    how: { readonly limit: number; readonly waitMs: number },
  ): Promise<Told<NonNullable<GroupRead["result"]>>>;
  commit(args: GroupCommit["args"]): Promise<Told<NonNullable<GroupCommit["result"]>>>;
  leave(args: { readonly group: string; readonly member: string }): Promise<Told<object>>;
};

export type MemberOptions = {
  readonly group: string;
  readonly topics: readonly string[];
  readonly leasesMs: readonly number[];
  /** Longest waits of a read. */
  readonly waitsMs: readonly number[];
  /** Longest time for the records of a page. */
  readonly workMs: number;
  /** An operation without an answer may be carried out until this long after its call. @default 0 */
  readonly lateMs?: number;
};

const RETRY_MS = 20;
const OLD_MAX = 20;

type Answer = "ok" | "again" | "gone";

export class GroupMember {
  readonly link: MemberLink;
  name: string;
  leaseMs = 0;
  /** End of the last operation that may have renewed its lease. */
  lastEndMs = 0;
  /** Until when an operation without an answer, or the one under way, may renew its lease. */
  lateUntilMs = 0;
  /** It only works: no pauses, and all topics under one name. */
  isCalm = false;
  /** It stops without a word. */
  isSilent = false;
  stopped = false;
  readonly #options: MemberOptions;
  /** Leases that may be in force, and until when their joins may be carried out. */
  #leases: readonly { readonly leaseMs: number; readonly untilMs: number }[] = [];
  #topics: readonly string[] = [];
  #lives = 0;
  #wasCalm = false;
  /** Behind the records of the last answer, and of earlier ones. */
  #positions: readonly Owned[] = [];
  readonly #old: Owned[] = [];

  constructor(link: MemberLink, options: MemberOptions) {
    this.link = link;
    this.name = link.name;
    this.#options = options;
  }

  /** The longest lease that may be in force: a join without an answer may have counted, or count later. */
  get leaseMsMax(): number {
    return Math.max(...this.#leases.map(({ leaseMs }) => leaseMs), 0);
  }

  async run(): Promise<void> {
    while (!this.stopped) {
      this.#begin();
      if ((await this.#join()) === "ok") await this.#work();
      await this.link.sleep(RETRY_MS);
    }
    if (!this.isSilent) await this.leave(this.name);
  }

  async leave(member: string): Promise<void> {
    await this.link.leave({ group: this.#options.group, member });
  }

  /** With its name, or with a name that nobody had. */
  #begin(): void {
    const { random, name } = this.link;
    const { topics, leasesMs } = this.#options;
    this.#lives++;
    this.#wasCalm = this.isCalm;
    this.name = this.isCalm || random.below(3) > 0 ? name : `${name}-${this.#lives}`;
    this.leaseMs = random.pick(leasesMs);
    this.#topics = this.isCalm || random.below(2) === 0 ? topics : [random.pick(topics)];
  }

  async #work(): Promise<void> {
    let goesOn = true;
    while (goesOn && !this.stopped && this.isCalm === this.#wasCalm) {
      goesOn = await (this.isCalm ? this.#turn() : this.#disturbedTurn());
    }
  }

  /** Mostly a page, and now and then what a member should not do. @returns as `#turn`. */
  async #disturbedTurn(): Promise<boolean> {
    const { random } = this.link;
    const dice = random.below(40);
    if (dice < 34) return await this.#turn();
    // It stops without a word, or not.
    if (dice === 34) await this.leave(this.name);
    if (dice <= 35) return false;
    if (dice === 36) return (await this.#join()) === "ok";
    if (dice === 37) await this.#oversleep();
    else if (dice === 38) await this.#commit([...this.#old]);
    else await this.link.sleep(random.below(60));
    return true;
  }

  /** Reads and commits. @returns false if it has to join again. */
  async #turn(): Promise<boolean> {
    const { random } = this.link;
    const read = await this.#read();
    if (read !== "ok") return read === "again" && random.below(2) === 0;
    await this.link.sleep(random.below(this.#options.workMs));
    if (!this.isCalm && random.below(8) === 0) return true;
    let answer = await this.#commit(this.#some());
    // The next page does not have the positions of this one.
    while (answer === "again" && this.isCalm && !this.stopped) {
      await this.link.sleep(RETRY_MS);
      answer = await this.#commit(this.#positions);
    }
    return answer !== "gone";
  }

  /** Mostly the positions of the last answer, now and then without a few records of it. */
  #some(): readonly Owned[] {
    const { random } = this.link;
    if (this.isCalm || random.below(5) > 0) return this.#positions;
    return this.#positions.map((each) => {
      return { ...each, next: Math.max(0, each.next - random.below(3)) };
    });
  }

  /** Longer than its lease, and then it commits as if nothing had happened. */
  async #oversleep(): Promise<void> {
    await this.link.sleep(this.leaseMs + this.link.random.below(this.leaseMs));
    await this.#commit(this.#positions);
  }

  async #join(): Promise<Answer> {
    const { group } = this.#options;
    const request = { group, member: this.name, topics: this.#topics, leaseMs: this.leaseMs };
    const before = this.#leases;
    const calledMs = this.link.now();
    const own = { leaseMs: this.leaseMs, untilMs: this.#lateFrom(calledMs) };
    this.#leases = [...before, own];
    const { outcome, result } = await this.#noted(this.link.join(request));
    if (outcome === "fail") this.#leases = before;
    if (result === null) return "again";
    const late = before.filter(({ untilMs }) => untilMs > calledMs);
    this.#leases = [...late, { ...own, untilMs: calledMs }];
    this.#positions = [];
    return "ok";
  }

  async #read(): Promise<Answer> {
    const { random } = this.link;
    const { group, waitsMs } = this.#options;
    const how = { limit: 1 + random.below(20), waitMs: random.pick(waitsMs) };
    const request = { group, member: this.name };
    const { outcome, code, result } = await this.#noted(this.link.read(request, how));
    if (result === null) {
      // Without an answer its records may be lost, so that it has to join again.
      return outcome === "fail" && code !== "not_a_member" ? "again" : "gone";
    }
    this.#positions = result.positions;
    this.#old.push(...result.positions);
    if (this.#old.length > OLD_MAX) this.#old.splice(0, this.#old.length - OLD_MAX);
    return "ok";
  }

  async #commit(offsets: readonly Owned[]): Promise<Answer> {
    const { group } = this.#options;
    const request = { group, member: this.name, offsets };
    const { code, result } = await this.#noted(this.link.commit(request));
    for (const each of result?.committed ?? []) {
      this.link.count(each === null ? "group commit fenced" : "group commit");
    }
    if (result !== null) return "ok";
    if (code !== "not_a_member") return "again";
    this.link.count("group lease over");
    return "gone";
  }

  async #noted<Result>(operation: Promise<Told<Result>>): Promise<Told<Result>> {
    const before = this.lateUntilMs;
    this.lateUntilMs = this.#lateFrom(this.link.now());
    const told = await operation;
    this.lastEndMs = this.link.now();
    if (told.outcome !== "unknown") this.lateUntilMs = before;
    return told;
  }

  #lateFrom(calledMs: number): number {
    return calledMs + (this.#options.lateMs ?? 0);
  }
}

/** The verdict on a recorded history: a pure function of its operations. */
import { checkCommits } from "./commits.ts";
import { checkEqual, recoveryMs } from "./convergence.ts";
import { checkGroups } from "./groups.ts";
import { checkKv, type KvReport } from "./kv.ts";
import { checkLeaders } from "./leaders.ts";
import { groupBy, type Operation, type OperationOf, type PartitionArgs } from "./operations.ts";
import { PartitionLog } from "./partition-log.ts";
import { checkProducers } from "./producers.ts";
import { checkReads } from "./reads.ts";
import { type Counts, countsOf, type Demands, shortcomings } from "./vacuity.ts";
import { type Rule, Violation } from "./violation.ts";

export type Options = {
  /** The minimum that a history must contain to prove anything. */
  readonly demands?: Partial<Demands>;
  /** How far times of expiry may be off. */
  readonly clockErrorMs?: number;
  /** Longest wait for the first write after the faults ended; absent: not judged. */
  readonly recoveryMsMax?: number;
  /** Clocks were wrong, so that leases may have ended early. */
  readonly wrongClocks?: boolean;
};

export type Verdict =
  | { readonly kind: "passed"; readonly counts: Counts }
  | {
      readonly kind: "violation";
      readonly rule: Rule;
      readonly message: string;
      readonly operations: readonly Operation[];
      readonly counts: Counts;
    }
  | { readonly kind: "invalid"; readonly reasons: readonly string[]; readonly counts: Counts };

/** A violation outweighs everything; a history that shows too little has not passed. */
export function check(operations: readonly Operation[], options: Options = {}): Verdict {
  const counts = countsOf(operations);
  try {
    const { undecided } = checkAll(operations, options);
    const reasons = shortcomings(operations, counts, options.demands ?? {});
    for (const key of undecided) reasons.push(`the search for ${key} was given up`);
    return reasons.length > 0 ? { kind: "invalid", reasons, counts } : { kind: "passed", counts };
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    const { rule, message, operations: involved } = error;
    return { kind: "violation", rule, message, operations: involved, counts };
  }
}

function checkAll(operations: readonly Operation[], options: Options): KvReport {
  const select = <Name extends Operation["op"]>(name: Name) =>
    operations.filter((one): one is OperationOf<Name> => one.op === name);
  checkLeaders(select("leader"));
  checkPartitions(select);
  checkGroups(operations, options.wrongClocks !== true);
  const report = checkKv(
    {
      puts: select("kv-put"),
      deletes: select("kv-delete"),
      gets: select("kv-get"),
      dumps: select("kv-dump"),
    },
    options.clockErrorMs ?? 1000,
  );
  checkEqual(select("dump"), select("kv-dump"));
  const recovery = recoveryMs(operations);
  if (recovery !== null && recovery > (options.recoveryMsMax ?? Number.POSITIVE_INFINITY)) {
    throw new Violation("liveness", `the first write after healing took ${recovery} ms`);
  }
  return report;
}

type Select = <Name extends Operation["op"]>(name: Name) => OperationOf<Name>[];

/** Linearizability is compositional: each partition is judged by itself. */
function checkPartitions(select: Select): void {
  const nameOf = ({ args }: { args: PartitionArgs }) => `${args.topic}/${args.partition}`;
  const produces = groupBy(select("produce"), nameOf);
  const consumes = groupBy(select("consume"), nameOf);
  const commits = groupBy(select("commit"), nameOf);
  const dumps = groupBy(select("dump"), nameOf);
  const deletions = groupBy(select("delete-before"), nameOf);
  const retention = groupBy(select("retention"), nameOf);
  const all = [produces, consumes, commits, dumps, deletions];
  for (const name of new Set(all.flatMap((groups) => [...groups.keys()]))) {
    const history = {
      produces: produces.get(name) ?? [],
      consumes: consumes.get(name) ?? [],
      dumps: dumps.get(name) ?? [],
      deletions: deletions.get(name) ?? [],
      retention: retention.has(name),
    };
    const log = new PartitionLog(history);
    checkReads(history, log);
    checkProducers(log.appends);
    checkCommits(commits.get(name) ?? [], history.consumes, history.dumps);
  }
}

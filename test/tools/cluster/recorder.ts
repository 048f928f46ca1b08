/** Collects the history of a run; its clock is the only one that counts. */
import type { Operation, OperationOf, Outcome } from "../history/operations.ts";

export type Ended<Name extends Operation["op"]> = {
  readonly process: string;
  readonly node: string;
  readonly call: number;
  readonly outcome: Outcome;
  readonly args: OperationOf<Name>["args"];
  readonly result: NonNullable<OperationOf<Name>["result"]> | null;
};

export class Recorder {
  readonly operations: Operation[] = [];

  /** Milliseconds, monotonic. */
  now(): number {
    return performance.now();
  }

  /** An operation has ended now. */
  add<Name extends Operation["op"]>(op: Name, ended: Ended<Name>): void {
    const id = this.operations.length;
    this.operations.push({ op, id, ret: this.now(), ...ended } as unknown as Operation);
  }

  fault(kind: string, node: string, call: number): void {
    const result = {};
    this.add("fault", { process: "nemesis", node, call, outcome: "ok", args: { kind }, result });
  }

  leader(node: string, term: number, call: number): void {
    const result = { term };
    this.add("leader", { process: "observer", node, call, outcome: "ok", args: {}, result });
  }

  heal(): void {
    const call = this.now();
    const args = {};
    this.add("heal", { process: "nemesis", node: "", call, outcome: "ok", args, result: {} });
  }
}

/** A commander that keeps the commands which are started, until a test says what became of them. */
import type { Commander } from "../../../src/node/writes/commander.ts";

type Started = {
  readonly type: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly done: (outcome: unknown) => void;
};

export class RecordedCommander {
  readonly started: Started[] = [];
  isCurrent = true;
  /** Refuses commands at once, as a full disk does. */
  refuses = false;

  /** As the parts of a node take it. */
  get asCommander(): Commander {
    return this as unknown as Commander;
  }

  whenCurrent(): Promise<null> {
    return Promise.resolve(null);
  }

  start(
    command: { kind: { type: string }; fields: Record<string, unknown> },
    done: (outcome: unknown) => void,
  ): void {
    this.started.push({ type: command.kind.type, fields: command.fields, done });
    if (this.refuses) done({ ok: false, code: "disk_full" });
  }

  run(command: { kind: { type: string }; fields: Record<string, unknown> }): Promise<unknown> {
    return new Promise((resolve) => this.start(command, resolve));
  }

  housekeep(kind: { type: string }, fields: Record<string, unknown>): boolean {
    this.started.push({ type: kind.type, fields, done: () => {} });
    return true;
  }

  /** The types and the fields of the commands that were started since the last call. */
  take(): Started[] {
    return this.started.splice(0);
  }
}

import type { PartitionState } from "../../broker/state.ts";
import type { Clock } from "../../env/clock.ts";
import type { Random } from "../../env/random.ts";
import { deleteExport, flushExport, pauseExport } from "../../export/commands/change-export.ts";
import { endExport } from "../../export/commands/close-export.ts";
import { putExport } from "../../export/commands/put-export.ts";
import { EXPORTS_MAX } from "../../export/definition.ts";
import { exportOfId, type FoundExport, findExport, findExportByName } from "../../export/state.ts";
import type { Machine } from "../../machine/machine.ts";
import type { Logger } from "../../metrics/log.ts";
import type { ExportSample } from "../../metrics/sources.ts";
import { parseFormat } from "../../parquet/format.ts";
import type { Emit } from "../events.ts";
import type { ExportApi, ExportSummary } from "../export-api.ts";
import type { RetentionHold } from "../maintenance/janitor.ts";
import type { NodeOptions } from "../options.ts";
import type { Commander } from "../writes/commander.ts";
import { describe, summaryOf } from "./describe.ts";
import { planRanges } from "./ranges.ts";
import { ExportStatus } from "./status.ts";
import { hasWork, takeTurn, type WorkingExport } from "./turn.ts";
import { type ExportWriter, NO_EXPORT_WRITER } from "./writer.ts";

const COMMAND_BYTES = 1024;
/** How often the leader looks for ranges that are due. */
const LOOK_EVERY_MS = 500;
/** Exports that write at the same time, so that one whose bucket hangs does not stop the others. */
const AT_ONCE_MAX = 3;
/** A look at many exports pauses after this time, so that requests are not delayed. */
const SLICE_BUDGET_US = 4_000;
const REST_MS = 10;
/** The last files of a deleted export are listed and removed within this time, or stay. */
const CLOSING_MS_MAX = 3_600_000;
/** Exports with series of their own. */
const SAMPLES_MAX = 100;

export type ExportsOptions = {
  readonly machine: Machine;
  readonly commander: Commander;
  /** The cluster time. */
  readonly clock: Clock;
  readonly random: Random;
  readonly replica: { readonly isLeader: boolean };
  readonly writer: ExportWriter;
  readonly exportsMax: number;
  /** Retention waits at most this long. */
  readonly holdMs: number;
  readonly log: Logger;
  readonly emit: Emit;
};

/** Exports on this node. The leader decides ranges, and has their files written. */
export class Exports implements ExportApi {
  readonly #options: ExportsOptions;
  #status = new Map<number, ExportStatus>();
  /** Exports that are worked on. The work may have begun when this node led before. */
  readonly #busy = new Set<number>();
  #attempts = 0;
  #cancel: (() => void) | null = null;
  #isLooking = false;
  #stopped = false;

  constructor(options: ExportsOptions) {
    this.#options = options;
  }

  /** With the options of a node, and their defaults. */
  static of(
    { random, log, exportWriter, exportsMax, exportHoldMs }: NodeOptions,
    parts: Pick<ExportsOptions, "machine" | "commander" | "clock" | "replica" | "emit">,
  ): Exports {
    return new Exports({
      ...parts,
      random,
      log,
      writer: exportWriter ?? NO_EXPORT_WRITER,
      exportsMax: exportsMax ?? EXPORTS_MAX,
      holdMs: exportHoldMs ?? 0,
    });
  }

  /** Offsets that exports hold back from retention. */
  get hold(): RetentionHold {
    return { from: (partition) => this.#heldFrom(partition), ms: this.#options.holdMs };
  }

  readonly putExport: ExportApi["putExport"] = async (name, definition) => {
    const { commander, writer, machine, exportsMax } = this.#options;
    const problem = writer.check(definition.url);
    if (problem !== null)
      return { ok: false, code: "invalid_export", message: `Field "url" ${problem}` };
    const format = parseFormat(definition.format);
    if (!format.ok) {
      const message = `Field "${format.path}" ${format.message}`;
      return { ok: false, code: "invalid_export", message };
    }
    return (await commander.run({
      kind: putExport,
      fields: { name, definition },
      bytes: COMMAND_BYTES + definition.format.length,
      grows: true,
      check: () => {
        const isNew = this.#find(name) === undefined;
        const count = [...machine.parts.exports.byId.keys()].filter((id) => this.#live(id)).length;
        if (!isNew || count < exportsMax) return null;
        return { ok: false, code: "too_many_exports", details: { exports_max: exportsMax } };
      },
      done: ({ created }) => ({ ok: true, created }),
    })) as Awaited<ReturnType<ExportApi["putExport"]>>;
  };

  readonly deleteExport: ExportApi["deleteExport"] = (name) =>
    this.#options.commander.run({
      kind: deleteExport,
      fields: { name },
      bytes: COMMAND_BYTES,
      done: () => ({ ok: true }),
    });

  readonly pauseExport: ExportApi["pauseExport"] = (name, paused) =>
    this.#options.commander.run({
      kind: pauseExport,
      fields: { name, paused },
      bytes: COMMAND_BYTES,
      done: () => ({ ok: true }),
    });

  readonly flushExport: ExportApi["flushExport"] = (name) =>
    this.#options.commander.run({
      kind: flushExport,
      fields: { name },
      bytes: COMMAND_BYTES,
      done: ({ records }) => {
        // A person waits, so the next attempt is at once.
        const { one } = this.#find(name) ?? {};
        if (one !== undefined) this.#statusOf(one.exportId).retryAtMs = 0;
        return { ok: true, records };
      },
    });

  readonly listExports = async (): Promise<readonly ExportSummary[]> => {
    const list: ExportSummary[] = [];
    for (const found of this.#all()) {
      list.push(await summaryOf(found, this.#statusOf(found.one.exportId), this.#nowMs()));
    }
    return list.sort((a, b) => (a.export < b.export ? -1 : 1));
  };

  readonly describeExport: ExportApi["describeExport"] = async (name) => {
    const found = this.#find(name);
    if (found === undefined) return { ok: false, code: "export_not_found" };
    const status = this.#statusOf(found.one.exportId);
    return { ok: true, ...(await describe(found, status, this.#nowMs())) };
  };

  readonly topicOfExport = (name: string): string | null => this.#find(name)?.topic.name ?? null;

  /** Samples for metrics. */
  async sample(): Promise<readonly ExportSample[]> {
    const all = await this.listExports();
    const most = [...all].sort((a, b) => b.lagRecords - a.lagRecords).slice(0, SAMPLES_MAX);
    return most.map((each) => ({
      export: each.export,
      files: each.files,
      rows: each.rows,
      bytes: each.bytes,
      lost: each.lost,
      lagRecords: each.lagRecords,
      lagSeconds: each.lagMs / 1000,
      failures: each.failures,
    }));
  }

  /** Called at most once per event-loop iteration, after the machine has applied entries. */
  applied(): void {
    if (this.#hasAny) this.#lookLater(LOOK_EVERY_MS);
  }

  /** Called when this node begins or ceases to lead: nothing that it remembers is certain then. */
  roleChanged(): void {
    for (const { running } of this.#status.values()) running?.abort(new Error("not the leader"));
    this.#status = new Map();
    if (this.#hasAny) this.#lookLater(LOOK_EVERY_MS);
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
    for (const { running } of this.#status.values()) running?.abort(new Error("shutting down"));
    this.#options.writer.stop();
  }

  /** The lowest offset of a partition that an export holds back from retention; null: none. */
  #heldFrom({ topicId, partition }: PartitionState): number | null {
    let held: number | null = null;
    for (const {
      topicId: its,
      definition,
      partitions,
    } of this.#options.machine.parts.exports.byId.values()) {
      const next = partitions[partition]?.next;
      if (its !== topicId || !definition.hold || next === undefined) continue;
      held = Math.min(held ?? next, next);
    }
    return held;
  }

  #nowMs(): number {
    return this.#options.clock.now();
  }

  #find(name: string): FoundExport | undefined {
    const { machine } = this.#options;
    return findExportByName(machine.parts.exports, machine.broker, name);
  }

  #live(exportId: number): FoundExport | undefined {
    const { machine } = this.#options;
    return findExport(machine.parts.exports, machine.broker, exportId);
  }

  #all(): FoundExport[] {
    const ids = [...this.#options.machine.parts.exports.byId.keys()];
    return ids.map((id) => this.#live(id)).filter((each) => each !== undefined);
  }

  get #hasAny(): boolean {
    const { byId, closing } = this.#options.machine.parts.exports;
    return byId.size + closing.size > 0;
  }

  /** Those that exist, and those that were deleted and are not finished. */
  #working(): readonly WorkingExport[] {
    const closing = [...this.#options.machine.parts.exports.closing.values()];
    return [...this.#all(), ...closing.map((one) => ({ one, topic: null }))];
  }

  #statusOf(exportId: number): ExportStatus {
    const known = this.#status.get(exportId);
    if (known !== undefined) return known;
    const created = new ExportStatus();
    this.#status.set(exportId, created);
    return created;
  }

  #lookLater(delayMs: number): void {
    const { replica, clock } = this.#options;
    if (this.#stopped || this.#cancel !== null || this.#isLooking || !replica.isLeader) return;
    this.#cancel = clock.after(delayMs, () => {
      this.#cancel = null;
      this.#isLooking = true;
      this.#look().then(
        () => {
          this.#isLooking = false;
          this.applied();
        },
        (error: unknown) => this.#options.emit({ type: "failed", error }),
      );
    });
  }

  async #look(): Promise<void> {
    const { replica, commander, clock } = this.#options;
    if (!replica.isLeader || (await commander.whenCurrent()) !== null) return;
    this.#forget();
    await this.#end();
    let sliceEnd = clock.monotonic() + SLICE_BUDGET_US;
    for (const found of this.#all()) {
      const status = this.#statusOf(found.one.exportId);
      if (!found.one.isPaused) await planRanges(found, status, this.#options);
      if (clock.monotonic() <= sliceEnd) continue;
      await new Promise<void>((resolve) => clock.after(REST_MS, resolve));
      if (this.#stopped) return;
      sliceEnd = clock.monotonic() + SLICE_BUDGET_US;
    }
    this.#begin();
  }

  /** Stops the files of exports that were paused or deleted. */
  #forget(): void {
    const { exports } = this.#options.machine.parts;
    for (const [exportId, { running, isOfOpenExport }] of this.#status) {
      const one = exportOfId(exports, exportId);
      if (one === undefined) this.#status.delete(exportId);
      const isEnded = one === undefined || (one.closedAtMs > 0 && isOfOpenExport);
      if (isEnded || one.isPaused) running?.abort(new Error("paused or deleted"));
    }
  }

  /** Ends the exports of deleted topics, and those deleted ones whose place was away for too long. */
  async #end(): Promise<void> {
    const { machine, commander, log } = this.#options;
    const { byId, closing } = machine.parts.exports;
    const orphans = [...byId.values()].filter(({ exportId }) => this.#live(exportId) === undefined);
    const before = this.#nowMs() - CLOSING_MS_MAX;
    const late = [...closing.values()].filter(({ closedAtMs }) => closedAtMs < before);
    for (const one of late) {
      const { url } = one.definition;
      log.warn("files of a deleted export are left in its place", { export: one.name, url });
    }
    for (const { exportId, closedAtMs } of [...orphans, ...late]) {
      const fields = { exportId, forget: closedAtMs > 0 };
      await commander.run({ kind: endExport, fields, bytes: COMMAND_BYTES, done: () => null });
    }
  }

  /** Begins turns of exports, those first that waited longest. */
  #begin(): void {
    const nowMs = this.#nowMs();
    const waiting = this.#working()
      .filter(({ one }) => !one.isPaused)
      .map((found) => ({ found, status: this.#statusOf(found.one.exportId) }))
      .filter(({ found, status }) => this.#isFree(found) && status.retryAtMs <= nowMs)
      .filter(({ found, status }) => hasWork(found, status, nowMs))
      .sort((a, b) => a.status.lastAttempt - b.status.lastAttempt);
    for (const { found, status } of waiting.slice(0, Math.max(0, AT_ONCE_MAX - this.#busy.size))) {
      void this.#run(found, status);
    }
  }

  #isFree({ one }: WorkingExport): boolean {
    return !this.#busy.has(one.exportId);
  }

  async #run(found: WorkingExport, status: ExportStatus): Promise<void> {
    const { commander, writer, random, log } = this.#options;
    const abort = new AbortController();
    this.#busy.add(found.one.exportId);
    status.running = abort;
    status.isOfOpenExport = found.one.closedAtMs === 0;
    status.lastAttempt = ++this.#attempts;
    try {
      const options = { commander, writer, status, nowMs: this.#nowMs() };
      await takeTurn(found, options, abort.signal);
      status.succeeded();
    } catch (error) {
      if (!abort.signal.aborted) {
        const message = error instanceof Error ? error.message : String(error);
        status.failed(message, this.#nowMs(), random);
        log.warn("export failed", {
          export: found.one.name,
          failures: status.failures,
          error: message,
        });
      }
    }
    status.running = null;
    this.#busy.delete(found.one.exportId);
    this.#next();
  }

  /** Looks at once: there may be a range after the one that was written. */
  #next(): void {
    this.#cancel?.();
    this.#cancel = null;
    this.#lookLater(0);
  }
}

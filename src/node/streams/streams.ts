import type { Clock } from "../../env/clock.ts";
import type { Machine } from "../../machine/machine.ts";
import type { Logger } from "../../metrics/log.ts";
import type { ViewSample } from "../../metrics/sources.ts";
import { DecoderCache } from "../../stream/codecs/decoder-cache.ts";
import type { Emit } from "../events.ts";
import type { Linearizer } from "../reads/linearizer.ts";
import { Slicer } from "../slicer.ts";
import type { StreamApi } from "../stream-api.ts";
import type { Commander } from "../writes/commander.ts";
import { QueryRunner } from "./query-runner.ts";
import { Views } from "./views.ts";

export type StreamsOptions = {
  readonly machine: Machine;
  readonly commander: Commander;
  readonly clock: Clock;
  readonly log: Logger;
  readonly replica: {
    readonly isLeader: boolean;
    readonly linearizer: Pick<Linearizer, "catchUp">;
  };
  readonly emit: Emit;
};

/** Stream processing on this node: queries and joins on demand, views in the background. */
export class Streams implements StreamApi {
  readonly #runner: QueryRunner;
  readonly #views: Views;

  constructor(options: StreamsOptions) {
    const slicer = new Slicer(options.clock);
    const decoders = new DecoderCache();
    this.#runner = new QueryRunner(options.machine, options.replica.linearizer, slicer, decoders);
    const { replica, emit } = options;
    this.#views = new Views({
      ...options,
      isLeader: () => replica.isLeader,
      fault: (error) => emit({ type: "failed", error }),
      slicer,
      decoders,
    });
  }

  readonly query: StreamApi["query"] = (request) => this.#runner.query(request);
  readonly join: StreamApi["join"] = (request) => this.#runner.join(request);
  readonly putView: StreamApi["putView"] = (name, body) => this.#views.put(name, body);
  readonly deleteView: StreamApi["deleteView"] = (name) => this.#views.delete(name);
  readonly getView: StreamApi["getView"] = (name, signal) =>
    this.#runner.inSlot(signal, () => this.#views.get(name, signal));
  readonly listViews: Views["list"] = () => this.#views.list();
  readonly topicOfView: Views["topicOf"] = (name) => this.#views.topicOf(name);

  /** Called at most once per event-loop iteration, after the machine has applied entries. */
  applied(): void {
    this.#views.applied();
  }

  /** Returns samples for metrics. */
  viewLags(): readonly ViewSample[] {
    return this.#views.lags();
  }

  /** Saves the views on the leader. Called while the node still accepts writes. */
  stop(): Promise<void> {
    return this.#views.stop();
  }
}

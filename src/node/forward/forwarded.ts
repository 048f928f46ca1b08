import type { ByteWriter } from "../../lib/bytes.ts";
import type {
  KvPutOutcome,
  KvPutRequest,
  LaterApi,
  NodeApi,
  ProduceOutcome,
  ProduceRequest,
  ProducersApi,
  Rejected,
} from "../api.ts";
import { writeCall, writeKvPut, writeProduce } from "./command-codec.ts";
import type { Outcome } from "./outcome-codec.ts";

/** The writes that cross a link as a name and JSON. Names and arguments are part of the protocol. */
export type ForwardedCalls = Pick<
  NodeApi,
  | "commitOffset"
  | "createTopic"
  | "deleteTopic"
  | "deleteBefore"
  | "setRetention"
  | "kvDelete"
  | "kvDeleteNamespace"
> & {
  readonly forgetProducer: ProducersApi["forget"];
  readonly schedule: LaterApi["schedule"];
};

/** The writes of this node, which only the leader accepts. They are never forwarded. */
export type LocalWrites = Pick<NodeApi, "produce" | "kvPut"> & { readonly calls: ForwardedCalls };

const UNKNOWN: Rejected<"commit_timeout"> = {
  ok: false,
  code: "commit_timeout",
  message:
    "The leader did not answer in time, or the link to it was lost; the outcome is unknown; a retry with the same idempotency key or cas is safe",
};

/** A write that waits for the leader. It is settled exactly once. */
export abstract class Forwarded {
  /** Size in the queue. */
  readonly bytes: number;
  /** Until when it may wait to be sent, in monotonic microseconds. */
  readonly deadlineUs: number;

  constructor(bytes: number, deadlineUs: number) {
    this.bytes = bytes;
    this.deadlineUs = deadlineUs;
  }

  abstract write(writer: ByteWriter, budgetMs: number): void;
  /** Executes the write on this node, which has become the leader. */
  abstract runHere(local: LocalWrites, budgetMs: number): void;
  /** @param outcome null: unknown. */
  abstract settle(outcome: Outcome | null): void;
}

export class ForwardedProduce extends Forwarded {
  readonly #request: ProduceRequest;
  readonly #done: (outcome: ProduceOutcome) => void;

  constructor(
    request: ProduceRequest,
    done: (outcome: ProduceOutcome) => void,
    deadlineUs: number,
  ) {
    super(request.records.bytes.length, deadlineUs);
    this.#request = request;
    this.#done = done;
  }

  override write(writer: ByteWriter, budgetMs: number): void {
    writeProduce(writer, this.#request, budgetMs);
  }

  override runHere(local: LocalWrites, budgetMs: number): void {
    const timeoutMs = this.#request.timeoutMs === null ? null : budgetMs;
    local.produce({ ...this.#request, timeoutMs }, this.#done);
  }

  override settle(outcome: Outcome | null): void {
    this.#done((outcome as ProduceOutcome | null) ?? UNKNOWN);
  }
}

export class ForwardedPut extends Forwarded {
  readonly #request: KvPutRequest;
  readonly #done: (outcome: KvPutOutcome) => void;

  constructor(request: KvPutRequest, done: (outcome: KvPutOutcome) => void, deadlineUs: number) {
    super(request.value.length + request.key.length, deadlineUs);
    this.#request = request;
    this.#done = done;
  }

  override write(writer: ByteWriter, budgetMs: number): void {
    writeKvPut(writer, this.#request, budgetMs);
  }

  override runHere(local: LocalWrites, budgetMs: number): void {
    const timeoutMs = this.#request.timeoutMs === null ? null : budgetMs;
    local.kvPut({ ...this.#request, timeoutMs }, this.#done);
  }

  override settle(outcome: Outcome | null): void {
    this.#done((outcome as KvPutOutcome | null) ?? UNKNOWN);
  }
}

export type AnyCall = (...given: readonly unknown[]) => Promise<unknown>;

export class ForwardedCall extends Forwarded {
  readonly #name: keyof ForwardedCalls;
  readonly #given: readonly unknown[];
  readonly #resolve: (outcome: unknown) => void;

  constructor(
    name: keyof ForwardedCalls,
    given: readonly unknown[],
    resolve: (outcome: unknown) => void,
    deadlineUs: number,
  ) {
    super(bytesOf(given), deadlineUs);
    this.#name = name;
    this.#given = given;
    this.#resolve = resolve;
  }

  override write(writer: ByteWriter, budgetMs: number): void {
    writeCall(writer, this.#name, withTimeout(this.#given, budgetMs), budgetMs);
  }

  override runHere(local: LocalWrites, budgetMs: number): void {
    const call = local.calls[this.#name] as AnyCall;
    this.#resolve(call(...withTimeout(this.#given, budgetMs)));
  }

  override settle(outcome: Outcome | null): void {
    this.#resolve(outcome ?? UNKNOWN);
  }
}

type Timed = { readonly timeoutMs: number | null };

/** The `timeout_ms` of a request that has one. */
export function timeoutOf([request]: readonly unknown[]): number | null {
  if (typeof request !== "object" || request === null || !("timeoutMs" in request)) return null;
  return (request as Timed).timeoutMs;
}

function withTimeout(given: readonly unknown[], budgetMs: number): readonly unknown[] {
  if (timeoutOf(given) === null) return given;
  const [request, ...others] = given;
  return [{ ...(request as Timed), timeoutMs: budgetMs }, ...others];
}

const CALL_BYTES = 512;

/** Only a scheduled record is large. */
function bytesOf([request]: readonly unknown[]): number {
  const { records } = (request ?? {}) as Partial<Pick<ProduceRequest, "records">>;
  return CALL_BYTES + (records?.bytes.length ?? 0);
}

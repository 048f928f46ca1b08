import type { ByteWriter } from "../../lib/bytes.ts";
import type { NodeId } from "../../lib/ids.ts";
import type {
  CreateStreamRequest,
  KvPutOutcome,
  KvPutRequest,
  NodeApi,
  ProduceOutcome,
  ProduceRequest,
  Rejected,
} from "../api.ts";
import { CALL_RULES, type CallName, type ForwardedCalls } from "./calls.ts";
import { writeCall, writeKvPut, writeProduce } from "./command-codec.ts";
import type { Outcome } from "./outcome-codec.ts";

/** The writes of this node, which only the leader accepts. They are never forwarded. */
export type LocalWrites = Pick<NodeApi, "produce" | "kvPut"> & { readonly calls: ForwardedCalls };

const UNKNOWN: Rejected<"commit_timeout"> = {
  ok: false,
  code: "commit_timeout",
  message:
    "The leader did not answer in time, or the link to it was lost; the outcome is unknown; a retry with the same idempotency key or cas is safe",
};

/** The id of a command on its way to a node. */
export type SentAs = { readonly peer: NodeId; readonly id: number };

/** A write that waits for the leader. It is settled exactly once. */
export abstract class Forwarded {
  /** Size in the queue. */
  readonly bytes: number;
  /** Until when it may wait to be sent, in monotonic microseconds. */
  readonly deadlineUs: number;
  /** Its outcome may take this long in addition. */
  readonly waitUs: number = 0;
  /** Waits on the leader, so it takes no room on the link. */
  readonly isPoll: boolean = false;
  /** Not sent again after a refusal. */
  readonly isOnce: boolean = false;
  /** Where its outcome comes from; null: it is not on its way. */
  sentAs: SentAs | null = null;

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
  readonly #name: CallName;
  readonly #given: readonly unknown[];
  readonly #signal: AbortSignal | null;
  readonly #resolve: (outcome: unknown) => void;
  override readonly waitUs: number;
  override readonly isPoll: boolean;
  override readonly isOnce: boolean;

  /** @param signal for a call that waits. */
  constructor(
    name: CallName,
    given: readonly unknown[],
    signal: AbortSignal | null,
    resolve: (outcome: unknown) => void,
    deadlineUs: number,
  ) {
    super(bytesOf(given), deadlineUs);
    const { waits = false, isOnce = false } = CALL_RULES[name];
    this.#name = name;
    this.#given = given;
    this.#signal = signal;
    this.#resolve = resolve;
    this.isPoll = waits;
    this.isOnce = isOnce;
    this.waitUs = waits ? (given[0] as Waiting).waitMs * 1000 : 0;
  }

  override write(writer: ByteWriter, budgetMs: number): void {
    writeCall(writer, this.#name, withTimeout(this.#given, budgetMs), budgetMs);
  }

  override runHere(local: LocalWrites, budgetMs: number): void {
    const call = local.calls[this.#name] as AnyCall;
    const given = withTimeout(this.#given, budgetMs);
    this.#resolve(this.#signal === null ? call(...given) : call(...given, this.#signal));
  }

  override settle(outcome: Outcome | null): void {
    this.#resolve(outcome ?? UNKNOWN);
  }
}

type Waiting = { readonly waitMs: number };
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

/** Records are the only arguments that are large. */
function bytesOf([request]: readonly unknown[]): number {
  const { records } = (request ?? {}) as Partial<Pick<CreateStreamRequest, "records">>;
  return CALL_BYTES + (records?.bytes.length ?? 0);
}

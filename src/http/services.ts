/** The dependencies that the handlers of all routes share. */
import type { NodeApi } from "../node/api.ts";
import type { AnswerStreams } from "./answer-streams.ts";
import type { Compat } from "./compat.ts";
import type { Compression } from "./compression.ts";
import type { FollowLimit } from "./follow-limit.ts";
import type { HttpOptions } from "./options.ts";
import type { ErrorMapper } from "./responses.ts";

export type Services = {
  readonly node: NodeApi;
  readonly options: HttpOptions;
  readonly compat: Compat;
  readonly errorMapper: ErrorMapper;
  /** Aborted when the server begins to stop: waits end and streams close. */
  readonly stopping: AbortSignal;
  /** Lifts the idle timeout from a request whose response may take long. */
  readonly allowLong: (request: Request) => void;
  /** Responses that are sent in pieces, and the budget of their bytes. */
  readonly answers: AnswerStreams;
  readonly followLimit: FollowLimit;
  readonly compression: Compression;
  /** Sends a request to the leader. @returns null if no other node leads. */
  readonly askLeader: (request: Request) => Promise<Response | null>;
};

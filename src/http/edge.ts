/** What the handlers of all routes share. */
import type { NodeApi } from "../node/api.ts";
import type { Rejections } from "./answers.ts";
import type { Compat } from "./compat.ts";
import type { HttpOptions } from "./options.ts";

export type Edge = {
  readonly node: NodeApi;
  readonly options: HttpOptions;
  readonly compat: Compat;
  readonly rejections: Rejections;
  /** Aborted when the server begins to stop: waits end and streams close. */
  readonly stopping: AbortSignal;
  /** Lifts the idle timeout from a request whose answer may take long. */
  readonly allowLong: (request: Request) => void;
  /** Takes that back: a client that takes nothing for minutes is cut off. */
  readonly limitIdle: (request: Request) => void;
  /** Requests whose answers are streams that have not ended. */
  readonly streaming: Set<Request>;
};

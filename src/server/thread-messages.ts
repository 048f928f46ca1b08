/** Messages between the main thread and the thread that serves HTTP. */
import type { Config } from "../config/config.ts";
import type { PortMessage } from "../node/port/message.ts";

export type ToHttpThread =
  | { readonly kind: "start"; readonly config: Config }
  | { readonly kind: "port"; readonly message: PortMessage }
  /** Reload the certificate files. */
  | { readonly kind: "reload" }
  | { readonly kind: "stop"; readonly graceMs: number };

export type FromHttpThread =
  /** The thread accepts messages from now on. */
  | { readonly kind: "ready" }
  | { readonly kind: "listening"; readonly url: string }
  /** The thread could not start, for a reason that the operator can correct. */
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "port"; readonly message: PortMessage }
  | { readonly kind: "stopped" };

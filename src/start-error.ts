import { ConfigError } from "./config.ts";
import { CannotListen } from "./env/cannot-listen.ts";
import { TlsUnusable } from "./env/tls-identity.ts";
import { TokenSpecError } from "./http/token-spec.ts";

/** Errors of the start that are the operator's to mend: shown without a stack. */
export const isStartError = (error: unknown): error is Error =>
  error instanceof ConfigError ||
  error instanceof TokenSpecError ||
  error instanceof CannotListen ||
  error instanceof TlsUnusable ||
  (error instanceof Error && /Damaged$|Unsupported$|^Disk/.test(error.name)) ||
  (error instanceof Error && "code" in error && typeof error.code === "string");

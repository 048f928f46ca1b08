import { ConfigError } from "../config/config.ts";
import { CannotListen } from "../env/cannot-listen.ts";
import { TlsUnusable } from "../env/tls-identity.ts";
import { TokenSpecError } from "../http/token-spec.ts";

/** Errors of the start that the operator can correct. They are printed without a stack trace. */
export const isStartError = (error: unknown): error is Error =>
  error instanceof ConfigError ||
  error instanceof TokenSpecError ||
  error instanceof CannotListen ||
  error instanceof TlsUnusable ||
  (error instanceof Error && /Damaged$|Unsupported$|^Disk/.test(error.name)) ||
  (error instanceof Error && "code" in error && typeof error.code === "string");

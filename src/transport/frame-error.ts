export type FrameErrorCode =
  | "too_short"
  | "version"
  | "header_checksum"
  | "length"
  | "payload_checksum"
  | "kind"
  | "shard"
  | "session"
  | "payload"
  | "unexpected"
  | "sender";

/**
 * Thrown for bytes that a correct peer does not send. The link is closed, and the frame has no
 * effect.
 */
export class FrameError extends Error {
  override readonly name = "FrameError";
  readonly code: FrameErrorCode;

  constructor(code: FrameErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

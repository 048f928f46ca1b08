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

/** Bytes that no honest peer sends on this link. The link is dropped; nothing of it was acted on. */
export class FrameError extends Error {
  override readonly name = "FrameError";
  readonly code: FrameErrorCode;

  constructor(code: FrameErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

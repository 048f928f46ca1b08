import { ApiError, shown } from "../errors.ts";
import { decodePercent } from "../raw-url.ts";
import type { RequestContext } from "../request-context.ts";
import { STREAM_ROOT } from "./cross-origin.ts";

export const PATH_BYTES_MAX = 1024;
/** Paths below it are control routes, not streams. */
export const CONTROL = "__ds";

export const isControl = (path: string): boolean =>
  path === CONTROL || path.startsWith(`${CONTROL}/`);

/** Checks the path of a stream, already decoded. */
export function checkStream(path: string): string {
  const bytes = Buffer.byteLength(path);
  if (bytes < 1 || bytes > PATH_BYTES_MAX) {
    throw new ApiError(
      "invalid_stream",
      `The path of the stream has ${bytes} bytes; it must have 1 to ${PATH_BYTES_MAX}`,
    );
  }
  const segments = path.split("/");
  if (isControl(path)) {
    throw new ApiError("invalid_stream", `Paths below ${CONTROL} are reserved`);
  }
  if (segments.some((segment) => segment === "" || segment === "." || segment === "..")) {
    const message = `The path of the stream is ${shown(path)}: it must not have segments that are empty, "." or ".."`;
    throw new ApiError("invalid_stream", message);
  }
  return path;
}

export const streamOf = (context: RequestContext): string => checkStream(context.pathText("*"));

/** Reads the header that names the source of a fork, such as `/v1/stream/chat/1`. */
export function sourceOf(header: string): string {
  const root = `${STREAM_ROOT}/`;
  if (!header.startsWith(root)) {
    throw new ApiError(
      "invalid_stream",
      `Stream-Forked-From is ${shown(header)}: it must be the path of a stream, ${root}…`,
    );
  }
  return checkStream(decodePercent(header.slice(root.length), "Stream-Forked-From", false));
}

/** Removes slashes at both ends, as the bodies of subscriptions may have them. */
export const trimSlashes = (path: string): string => path.replace(/^\/+|\/+$/g, "");

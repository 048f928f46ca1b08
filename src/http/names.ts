import { ApiError, type ErrorCode, shown } from "./errors.ts";

const NAME_LENGTH_MAX = 249;
export const KEY_BYTES_MAX = 1024;
const COLON = 58;

export const checkTopic = (name: string): string =>
  checkName(name, "Topic", "invalid_topic", false);
export const checkGroup = (name: string): string => checkName(name, "Group", "invalid_group", true);
/** @throws ApiError as for any other parameter. */
export const checkMember = (name: string): string =>
  checkName(name, "member", "invalid_parameter", true);
export const checkNamespace = (name: string): string =>
  checkName(name, "Namespace", "invalid_namespace", false);
export const checkQueue = (name: string): string =>
  checkName(name, "Queue", "invalid_queue", false);
export const checkWebhook = (name: string): string =>
  checkName(name, "Webhook", "invalid_webhook", false);
export const checkExport = (name: string): string =>
  checkName(name, "Export", "invalid_export", false);
export const checkCron = (name: string): string =>
  checkName(name, "Schedule", "invalid_schedule", false);
/** The name of a schedule, or the id of records that wait. */
export const checkSchedule = (name: string): string =>
  checkName(name, "Schedule", "invalid_schedule", true);
export const checkView = (name: string): string => checkName(name, "View", "invalid_view", false);

function checkName(name: string, what: string, code: ErrorCode, colon: boolean): string {
  if (isName(name, colon)) return name;
  if (name === "" && code === "invalid_topic") throw new ApiError("missing_topic");
  throw new ApiError(
    code,
    `${what} is ${shown(name)}: it must have 1 to ${NAME_LENGTH_MAX} characters of ` +
      `A-Z a-z 0-9 . _ -${colon ? " :" : ""} and must not be "." or ".."`,
  );
}

function isName(name: string, colon: boolean): boolean {
  const { length } = name;
  if (length === 0 || length > NAME_LENGTH_MAX || name === "." || name === "..") return false;
  for (let i = 0; i < length; i++) {
    const code = name.charCodeAt(i);
    if (!isNameCharacter(code) && !(colon && code === COLON)) return false;
  }
  return true;
}

const isNameCharacter = (code: number): boolean =>
  (code >= 97 && code <= 122) ||
  (code >= 65 && code <= 90) ||
  (code >= 48 && code <= 57) ||
  code === 45 ||
  code === 46 ||
  code === 95;

/** Checks a KV key from the path, already decoded. */
export function checkKey(key: string): string {
  const bytes = Buffer.byteLength(key);
  if (bytes >= 1 && bytes <= KEY_BYTES_MAX) return key;
  throw new ApiError(
    "invalid_key",
    `The key has ${bytes} bytes; it must have 1 to ${KEY_BYTES_MAX}`,
  );
}

/** Dead-letter topics of queues and webhooks. */
import { ApiError } from "./errors.ts";
import type { RequestContext } from "./request-context.ts";

const TOPIC_LENGTH_MAX = 249;

/**
 * @param given the field `dead_letter`; absent: a topic that is named after the queue or webhook.
 * @param owner "queue" or "webhook".
 */
export function deadLetterOf(
  owner: string,
  name: string,
  topic: string,
  given: string | null | undefined,
): string | null {
  const deadLetter = given === undefined ? `${name}.dead` : given;
  if (deadLetter !== null && deadLetter.length > TOPIC_LENGTH_MAX) {
    throw new ApiError(
      "invalid_field",
      `Field "dead_letter" is absent, and "${deadLetter}" is longer than the 249 characters of a topic name: give a topic or null`,
    );
  }
  if (deadLetter === topic) {
    throw new ApiError(
      "invalid_field",
      `Field "dead_letter" is "${topic}": it must be another topic than the one of the ${owner}, or null`,
    );
  }
  return deadLetter;
}

export type DeadLetterUse = {
  readonly deadLetter: string | null;
  /** The dead-letter topic so far. */
  readonly before: string | null | undefined;
  readonly isDefault: boolean;
  readonly exists: (topic: string) => Promise<boolean> | boolean;
};

/**
 * A queue writes into its dead-letter topic, so a topic that others use needs a scope of its own. The
 * default topic of a new queue does not exist yet.
 */
export async function demandDeadLetter(
  context: RequestContext,
  { deadLetter, before, isDefault, exists }: DeadLetterUse,
): Promise<void> {
  if (deadLetter === null) return;
  const isOwn = isDefault && !(await exists(deadLetter));
  if (isOwn || deadLetter === before) return;
  if (!context.principal.may("admin", deadLetter)) context.demand("write", deadLetter);
}

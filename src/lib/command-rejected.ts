/** The result of a command that the replicated state refuses; nothing was changed. */
export type CommandRejected<Code extends string, Detail = number | string> = {
  readonly ok: false;
  readonly code: Code;
  /** The fields that the HTTP contract names for the code. */
  readonly details: Readonly<Record<string, Detail>>;
};

/** Makes the rejections of one part of the state, whose codes are `All`. */
export type Rejecting<All extends string, Detail = number | string> = <Code extends All>(
  code: Code,
  details?: Readonly<Record<string, Detail>>,
) => CommandRejected<Code, Detail>;

const NO_DETAILS = {};

export const commandRejected = <Code extends string, Detail>(
  code: Code,
  details: Readonly<Record<string, Detail>> = NO_DETAILS,
): CommandRejected<Code, Detail> => ({ ok: false, code, details });

/** Rules of a join that its request does not name; the caller chooses them. */
export type JoinRules = {
  /** `text`: keys compare as the text that they print, so 7 equals "7". */
  readonly keysAs: "value" | "text";
  /** Pairs that `dedupe_once` may take. `in_order`: the left offset is not above the right one. */
  readonly oncePairs: "any" | "in_order";
};

export const DEFAULT_JOIN_RULES: JoinRules = { keysAs: "value", oncePairs: "any" };

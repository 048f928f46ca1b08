/** Errors, and the redirect to the leader. */
import { Type as t } from "@sinclair/typebox";
import { natural, type Wire } from "./common.ts";

export const ERROR = t.Object({
  ok: t.Literal(false),
  error: t.String({ description: "Stable code in snake_case" }),
  message: t.String({ description: "The invalid value, and what is allowed" }),
  docs: t.String(),
});
export type Error = Wire<typeof ERROR>;
export const REDIRECT = t.Object({
  ok: t.Literal(false),
  error: t.Literal("redirect_to_leader"),
  message: t.String(),
  docs: t.String(),
  leader_url: t.String({ description: "Scheme, host and port of the leader" }),
  redirect: t.Object({ status: natural("307 or 308"), location: t.String() }),
});
export type Redirect = Wire<typeof REDIRECT>;

import type { NodeId } from "../lib/ids.ts";

/** Where a node is reached. */
export type MemberAddress = {
  readonly id: NodeId;
  readonly host: string;
  readonly raftPort: number;
  readonly httpPort: number;
  /** Higher is preferred as leader; never outweighs a log. */
  readonly priority: number;
};

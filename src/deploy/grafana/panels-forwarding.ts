/** The panels of writes that followers forward to the leader. `panels.ts` places them. */
import { type Panel, query, rate } from "./panel.ts";

export const FORWARDING: readonly Panel[] = [
  {
    title: "Forwarded writes",
    about:
      "Writes that followers sent to the leader over the links between the nodes, and that it received.",
    kind: "lines",
    unit: "cps",
    queries: [
      query("sent {{instance}}", rate("ayder_forwarded_commands_total{}")),
      query("received {{instance}}", rate("ayder_forwarded_served_total{}")),
      query("bytes {{instance}}", rate("ayder_forwarded_bytes_total{}")),
      query("in flight {{instance}}", "ayder_forwards_in_flight{}"),
    ],
  },
  {
    title: "Forwarded writes without success",
    about:
      "Sent again: the leader had changed. Unknown: the link was lost or the leader was late, answered 504. Unsent: there was no leader in time, answered 503.",
    kind: "lines",
    unit: "cps",
    queries: [
      query("again {{instance}}", rate("ayder_forwarded_again_total{}")),
      query("unknown {{instance}}", rate("ayder_forwarded_unknown_total{}")),
      query("unsent {{instance}}", rate("ayder_forwarded_unsent_total{}")),
    ],
  },
];

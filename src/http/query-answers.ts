/** Bodies of the answers of queries, joins and views. Their rows come as JSON text. */
import type { Joined, Queried, View } from "../api/queries.ts";
import type { JoinAnswer, QueryAnswer, ReadCounts, ViewAnswer } from "../node/api.ts";

export function queryBody(answer: QueryAnswer): string {
  const { topic, group, partition, nextOffset, truncated, rowsNextOffset } = answer;
  const source: Queried["source"] = {
    topic,
    group,
    partition,
    next_offset: nextOffset,
    truncated,
    rows_next_offset: rowsNextOffset,
    ...countsOf(answer),
  };
  return `{"ok":true,"rows":${answer.rows},"aggregates":${answer.aggregates},"truncated":${truncated},"source":${JSON.stringify(source)}}`;
}

export function joinBody({ rows, nextOffsets, stats }: JoinAnswer): string {
  const { truncated } = stats;
  const fields: Record<keyof Joined["stats"], number | bigint | boolean | null> = {
    left_scanned: stats.leftScanned,
    right_scanned: stats.rightScanned,
    rows: stats.rows,
    late: stats.late,
    watermark_ms: stats.watermarkMs,
    outer_left: stats.outerLeft,
    outer_right: stats.outerRight,
    dedupe_once: stats.dedupeOnce,
    undecodable: stats.undecodable,
    untimed: stats.untimed,
    truncated,
  };
  const next: Joined["next_offsets"] = { left: nextOffsets.left, right: nextOffsets.right };
  return `{"ok":true,"rows":${rows},"truncated":${truncated},"next_offsets":${JSON.stringify(next)},"stats":${exactText(fields)}}`;
}

export function viewBody(answer: ViewAnswer): string {
  const source: View["source"] = {
    topic: answer.topic,
    partitions: answer.partitions.map(({ partition, nextOffset }) => ({
      partition,
      next_offset: nextOffset,
    })),
    ...countsOf(answer),
    skipped: answer.skipped,
    evicted_groups: answer.evictedGroups,
    retained_from_ms: answer.retainedFromMs,
    late: answer.late,
    overflow: answer.overflow,
  };
  const view = JSON.stringify(answer.view);
  return `{"ok":true,"view":${view},"aggregates":${answer.aggregates},"truncated":${answer.truncated},"source":${JSON.stringify(source)},"lag":${answer.lag}}`;
}

const countsOf = ({ consumed, undecodable, untimed, outOfRange }: ReadCounts) => ({
  consumed,
  undecodable,
  untimed,
  out_of_range: outOfRange,
});

/** As `JSON.stringify`, which does not take a `bigint`. */
function exactText(fields: Readonly<Record<string, number | bigint | boolean | null>>): string {
  const texts = Object.entries(fields).map(([name, value]) => `"${name}":${value}`);
  return `{${texts.join(",")}}`;
}

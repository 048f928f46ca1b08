/** Streams a checkpoint of the running node as an archive, as fast as the client reads it. */

import { NO_QUERY } from "../../api/common.ts";
import type { Backup } from "../../node/api.ts";
import { type AnswerSource, nextTurn } from "../answer-streams.ts";
import type { Endpoint } from "../request-context.ts";
import { headOfPieces } from "../responses.ts";
import type { Services } from "../services.ts";

export const backupEndpoint = (services: Services): Endpoint => ({
  method: "GET",
  path: "/admin/backup",
  access: { kind: "node", scope: "admin" },
  leaderOnly: false,
  query: NO_QUERY,
  docs: {
    summary:
      "An archive of everything, as of one log index; the Ayder-Backup-Index header names it",
    tag: "admin",
    answer: "bytes",
    answerHeaders: {
      "Ayder-Backup-Index": "Log index of the archive",
      "Ayder-Backup-Term": "Its term",
      "Ayder-Backup-Bytes": "About how long the archive is",
    },
    errors: ["no_leader", "no_quorum", "overloaded", "disk_full"],
  },
  handle: async (context) => {
    if (context.isHead) return headOfPieces(new Headers(CONTENT));
    // The connection is idle until the checkpoint is complete.
    services.allowLong(context.request);
    const begun = await services.node.beginBackup();
    if (!begun.ok) return services.errorMapper.answer(context, begun);
    const { index, term, bytes } = begun.backup;
    const headers = {
      ...CONTENT,
      "content-disposition": `attachment; filename="ayder-${index}.backup"`,
      "ayder-backup-index": String(index),
      "ayder-backup-term": String(term),
      "ayder-backup-bytes": String(bytes),
    };
    return services.answers.stream(context.request, sourceOf(services, begun.backup), { headers });
  },
});

const CONTENT = { "content-type": "application/octet-stream", "cache-control": "no-store" };

function sourceOf({ options: { log }, stopping, answers }: Services, backup: Backup): AnswerSource {
  return {
    until: stopping,
    next: async () => {
      await nextTurn();
      stopping.throwIfAborted();
      try {
        const piece = await backup.next();
        answers.budget.add(piece?.length ?? 0);
        return piece;
      } catch (error) {
        // The client receives an archive without its end, which every reader rejects.
        log.error("backup was interrupted", { error: String(error) });
        throw error;
      }
    },
    ended: () => {
      backup.release().catch((error: unknown) => log.error("backup", { error: String(error) }));
    },
  };
}

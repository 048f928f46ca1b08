/** A running node's checkpoint as one archive, made as fast as the client takes it. */
import type { Backup } from "../../node/api.ts";
import type { Call, Endpoint } from "../call.ts";
import type { Edge } from "../edge.ts";
import { NO_QUERY } from "../schemas.ts";

export const backupEndpoint = (edge: Edge): Endpoint => ({
  method: "GET",
  path: "/admin/backup",
  access: { kind: "node", scope: "admin" },
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
  handle: async (call) => {
    if (call.isHead) return new Response(null, { headers: CONTENT });
    // Nothing moves on the connection until the checkpoint is there.
    edge.allowLong(call.request);
    const begun = await edge.node.beginBackup();
    if (!begun.ok) return edge.rejections.answer(call, begun);
    // But a client that stops reading must not hold the files for ever.
    edge.limitIdle(call.request);
    const { index, term, bytes } = begun.backup;
    const headers = {
      ...CONTENT,
      "content-disposition": `attachment; filename="ayder-${index}.backup"`,
      "ayder-backup-index": String(index),
      "ayder-backup-term": String(term),
      "ayder-backup-bytes": String(bytes),
    };
    return new Response(bodyOf(edge, call, begun.backup), { headers });
  },
});

const CONTENT = { "content-type": "application/octet-stream", "cache-control": "no-store" };

/** Without a queue of its own, so that a piece is made only when the socket takes one. */
function bodyOf(edge: Edge, call: Call, backup: Backup): ReadableStream<Uint8Array> {
  const { log } = edge.options;
  const ended = AbortSignal.any([call.request.signal, edge.stopping]);
  const release = () => {
    ended.removeEventListener("abort", release);
    edge.streaming.delete(call.request);
    backup.release().catch((error: unknown) => log.error("backup", { error: String(error) }));
  };
  ended.addEventListener("abort", release);
  edge.streaming.add(call.request);
  // Gone while the checkpoint was taken: nobody may ever pull.
  if (ended.aborted) release();
  return new ReadableStream(
    {
      pull: async (controller) => {
        try {
          ended.throwIfAborted();
          const bytes = await backup.next();
          if (bytes !== null) return controller.enqueue(bytes);
          controller.close();
        } catch (error) {
          // The client sees an archive without its end, which is none.
          if (!ended.aborted) log.error("backup was interrupted", { error: String(error) });
          controller.error(error);
        }
        release();
      },
      cancel: release,
    },
    { highWaterMark: 0 },
  );
}

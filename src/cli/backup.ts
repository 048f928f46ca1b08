/** `ayder backup`: writes the state of a running server to one file or object. */
import { readBounded } from "../client/answer-body.ts";
import { helpUrlOf } from "../client/errors.ts";
import { decodeText } from "../client/values.ts";
import { type ArchiveTarget, ArchiveUnavailable } from "../env/archive.ts";
import { StreamSource } from "../offline/stream-source.ts";
import { BackupReader } from "../storage/backup/reader.ts";
import { createArchive, explained, PLACE_NOTES } from "./archive-place.ts";
import { listBackups, pruneBackups } from "./backup-catalog.ts";
import { type Arguments, type Command, EXIT, type Io } from "./command.ts";
import { proxyOption, viaProxy } from "./proxy.ts";
import { baseUrls, serverUrls, tellHelp, tokenFor, URL_OPTION } from "./server.ts";
import { bytesText } from "./table.ts";
import { visible } from "./visible.ts";

export const BACKUP: Command = {
  name: "backup",
  summary: "write the state of a running server to a file or bucket; list, prune",
  actions: [
    { name: "", operands: "<file|s3://bucket/name>", summary: "write a backup", run: runBackup },
    {
      name: "list",
      operands: "<dir|s3://bucket/prefix>",
      summary: "list the backups in a directory or bucket, the newest first",
      run: listBackups,
    },
    {
      name: "prune",
      operands: "<dir|s3://bucket/prefix>",
      summary: "remove all but the newest backups, see --keep",
      run: pruneBackups,
    },
  ],
  options: {
    url: { ...URL_OPTION.url, only: [""] },
    keep: {
      type: "string",
      value: "N",
      only: ["prune"],
      help: "newest complete backups of each cluster that stay",
    },
    "dry-run": { type: "boolean", only: ["prune"], help: "print what would be removed" },
    json: { type: "boolean", help: "print one JSON object" },
  },
  notes: [
    "The archive contains everything that any node of the cluster acknowledged before the call.",
    "It is verified while it is written. It gets its name only when it is complete, and existing",
    "files and objects are never overwritten. The token (AYDER_TOKEN) needs the scope admin.",
    ...PLACE_NOTES,
    "Examples: ayder backup /backups/today.ayder",
    "          ayder backup --url https://node2:8002 s3://backups/ayder/today",
    "          ayder backup list s3://backups/ayder/",
    "          ayder backup prune /backups --keep 7 --dry-run",
  ],
};

const PATH = "/admin/backup";
/** Limit for the body of an error; error objects are much shorter. */
const REFUSAL_BYTES_MAX = 1024 * 1024;

async function runBackup(args: Arguments, io: Io): Promise<number> {
  const place = args.operand(0);
  const response = await ask(args, io);
  if (response === null) return EXIT.unavailable;
  if (response.status !== 200 || response.body === null)
    return await refused(response, io, args.flag("json"));
  const bytes = Number(response.headers.get("ayder-backup-bytes") ?? 0);
  try {
    const target = await createArchive(place, bytes, io);
    const reader = await store(response.body, target, io.interrupted);
    await io.out(summary(place, reader, args.flag("json")));
    return EXIT.ok;
  } catch (error) {
    return explained(error, io);
  } finally {
    await response.body.cancel().catch(() => undefined);
  }
}

/** Returns the response of the first server that can be reached. */
async function ask(args: Arguments, io: Io): Promise<Response | null> {
  const urls = serverUrls(args, io);
  const token = tokenFor(urls, io);
  for (const url of baseUrls(urls)) {
    try {
      return await fetch(url + PATH, {
        redirect: "manual",
        proxy: proxyOption(url, io.environment),
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
        signal: io.interrupted,
        // Writing the checkpoint of a large node takes a while.
        timeout: false,
      });
    } catch (error) {
      const via = viaProxy(url, io.environment);
      const reason = error instanceof Error ? error.message : String(error);
      io.err(`ayder: ${url} cannot be reached${via}: ${visible(reason)}\n`);
    }
  }
  return null;
}

async function refused(response: Response, io: Io, json: boolean): Promise<number> {
  const text = decodeText(await readBounded(response, REFUSAL_BYTES_MAX));
  io.err(`ayder: the server answered ${response.status}: ${visible(messageOf(text))}\n`);
  const base = response.url.slice(0, -PATH.length);
  if (!json) tellHelp(helpUrlOf(response.headers.get("link"), base), io);
  return response.status >= 500 ? EXIT.unavailable : EXIT.refused;
}

function messageOf(text: string): string {
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === "object" && body !== null && "message" in body) return String(body.message);
  } catch {
    // The body is not an error of Ayder.
  }
  return text.slice(0, 200);
}

/** Stores the archive and verifies it on the way. @throws unless the whole archive is in place. */
async function store(
  body: ReadableStream<Uint8Array>,
  target: ArchiveTarget,
  interrupted: AbortSignal,
): Promise<BackupReader> {
  try {
    const source = new StreamSource(received(body), async (chunk) => {
      interrupted.throwIfAborted();
      await target.write(chunk);
    });
    const reader = await BackupReader.open(source, "response of the server");
    await reader.check();
    await target.finish();
    return reader;
  } catch (error) {
    await target.abandon();
    throw interrupted.aborted ? new ArchiveUnavailable("interrupted; nothing was stored") : error;
  }
}

async function* received(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  try {
    yield* body;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ArchiveUnavailable(
      `the server cut the backup off (${reason}); see its log. Nothing was stored`,
      { cause },
    );
  }
}

function summary(place: string, reader: BackupReader, json: boolean): string {
  const { head, files } = reader.contents;
  const { index, term, clusterId, nodeId, takenAtMs } = head;
  const bytes = reader.position;
  if (json) {
    const told = { ok: true, place, index, term, cluster_id: clusterId, node_id: nodeId };
    return `${JSON.stringify({ ...told, taken_at_ms: takenAtMs, files: files.length, bytes })}\n`;
  }
  return `${place}: everything up to index ${index} (term ${term}), ${bytesText(bytes)}, checked\n`;
}

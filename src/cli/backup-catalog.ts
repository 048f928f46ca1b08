/** `ayder backup list` and `ayder backup prune`: the archives in a directory or bucket. */
import type { StoredFile } from "../env/archive.ts";
import {
  beyondNewest,
  type CatalogEntry,
  inOrder,
  newestOf,
  readCatalogEntry,
  verifyEntry,
} from "../offline/catalog.ts";
import { explained, listArchives } from "./archive-place.ts";
import { type Arguments, EXIT, type Io, UsageError } from "./command.ts";
import { bytesText, counted, table } from "./table.ts";

/** Heads that are read at the same time. */
const READS_AT_ONCE = 8;

type Catalog = {
  readonly entries: readonly CatalogEntry[];
  /** Number of files that are not backups. */
  readonly others: number;
};

export async function listBackups(args: Arguments, io: Io): Promise<number> {
  const place = args.operand(0);
  try {
    const { entries, others } = await readCatalog(await listArchives(place, io), io);
    if (args.flag("json")) {
      const backups = inOrder(entries).map(row);
      await io.out(`${JSON.stringify({ ok: true, place, backups, other_files: others })}\n`);
    } else await io.out(listing(entries, others));
    return EXIT.ok;
  } catch (error) {
    return explained(error, io);
  }
}

export async function pruneBackups(args: Arguments, io: Io): Promise<number> {
  const place = args.operand(0);
  const keep = args.integer("keep", 1);
  if (keep === undefined) {
    throw new UsageError("nothing to keep: give --keep N, the number of newest backups that stay");
  }
  try {
    const { entries } = await readCatalog(await listArchives(place, io), io);
    const doomed = beyondNewest(entries, keep);
    const isTrial = args.flag("dry-run");
    if (!isTrial) for (const entry of newestOf(entries, doomed)) await verifyEntry(entry);
    for (const { file } of doomed) {
      io.interrupted.throwIfAborted();
      if (!isTrial) await file.remove();
      if (!args.flag("json"))
        await io.out(`${isTrial ? "would remove" : "removed"} ${file.place}\n`);
    }
    const removed = doomed.map(({ file }) => file.place);
    const kept = entries.length - doomed.length;
    const told = { ok: true, place, removed, dry_run: isTrial, kept };
    const text = `${counted(kept, "backup")} kept\n`;
    await io.out(args.flag("json") ? `${JSON.stringify(told)}\n` : text);
    return EXIT.ok;
  } catch (error) {
    return explained(error, io);
  }
}

async function readCatalog(files: readonly StoredFile[], io: Io): Promise<Catalog> {
  const entries: CatalogEntry[] = [];
  for (let i = 0; i < files.length; i += READS_AT_ONCE) {
    io.interrupted.throwIfAborted();
    const found = await Promise.all(files.slice(i, i + READS_AT_ONCE).map(readCatalogEntry));
    for (const entry of found) if (entry !== null) entries.push(entry);
  }
  return { entries, others: files.length - entries.length };
}

const row = ({ file, head, state, problem }: CatalogEntry) => ({
  place: file.place,
  bytes: file.bytes,
  state,
  ...(problem === null ? {} : { problem }),
  ...(head === null
    ? {}
    : {
        taken_at_ms: head.takenAtMs,
        index: head.index,
        term: head.term,
        cluster_id: head.clusterId,
        node_id: head.nodeId,
        format: head.format,
      }),
});

function listing(entries: readonly CatalogEntry[], others: number): string {
  const rows = inOrder(entries).map(({ file, head, state, problem }) => [
    file.place,
    head === null ? null : new Date(head.takenAtMs).toISOString(),
    head?.index,
    bytesText(file.bytes),
    head?.nodeId,
    head?.clusterId,
    head?.format,
    problem === null ? state : `${state}: ${problem}`,
  ]);
  const head = ["PLACE", "TAKEN", "INDEX", "SIZE", "NODE", "CLUSTER", "FORMAT", "STATE"];
  const rest = others === 0 ? "" : `; ${counted(others, "other file")} not listed`;
  const hint = "the length was compared only, ayder verify PLACE reads all of it";
  return `${table(head, rows)}${counted(entries.length, "backup")}${rest}; ${hint}\n`;
}

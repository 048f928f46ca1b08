/** Seeded bugs of the disk: journal, hard state, checkpoints, snapshots, system calls. */
import type { Mutant } from "./mutants.ts";

export const STORAGE_MUTANTS: readonly Mutant[] = [
  {
    name: "durable-watermark-missing",
    file: "src/storage/journal.ts",
    find: "first - 1);\n    this.#encoder.claim(this.#durableIndex, this.#syncedPosition);",
    put: "first - 1);\n    this.#encoder.claim(0, 0);",
    test: "test/storage/journal-damage.test.ts",
  },
  {
    name: "dir-fsync-missing",
    file: "src/storage/journal-spares.ts",
    find: "    await disk.syncDirectory(directory);",
    put: "",
    test: "test/storage/journal-crash.test.ts",
  },
  {
    name: "fsync-error-retried",
    file: "src/storage/journal.ts",
    find: "    await segment.file.sync();\n    this.#syncedPosition = segment.end;\n    this.#appends++;",
    put: "    await segment.file.sync().catch(() => segment.file.sync());\n    this.#syncedPosition = segment.end;\n    this.#appends++;",
    test: "test/node/disk-errors.test.ts",
  },
  {
    name: "short-write-ignored",
    file: "src/env/bun-disk.ts",
    find: '        if (count <= 0) throw new Error("write made no progress");\n        done += count;\n      }\n      return null;',
    put: "        done = bytes.length + count * 0;\n      }\n      return null;",
    test: "test/env/bun-disk.test.ts",
  },
  {
    name: "torn-vote-slot-defaults-to-zero",
    file: "src/storage/hard-state.ts",
    find: "const newest = a !== null && (b === null || a.sequence >= b.sequence) ? a : b;",
    put: "const newest = (a !== null && (b === null || a.sequence >= b.sequence) ? a : b) ?? { sequence: 0, state: INITIAL_HARD_STATE };",
    test: "test/storage/hard-state.test.ts",
  },
  {
    name: "vote-slots-torn-together",
    file: "src/storage/hard-state.ts",
    find: "        if (sync) await this.#file.sync();\n",
    put: "        if (sync && slot === slots.at(-1)) await this.#file.sync();\n",
    test: "test/storage/hard-state.test.ts",
  },
  {
    name: "snapshot-not-atomic",
    file: "src/storage/snapshot-install.ts",
    find: "    transfer.dirty.add(this.#shard);\n    await this.#save(transfer);\n    const { meta }",
    put: "    const { meta }",
    test: "test/storage/snapshot-install.test.ts",
  },
  {
    name: "log-not-reset-after-snapshot",
    file: "src/storage/checkpoint-store.ts",
    find: "if (behind) await journal.resetTo(",
    put: "if (behind && Number(0) === 1) await journal.resetTo(",
  },
  {
    name: "compact-too-far",
    file: "src/storage/checkpoint-store.ts",
    find: "return alone ? 1 : (this.#kept[0]?.name.index ?? 0) + 1;",
    put: "return (this.#kept.at(-1)?.name.index ?? 0) + 3;",
  },
];

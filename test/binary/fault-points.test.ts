/**
 * Goal: the binary that users get contains no injected fault. Method: the program inside the binary
 * has each piece of code at a fault point as a bundle without faults has it. Skipped without
 * `AYDER_BINARY`.
 */
import { expect, test } from "bun:test";
import { BUILD } from "../../src/release/compile.ts";
import { FOUND_BY } from "../tools/mutation/faults.ts";

const PATH = process.env["AYDER_BINARY"];
/** The file to look into, where `AYDER_BINARY` is a script that runs it. */
const FILE = process.env["AYDER_BINARY_FILE"] ?? PATH;
const NAMES = Object.keys(FOUND_BY);
const PIECE_BYTES = 1000;
/** Code that was added or left out shifts what follows by up to this many bytes. */
const SHIFT_BYTES = 65_536;

async function bundleWith(features: readonly string[], commit: string): Promise<Buffer> {
  const built = await Bun.build({
    ...BUILD,
    define: { AYDER_COMMIT: JSON.stringify(commit) },
    target: "bun",
    features: [...features],
  });
  return Buffer.from((await built.outputs[0]?.text()) ?? "");
}

type Piece = { readonly at: number; readonly bytes: Buffer };

function piecesOf(bundle: Buffer): Piece[] {
  const count = Math.floor(bundle.length / PIECE_BYTES);
  return Array.from({ length: count }, (_, i) => {
    const at = i * PIECE_BYTES;
    return { at, bytes: bundle.subarray(at, at + PIECE_BYTES) };
  });
}

/** Returns the pieces that `bytes` does not have near their place after `start`. */
const absentFrom = (bytes: Buffer, start: number, pieces: readonly Piece[]): Piece[] =>
  pieces.filter((piece) => {
    const from = Math.max(0, start + piece.at - SHIFT_BYTES);
    const to = start + piece.at + PIECE_BYTES + SHIFT_BYTES;
    return !bytes.subarray(from, to).includes(piece.bytes);
  });

test.skipIf(PATH === undefined)("the binary contains no fault point", async () => {
  const binary = Buffer.from(await Bun.file(FILE ?? "").arrayBuffer());
  expect(NAMES.filter((name) => binary.includes(`"${name}"`))).toEqual([]);
  const version = Bun.spawnSync([PATH ?? "", "--version"]).stdout.toString();
  const commit = /\(([0-9a-f]+\+?)\)/.exec(version)?.[1] ?? "";
  const [release, faulty] = await Promise.all([bundleWith([], commit), bundleWith(NAMES, commit)]);
  const start = binary.indexOf(release.subarray(PIECE_BYTES, 2 * PIECE_BYTES)) - PIECE_BYTES;
  expect(start).toBeGreaterThan(0);
  // The code at the fault points: what a build with faults does not have as it is.
  const affected = absentFrom(faulty, 0, piecesOf(release));
  expect(affected.length).toBeGreaterThan(NAMES.length / 2);
  expect(absentFrom(binary, start, affected).map(({ bytes }) => bytes.toString())).toEqual([]);
});

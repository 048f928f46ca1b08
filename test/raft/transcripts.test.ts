/**
 * Scripts with their full expected output: `command`, `----`, output, empty line. `UPDATE=1`
 * rewrites the output; the difference is to be read and understood before it is kept.
 */
import { expect, test } from "bun:test";
import { Glob } from "bun";
import { Transcript } from "../tools/raft/transcript.ts";

const folder = new URL("transcripts/", import.meta.url).pathname;

for (const name of [...new Glob("*.txt").scanSync(folder)].sort()) {
  test(`script ${name} does what it did`, async () => {
    const source = await Bun.file(folder + name).text();
    const actual = play(source);
    if (process.env["UPDATE"] !== undefined) await Bun.write(folder + name, actual);
    else expect(actual).toBe(source);
  });
}

/** Comments and commands are kept, outputs are replaced. */
function play(source: string): string {
  const transcript = new Transcript();
  const blocks = source.trimEnd().split("\n\n");
  return `${blocks.map((block) => playBlock(transcript, block)).join("\n\n")}\n`;
}

function playBlock(transcript: Transcript, block: string): string {
  const lines = block.split("\n");
  const end = lines.indexOf("----");
  const input = end < 0 ? lines : lines.slice(0, end);
  const outputs = input
    .filter((line) => line.length > 0 && !line.startsWith("#"))
    .map((line) => transcript.run(line));
  if (outputs.length === 0) return block;
  return [...input, "----", ...outputs].join("\n");
}

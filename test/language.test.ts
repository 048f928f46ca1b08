/** Comments, help, error and log texts, and the manual, are plain technical English. */
import { expect, test } from "bun:test";
import { Glob } from "bun";
import { type Prose, proseOf } from "./tools/prose.ts";

/** Openings of a sentence that hide its subject. */
const OPENINGS = [
  "Of",
  "Who",
  "Whoever",
  "Whom",
  "Whose",
  "What",
  "Whatever",
  "So often",
  "So long",
  "So much",
  "As long as that",
];

/** Words and phrases that have a standard term. */
const WORDS: readonly (readonly [string, string])[] = [
  ["is no(?! (longer|more|less|better|worse|later|earlier|larger|newer|older)\\b)", "is not a"],
  ["so much|so often|such a one", "at most, at least, for this long"],
  ["so long(?! as)", "for this long"],
  ["papers", "certificates, TLS credentials"],
  ["founding|founders?", "bootstrap"],
  ["heal|heals|healed|healing|mend|mends|mended|mending", "repair"],
  ["upkeep|sweepers?|swept", "maintenance, janitor"],
  ["duties", "callbacks, handlers"],
  ["tally|tallies", "state checksum"],
  ["claims?|lost end", "truncated-log marker"],
  ["incarnations?", "storage id"],
  ["newcomers?", "unverified peer"],
  ["strays?", "orphan"],
  ["hot door", "router"],
  ["gates?", "middleware"],
  ["let go|lets go|lets go of", "release"],
  ["spares?", "preallocated segment"],
  ["stands? for election", "campaign"],
  ["zoo|seeded bugs?", "mutation test, injected fault"],
  ["Soon<\\w+>", "MaybePromise"],
  ["(a|one|each|the same|this|next|per|its) turn", "event-loop iteration"],
];

/** More phrases that texts for users do not have; the field has a word for each. */
const USER_WORDS: readonly (readonly [string, string])[] = [
  ["gives? out|given out|gave out", "deliver, issue"],
  ["works? off|worked off", "process"],
  ["puts? aside", "make a dead letter, set aside"],
  ["anew", "again, from the beginning"],
  ["again and again", "repeatedly, periodically"],
  ["(goes|go|went|going) on(?! (the|a|to|one|this|that))", "continue"],
  ["takes? back|taken back", "cancel, withdraw"],
  ["as (many|much|long) \\w+ as (they|it|there) may", "the limit of … is reached"],
  ["knows? no", "does not have"],
  ["for want of", "because of a limit, for lack of"],
  ["under way", "in flight, in progress"],
  ["(whoever|somebody|nobody)", "name the subject: a client, a node, an operator"],
];

/** Correct uses of a banned word, each with its reason. */
const ALLOWED: readonly (readonly [RegExp, string])[] = [
  [/\bthere is no\b/gi, '"there is no leader" is plain English'],
  [/\bin its turn\b|\beach in turn\b/gi, "round robin, not the event loop"],
];

const opening = new RegExp(`(?:^|[.!?]\\s+|\\n\\s*)(${OPENINGS.join("|")})\\s`, "gi");
type Word = { readonly word: RegExp; readonly say: string };

const compiled = (words: readonly (readonly [string, string])[]): readonly Word[] =>
  words.map(([word, say]) => ({ word: new RegExp(`\\b(?:${word})(?!\\w)`, "gi"), say }));

const words = compiled(WORDS);
const userWords = compiled([...WORDS, ...USER_WORDS]);

/** The faults of a text: the word that was found, and the term to use. */
export function faultsOf(text: string, banned: readonly Word[] = words): string[] {
  let plain = text.replace(/`[^`]*`/g, "`…`");
  for (const [allowed] of ALLOWED) plain = plain.replace(allowed, "…");
  const found = [...plain.matchAll(opening)].map((match) => `begins with "${match[1]}"`);
  for (const { word, say } of banned) {
    for (const [match] of plain.matchAll(word)) found.push(`"${match}": say ${say}`);
  }
  return found;
}

/** Names, paths and keys are not prose; a text has a blank between words. */
const isProse = ({ kind, text }: Prose) => kind === "comment" || /[a-z]+ [a-z]+/i.test(text);

/** The strings of tests are data, so only their comments are read. */
const isRead = (file: string, { kind }: Prose) => kind === "comment" || file.startsWith("src/");

export function faultsIn(file: string, source: string): string[] {
  return proseOf(source)
    .filter((prose) => isProse(prose) && isRead(file, prose))
    .flatMap(({ line, text }) => faultsOf(text).map((fault) => `${file}:${line}: ${fault}`));
}

/** `src/raft` of `src/raft/core.ts`, `src` of `src/main.ts`. */
const folderOf = (file: string) => file.split("/").slice(0, -1).slice(0, 2).join("/");

const faults: Record<string, string[]> = {};
for (const file of [...new Glob("{src,test}/**/*.{ts,tsx}").scanSync(".")].sort()) {
  const folder = folderOf(file);
  const found = faultsIn(file, await Bun.file(file).text());
  faults[folder] = [...(faults[folder] ?? []), ...found];
}

for (const [folder, found] of Object.entries(faults)) {
  test(`${folder} is written in plain technical English`, () => {
    expect(found).toEqual([]);
  });
}

/** Paragraphs, list items and cells of a document, without code. */
export function proseOfDocument(text: string): { line: number; text: string }[] {
  let isCode = false;
  return text.split("\n").flatMap((line, index) => {
    if (line.startsWith("```")) isCode = !isCode;
    if (isCode || line.startsWith("```")) return [];
    // Headings and cells may be phrases such as "What it does"; sentences in them are read.
    const parts = line.startsWith("|")
      ? line.split("|").map((cell) => `| ${cell.trim()}`)
      : [line.replace(/^\s*(?:[-*]|\d+\.) /, "")];
    return parts.map((text) => ({ line: index + 1, text }));
  });
}

const DOCUMENTS = ["README.md", ...new Glob("src/docs/*.md").scanSync(".")].sort();
for (const file of DOCUMENTS) {
  test(`${file} is written in plain technical English`, async () => {
    const prose = proseOfDocument(await Bun.file(file).text());
    const found = prose.flatMap(({ line, text }) =>
      faultsOf(text, userWords).map((fault) => `${file}:${line}: ${fault}`),
    );
    expect(found).toEqual([]);
  });
}

test("documents are read without their code, cell by cell", () => {
  const text = "# Who\n\n- Of all\n```\nWhat is\n```\n| a | nobody |\nIt `goes on` and goes on.";
  const found = proseOfDocument(text).flatMap(({ line, text: each }) =>
    faultsOf(each, userWords).map((fault) => `${line}: ${fault}`),
  );
  expect(found).toEqual([
    '3: begins with "Of"',
    '7: "nobody": say name the subject: a client, a node, an operator',
    '8: "goes on": say continue',
  ]);
});

/** Names that the language page replaced, each with the term to use. */
const NAMES: readonly (readonly [RegExp, string])[] = [
  [/\bEdge\b/, "Services: what the handlers of all routes share"],
  [/\b[dD]oubt\w*\b|\b[fF]indSurely\b/, "catch up with the leader"],
  [/\bheal(s|ed|ing)?\b|\bheal[A-Z]\w*|\bHEAL_/, "repair"],
  [/\bkeptBytes\b/, "retainedBytes"],
  [/\bturnSoon\b/, "deferIteration"],
];

test("names in src have the terms of the language page", async () => {
  const found: string[] = [];
  for (const file of new Glob("src/**/*.ts").scanSync(".")) {
    const source = await Bun.file(file).text();
    for (const [name, say] of NAMES) {
      const [banned] = name.exec(source) ?? [];
      if (banned !== undefined) found.push(`${file}: ${banned}, say ${say}`);
    }
  }
  expect(found).toEqual([]);
});

test("planted faults are found", () => {
  for (const start of OPENINGS) {
    expect(faultsOf(`${start} reads this.`)).toContain(`begins with "${start}"`);
    expect(faultsOf(`Plain. ${start} reads this.`)).toContain(`begins with "${start}"`);
  }
  for (const word of [
    "Papers",
    "founding",
    "founder",
    "healing",
    "mend",
    "upkeep",
    "sweeper",
    "duties",
    "tally",
    "claim",
    "incarnation",
    "stray",
    "hot door",
    "gate",
    "spare",
    "Soon<number>",
  ]) {
    expect(faultsOf(`The ${word} here`)).toHaveLength(1);
  }
  expect(faultsOf("This is no leader")).toEqual(['"is no": say is not a']);
});

test("plain text passes", () => {
  expect(faultsOf("This is no longer true; there is no leader.")).toEqual([]);
  expect(faultsOf("The gateway investigates what a follower amends, of course.")).toEqual([]);
  expect(faultsOf("Reads `gate` from the environment.")).toEqual([]);
});

test("the scanner tells comments, strings and code apart", () => {
  const kinds = (source: string) => proseOf(source).map(({ kind, text }) => `${kind}: ${text}`);
  expect(kinds('a("// b"); // c\n// d\nx / y / z; // e')).toEqual([
    "string: // b",
    "comment: c d",
    "comment: e",
  ]);
  expect(kinds("`x $" + "{f({ a: `/* $" + "{b} */` })} // y` /** Z\n * w. */")).toEqual([
    "string: x … // y",
    "string: /* … */",
    "comment: Z w.",
  ]);
  expect(kinds("return /[/\"'`]\\/\\/ no/.test(a); // yes")).toEqual(["comment: yes"]);
  expect(kinds('"a \\" // b"')).toEqual(['string: a \\" // b']);
  expect(proseOf('\n\n"x" /* a\n\n b */ // c').map(({ line }) => line)).toEqual([3, 3, 5]);
  expect(faultsIn("src/a.ts", 'log.warn("the stray peer"); const gate = 1;')).toEqual([
    'src/a.ts:1: "stray": say orphan',
  ]);
  expect(faultsIn("test/a.ts", 'say("the stray peer"); // The gate.')).toEqual([
    'test/a.ts:1: "gate": say middleware',
  ]);
});

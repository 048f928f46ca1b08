/** How a node starts, by the facts of its disk and its settings alone. */
import { expect, test } from "bun:test";
import {
  decideHardState,
  decideState,
  type HardStateOutcome,
  type ShardFacts,
  type StateOutcome,
} from "../../src/node/recovery/decide.ts";
import { CheckpointDamaged } from "../../src/storage/checkpoints/damaged.ts";

const VOTES: readonly (readonly [string, boolean, boolean | null, boolean, HardStateOutcome])[] = [
  ["term and vote are there", true, true, true, "keep"],
  ["lost, on the only voter", false, false, false, "renew"],
  ["lost, and the log adds a voter", false, false, true, "refuse"],
  ["lost, on a member of a cluster", false, true, false, "refuse"],
  ["lost, and no checkpoint tells who votes", false, null, false, "refuse"],
];
for (const [name, hasHardState, hasPeers, changesMembership, outcome] of VOTES) {
  test(`term and vote: ${name}`, () =>
    expect(decideHardState({ hasHardState, hasPeers, changesMembership })).toBe(outcome));
}

const intact = (index: number) => ({ index, damage: null });
const damage = new CheckpointDamaged("checkpoints/20.ckpt", 0, "wrong checksum");
const broken = (index: number) => ({ index, damage });
const older = new CheckpointDamaged("checkpoints/10.ckpt", 0, "wrong checksum");
type Facts = Parameters<typeof decideState>[0];
const facts = (some: Partial<ShardFacts>): Facts => ({
  hasPeers: false,
  namesPeers: false,
  checkpoints: [],
  journal: { first: 1, last: 0 },
  ...some,
});
const use = (index: number, setAside = false): StateOutcome => ({ kind: "use", index, setAside });

const STATES: readonly (readonly [string, Partial<ShardFacts>, StateOutcome])[] = [
  ["an empty disk", {}, use(0)],
  ["no checkpoint yet", { journal: { first: 1, last: 7 } }, use(0)],
  [
    "an intact checkpoint",
    { checkpoints: [intact(20)], journal: { first: 11, last: 30 } },
    use(20),
  ],
  [
    "an intact checkpoint, and a journal that ends before it, as after an installation",
    { checkpoints: [intact(20)], journal: { first: 1, last: 5 } },
    use(20),
  ],
  [
    "the newest is damaged, and the journal reaches from the older one",
    { checkpoints: [broken(20), intact(10)], journal: { first: 11, last: 20 } },
    use(10, true),
  ],
  [
    "the newest is damaged, and one entry is missing behind the older one",
    { checkpoints: [broken(20), intact(10)], journal: { first: 12, last: 30 } },
    { kind: "refuse", damage },
  ],
  [
    "the newest is damaged, and the journal ends before it",
    { checkpoints: [broken(20), intact(10)], journal: { first: 1, last: 19 } },
    { kind: "refuse", damage },
  ],
  [
    "all are damaged, and the journal has everything",
    {
      checkpoints: [broken(20), { index: 10, damage: older }],
      journal: { first: 1, last: 20 },
    },
    use(0, true),
  ],
  [
    "all are damaged, and the journal begins later",
    {
      checkpoints: [broken(20), { index: 10, damage: older }],
      journal: { first: 2, last: 20 },
    },
    { kind: "refuse", damage },
  ],
  [
    "lost on a member: peers have it",
    { hasPeers: true, checkpoints: [broken(20)], journal: { first: 2, last: 20 } },
    { kind: "fetch", damage },
  ],
  [
    "lost, no head can be read, and the settings name peers",
    {
      hasPeers: null,
      namesPeers: true,
      checkpoints: [broken(20)],
      journal: { first: 2, last: 20 },
    },
    { kind: "fetch", damage },
  ],
  [
    "lost on the only voter, whatever the settings name",
    {
      hasPeers: false,
      namesPeers: true,
      checkpoints: [broken(20)],
      journal: { first: 2, last: 20 },
    },
    { kind: "refuse", damage },
  ],
];
for (const [name, some, outcome] of STATES) {
  test(`state: ${name}`, () => expect(decideState(facts(some))).toEqual(outcome));
}

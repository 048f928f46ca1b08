/** While a simulation runs, real time and real chance are out of reach. */
type Globals = Record<string, unknown>;

const FORBIDDEN: readonly (readonly [string, string])[] = [
  ["Date", "now"],
  ["Math", "random"],
  ["performance", "now"],
  ["crypto", "getRandomValues"],
  ["crypto", "randomUUID"],
  ["Bun", "sleep"],
];
const TIMERS = ["setTimeout", "setInterval", "queueMicrotask"];

/** @returns the function that takes the traps away again. */
export function setTraps(): () => void {
  const undo: (() => void)[] = [];
  for (const [owner, name] of FORBIDDEN) {
    undo.push(replace((globalThis as unknown as Globals)[owner] as Globals, name));
  }
  for (const name of TIMERS) undo.push(replace(globalThis as unknown as Globals, name));
  return () => {
    for (const restore of undo) restore();
  };
}

function replace(owner: Globals, name: string): () => void {
  const before = owner[name];
  owner[name] = () => {
    throw new Error(`${name} is not for simulated code`);
  };
  return () => {
    owner[name] = before;
  };
}

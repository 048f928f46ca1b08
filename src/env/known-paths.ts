import { join } from "node:path";
import { identityOf, lossOf } from "./file-identity.ts";

/** A call whose result shows that paths exist. Concurrent removals make that result uncertain. */
type Look = { readonly removed: string[] };

/**
 * Files and directories that the process relies on, each with its device and inode. A path is known
 * from its first use until this process removes it. If a known path leads to another file, something
 * outside this process changed it.
 */
export class KnownPaths {
  readonly #root: string;
  readonly #isRelied: (path: string) => boolean;
  readonly #identities = new Map<string, string>();
  readonly #looks = new Set<Look>();
  readonly #removing: string[] = [];
  #round: Iterator<readonly [string, string]> | null = null;

  /**
   * @param root an existing directory. It is known from now on.
   * @param isRelied whether the loss of this path, relative to `root`, is a loss of data.
   */
  constructor(root: string, isRelied: (path: string) => boolean) {
    this.#root = root;
    this.#isRelied = isRelied;
    this.#identities.set("", identityOf(root));
  }

  get size(): number {
    return this.#identities.size;
  }

  /**
   * Runs `work`, which fails unless the paths exist afterwards, and adds them and the directories
   * above them. A path that is known keeps its identity.
   */
  async seen<T>(work: () => Promise<T>, pathsOf: (result: T) => readonly string[]): Promise<T> {
    const look: Look = { removed: [...this.#removing] };
    this.#looks.add(look);
    try {
      const result = await work();
      for (const path of pathsOf(result)) this.#add(path, look);
      return result;
    } finally {
      this.#looks.delete(look);
    }
  }

  /** Runs `work`, which removes or replaces these paths and everything below them. */
  async removed<T>(paths: readonly string[], work: () => Promise<T>): Promise<T> {
    for (const path of paths) {
      this.forget(path);
      this.#removing.push(path);
      for (const look of this.#looks) look.removed.push(path);
    }
    try {
      return await work();
    } finally {
      for (const path of paths) this.#removing.splice(this.#removing.indexOf(path), 1);
    }
  }

  /** Forgets the path and everything below it. */
  forget(path: string): void {
    if (!this.#identities.delete(path)) return;
    for (const known of this.#identities.keys()) {
      if (isBelow(known, path)) this.#identities.delete(known);
    }
  }

  /** Returns how this path, or a directory above it, was lost. Null if it was not. */
  whyLostOn(path: string): string | null {
    for (const one of ancestorsOf(path)) {
      const identity = this.#identities.get(one);
      const loss = identity === undefined ? null : lossOf(join(this.#root, one), identity);
      if (loss !== null) return loss;
    }
    return null;
  }

  /**
   * Checks the next paths of a round, at most `count` of them.
   *
   * @returns how a path was lost, "done" if the round is complete, or null if it is not.
   */
  look(count: number): { readonly loss: string } | "done" | null {
    this.#round ??= this.#identities.entries();
    for (let looked = 0; looked < count; looked++) {
      const { done, value } = this.#round.next();
      if (done === true) {
        this.#round = null;
        return "done";
      }
      const [path, identity] = value;
      const loss = lossOf(join(this.#root, path), identity);
      // The lost directory is reported, because it explains the loss of the files in it.
      if (loss !== null) return { loss: this.whyLostOn(path) ?? loss };
    }
    return null;
  }

  #add(path: string, look: Look): void {
    for (const one of ancestorsOf(path)) {
      if (this.#identities.has(one) || !this.#isRelied(one)) continue;
      if (look.removed.some((gone) => one === gone || isBelow(one, gone))) continue;
      try {
        this.#identities.set(one, identityOf(join(this.#root, one)));
      } catch {
        // A path that cannot be read is not compared. Its next user gets the error.
      }
    }
  }
}

const isBelow = (path: string, directory: string): boolean =>
  path.length > directory.length && path.startsWith(directory) && path[directory.length] === "/";

/** Returns the directories of a path: the root first, the path itself last. */
function ancestorsOf(path: string): string[] {
  if (path === "") return [""];
  const names = path.split("/");
  return ["", ...names.map((_, depth) => names.slice(0, depth + 1).join("/"))];
}

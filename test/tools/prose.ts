/** Comments and string literals of a TypeScript source, for tests that read its language. */

export interface Prose {
  readonly kind: "comment" | "string";
  readonly line: number;
  readonly text: string;
}

/** Characters and words after which a slash begins a regular expression, not a division. */
const BEFORE_REGEX = /(?:^|[([{,;=:?!&|+\-*%~^<>}]|\b(?:return|typeof|case|in|of|void|do|else))$/;

/** Returns comments (neighboring `//` lines are one comment) and strings in source order. */
export function proseOf(source: string): Prose[] {
  const scanner = new Scanner(source);
  scanner.code(false);
  return scanner.found;
}

class Scanner {
  readonly found: Prose[] = [];
  private readonly source: string;
  private at = 0;
  private line = 1;
  /** The last code characters, from which a slash is told apart. */
  private before = "";
  /** The line after the last `//` comment, if no code followed it. */
  private joins = 0;

  constructor(source: string) {
    this.source = source;
  }

  /** Reads code up to the end, or to the brace that ends a `${` if `nested`. */
  code(nested: boolean): void {
    let depth = 0;
    while (this.at < this.source.length) {
      const char = this.source[this.at] ?? "";
      if (char === "{") depth++;
      if (char === "}" && depth-- === 0 && nested) return;
      if (!this.text(char)) this.character(char);
      if (this.before.endsWith(" ")) this.before = this.afterWord();
    }
  }

  /** Reads a comment, a string or a regular expression; returns false if none begins here. */
  private text(char: string): boolean {
    const next = this.source[this.at + 1];
    if (char === "/" && next === "/") this.lineComment();
    else if (char === "/" && next === "*") this.blockComment();
    else if (char === '"' || char === "'") this.quoted(char);
    else if (char === "`") this.template();
    else if (char === "/" && BEFORE_REGEX.test(this.before)) this.regex();
    else return false;
    return true;
  }

  private character(char: string): void {
    this.step();
    if (char.trim() !== "") this.saw(char);
    else if (/\w$/.test(this.before)) this.before += " ";
  }

  /** Keeps a word that can precede a regular expression, and separates it from the next word. */
  private afterWord(): string {
    return BEFORE_REGEX.test(this.before.trimEnd()) ? this.before.trimEnd() : ")";
  }

  private saw(char: string): void {
    this.before = (this.before + char).slice(-12);
    this.joins = 0;
  }

  private step(): void {
    if (this.source[this.at] === "\n") this.line++;
    this.at++;
  }

  private take(end: number): string {
    const text = this.source.slice(this.at, end);
    while (this.at < end) this.step();
    return text;
  }

  private lineComment(): void {
    const line = this.line;
    const end = this.source.indexOf("\n", this.at);
    const text = this.take(end < 0 ? this.source.length : end)
      .replace(/^\/+/, "")
      .trim();
    const last = this.found.at(-1);
    if (this.joins === line && last !== undefined) {
      this.found[this.found.length - 1] = { ...last, text: `${last.text} ${text}` };
    } else this.found.push({ kind: "comment", line, text });
    this.joins = line + 1;
  }

  private blockComment(): void {
    const line = this.line;
    const end = this.source.indexOf("*/", this.at + 2);
    const raw = this.take(end < 0 ? this.source.length : end + 2);
    const text = raw.replace(/^\/\*+|\*\/$/g, "").replace(/\n\s*\*/g, "\n");
    this.found.push({ kind: "comment", line, text: paragraphs(text) });
    this.joins = 0;
  }

  private quoted(quote: string): void {
    const line = this.line;
    let end = this.at + 1;
    while (end < this.source.length && this.source[end] !== quote && this.source[end] !== "\n") {
      end += this.source[end] === "\\" ? 2 : 1;
    }
    const text = this.take(end + 1).slice(1, -1);
    this.found.push({ kind: "string", line, text });
    this.saw(")");
  }

  private template(): void {
    const line = this.line;
    const index = this.found.push({ kind: "string", line, text: "" }) - 1;
    let text = "";
    this.step();
    while (this.at < this.source.length && this.source[this.at] !== "`") {
      if (this.source.startsWith("${", this.at)) {
        this.take(this.at + 2);
        this.before = "{";
        this.code(true);
        this.step();
        text += "…";
      } else text += this.take(this.at + (this.source[this.at] === "\\" ? 2 : 1));
    }
    this.step();
    this.found[index] = { kind: "string", line, text: paragraphs(text) };
    this.saw(")");
  }

  private regex(): void {
    let inClass = false;
    this.step();
    while (this.at < this.source.length && this.source[this.at] !== "\n") {
      const char = this.source[this.at];
      if (char === "/" && !inClass) break;
      if (char === "[") inClass = true;
      if (char === "]") inClass = false;
      this.take(this.at + (char === "\\" ? 2 : 1));
    }
    this.step();
    this.saw(")");
  }
}

/** Joins the lines of a paragraph; empty lines and list items begin a new one. */
function paragraphs(text: string): string {
  return text
    .replace(/\r/g, "")
    .replace(/\n\s*\n\s*/g, "\n\n")
    .replace(/([^\n])\n\s*(?![-*\d\n])/g, "$1 ")
    .trim();
}

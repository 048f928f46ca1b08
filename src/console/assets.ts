/** The files of the console, as they are served. */
import { bundle } from "./bundle.ts" with { type: "macro" };
import page from "./index.html" with { type: "text" };

export type Asset = {
  readonly contentType: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly gzipped: Uint8Array<ArrayBuffer>;
  /** Of the content; part of the names of the script and the style. */
  readonly hash: string;
};

const SCRIPT = bundle("main.ts");
const STYLE = bundle("style.css");

const hashOf = (text: string): string =>
  new Bun.CryptoHasher("sha256").update(text).digest("hex").slice(0, 16);

function asset(contentType: string, text: string): Asset {
  const bytes = new TextEncoder().encode(text);
  return { contentType, bytes, gzipped: Bun.gzipSync(bytes), hash: hashOf(text) };
}

const scriptName = `console-${hashOf(SCRIPT)}.js`;
const styleName = `console-${hashOf(STYLE)}.css`;
const pageWith = (base: string): Asset =>
  asset(
    "text/html; charset=utf-8",
    String(page)
      .replace("BASESCRIPT", base + scriptName)
      .replace("BASESTYLE", base + styleName),
  );

/**
 * The page at `/ui`, and the same at `/ui/`. Its addresses are relative, so that it works behind a
 * reverse proxy that adds a prefix; what they are relative to depends on the slash.
 */
export const PAGE: Asset = pageWith("ui/");
export const PAGE_WITH_SLASH: Asset = pageWith("");
/** By name; a name never has another content. */
export const FILES: ReadonlyMap<string, Asset> = new Map([
  [scriptName, asset("text/javascript; charset=utf-8", SCRIPT)],
  [styleName, asset("text/css; charset=utf-8", STYLE)],
]);

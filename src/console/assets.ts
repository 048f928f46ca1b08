/** The files of the console as they are served. */
import { type Asset, asset, hashOf } from "../web/asset.ts";
import { bundle } from "./bundle.ts" with { type: "macro" };
import page from "./index.html" with { type: "text" };

const SCRIPT = bundle("main.ts");
const STYLE = bundle("style.css");

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
 * reverse proxy that adds a prefix. They depend on whether the address of the page ends with a slash.
 */
export const PAGE: Asset = pageWith("ui/");
export const PAGE_WITH_SLASH: Asset = pageWith("");
/** Files by name. The name contains the hash, so the content of a name never changes. */
export const FILES: ReadonlyMap<string, Asset> = new Map([
  [scriptName, asset("text/javascript; charset=utf-8", SCRIPT)],
  [styleName, asset("text/css; charset=utf-8", STYLE)],
]);

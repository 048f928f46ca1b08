/** The manual as it is served: one HTML file per page and one style sheet. */
import { type Asset, asset, hashOf } from "../web/asset.ts";
import { CONTENTS } from "./contents.ts";
import { readText, renderPages } from "./render.ts" with { type: "macro" };

const PAGES = renderPages();
const LAYOUT = readText("layout.html");
const STYLE = readText("style.css");
const STYLE_NAME = `manual-${hashOf(STYLE)}.css`;
const HTML = "text/html; charset=utf-8";

const titles = new Map(PAGES.map(({ name, title }) => [name, title]));

export type Manual = {
  /** The first page at `/docs`, whose links contain the folder `docs/`. */
  readonly index: Asset;
  /** Everything under `/docs/`: pages by name, and the style sheet. */
  readonly files: ReadonlyMap<string, Asset>;
};

/** @param version shown at the top of each page. */
export function manualOf(version: string): Manual {
  const files = new Map<string, Asset>([[STYLE_NAME, asset("text/css; charset=utf-8", STYLE)]]);
  for (const { name } of PAGES) files.set(name, asset(HTML, pageHtml(name, "", version)));
  return { index: asset(HTML, pageHtml("index", "docs/", version)), files };
}

/**
 * Addresses are relative, so that the manual also works behind a proxy that adds a path prefix.
 *
 * @param root relative address of the folder of the manual from this page.
 */
function pageHtml(name: string, root: string, version: string): string {
  const page = PAGES.find((one) => one.name === name);
  const values: Readonly<Record<string, string>> = {
    title: escapeHtml(page?.title ?? ""),
    root,
    style: STYLE_NAME,
    version: escapeHtml(version),
    navigation: navigation(name, root),
    content: root === "" ? (page?.html ?? "") : withRoot(page?.html ?? "", root),
  };
  return LAYOUT.replaceAll(/\{\{(\w+)\}\}/g, (_, key: string) => values[key] ?? "");
}

function navigation(current: string, root: string): string {
  const sections = CONTENTS.map(({ title, pages }) => {
    const items = pages.map((name) => {
      const here = name === current ? ' aria-current="page"' : "";
      return `<li><a href="${root}${name}"${here}>${escapeHtml(titles.get(name) ?? name)}</a></li>`;
    });
    return `<h2>${escapeHtml(title)}</h2>\n<ul>\n${items.join("\n")}\n</ul>`;
  });
  return sections.join("\n");
}

/** Adds the folder to links to other pages; fragments and full addresses are unchanged. */
const withRoot = (html: string, root: string): string =>
  html.replaceAll(/href="(?!https?:|#)([^"]*)"/g, (_, href: string) => `href="${root}${href}"`);

const escapeHtml = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

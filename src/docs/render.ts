/**
 * Renders the Markdown pages of this folder to HTML. Runs as a macro, that is at build time, so that
 * the binary contains the pages and not the Markdown library.
 */
import { readFileSync } from "node:fs";
import { Marked, type Tokens } from "marked";
import { pageNames } from "./contents.ts";

export type RenderedPage = {
  readonly name: string;
  /** Text of the first heading. */
  readonly title: string;
  /** Content of the `<main>` element. */
  readonly html: string;
};

/** @throws Error for a page that does not exist or does not begin with a heading. */
export function renderPages(): RenderedPage[] {
  return pageNames().map((name) => {
    const markdown = readText(`${name}.md`);
    const title = /^# (.+)$/m.exec(markdown)?.[1];
    if (title === undefined) throw new Error(`${name}.md has no heading`);
    return { name, title, html: renderMarkdown(markdown) };
  });
}

/** A file of this folder as text. */
export const readText = (name: string): string =>
  readFileSync(`${import.meta.dir}/${name}`, "utf8");

/** Returns the id of a heading by GitHub's rules, so that a link with a fragment works in both places. */
export const headingId = (text: string): string =>
  text
    .toLowerCase()
    .replaceAll(/<[^>]*>|&[a-z]+;/g, "")
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
    .replaceAll(/\s/g, "-");

/** Removes the extension from links between pages: GitHub needs it, and served pages do not have it. */
export const pageLink = (href: string): string =>
  href.replace(/^(?!https?:)(?:\.\/)?([a-z0-9-]+)\.md(#.*)?$/, "$1$2");

function renderMarkdown(markdown: string): string {
  const marked = new Marked({ gfm: true });
  marked.use({
    renderer: {
      heading({ tokens, depth, text }: Tokens.Heading) {
        const id = headingId(text.replaceAll("`", ""));
        const content = this.parser.parseInline(tokens);
        return `<h${depth} id="${id}"><a href="#${id}">${content}</a></h${depth}>\n`;
      },
      link({ href, tokens }: Tokens.Link) {
        return `<a href="${pageLink(href)}">${this.parser.parseInline(tokens)}</a>`;
      },
    },
  });
  // Wide tables get their own scroll bar, so that the page does not scroll sideways.
  return (marked.parse(markdown, { async: false }) as string)
    .replaceAll("<table>", '<div class="table" tabindex="0"><table>')
    .replaceAll("</table>", "</table></div>")
    .replaceAll("<pre>", '<pre tabindex="0">');
}

/** The frame around the pages: navigation, state of the node, theme, shortcuts. */
import { messageOf } from "./api.ts";
import { hashOf } from "./lib/route.ts";
import { readNodeState } from "./node-state.ts";
import { every } from "./poll.ts";
import { showKeys } from "./shortcuts.ts";
import { assign, h, setText } from "./ui/dom.ts";
import { type IconName, icon, logo } from "./ui/icons.ts";
import { manualAddress } from "./ui/manual.ts";
import { themeButton } from "./ui/theme.ts";

const PLACES: readonly (readonly [IconName, string])[] = [
  ["topics", "Topics"],
  ["groups", "Groups"],
  ["queues", "Queues"],
  ["streams", "Streams"],
  ["exports", "Exports"],
  ["keys", "Keys"],
  ["query", "Query"],
  ["cluster", "Cluster"],
  ["metrics", "Metrics"],
];
const STATE_MS = 5000;

export class Shell {
  readonly element: HTMLElement;
  readonly #main = h("main", { id: "main", tabindex: "-1" });
  readonly #links: ReadonlyMap<string, HTMLAnchorElement>;
  readonly #state = h("a", { class: "state", href: hashOf(["cluster"]) }, "…");

  constructor(signOut: () => void) {
    this.#links = new Map(
      PLACES.map(([name, label]) => [
        name,
        h("a", { href: hashOf([name]) }, icon(name), h("span", {}, label)),
      ]),
    );
    const manual = h(
      "a",
      { href: manualAddress(), target: "_blank", rel: "noopener" },
      icon("manual"),
      h("span", {}, "Manual"),
    );
    const items = [...this.#links.values(), manual].map((link) => h("li", {}, link));
    const skip = h("a", { href: "#main", class: "skip", onclick: this.#skip }, "Skip to content");
    this.element = h(
      "div",
      { class: "shell" },
      skip,
      h(
        "header",
        { class: "bar" },
        h(
          "a",
          { class: "brand", href: hashOf(["topics"]), "aria-label": "Ayder" },
          logo(),
          h("span", {}, "Ayder"),
        ),
        this.#state,
        h("span", { class: "space" }),
        h(
          "button",
          { type: "button", class: "quiet", onclick: showKeys, "aria-label": "Keyboard shortcuts" },
          "?",
        ),
        themeButton(),
        h("button", { type: "button", class: "quiet", onclick: signOut }, "Sign out"),
      ),
      h("nav", { "aria-label": "Console", class: "rail" }, h("ul", {}, ...items)),
      this.#main,
    );
  }

  readonly #skip = (event: Event) => {
    event.preventDefault();
    this.#main.focus();
  };

  /** @param moved true if the user came from another page, so that the focus moves too. */
  show(name: string, page: HTMLElement, moved: boolean): void {
    for (const [place, link] of this.#links) {
      assign(link, place === name ? { "aria-current": "page" } : {});
      if (place !== name) link.removeAttribute("aria-current");
    }
    this.#main.replaceChildren(page);
    const title = this.#main.querySelector("h1");
    document.title = `${title?.textContent ?? name} · Ayder`;
    scrollTo(0, 0);
    if (moved) title?.focus({ preventScroll: true });
  }

  watchState(signal: AbortSignal): void {
    void every(STATE_MS, signal, async () => {
      try {
        const { role, nodes } = await readNodeState(signal);
        const text = nodes === 1 && role === "leader" ? "one node" : `${role}, ${nodes} nodes`;
        this.#showState(text, role === "candidate" ? "bad" : "good");
      } catch (error) {
        if (!signal.aborted) this.#showState(messageOf(error), "bad");
      }
    });
  }

  #showState(text: string, mood: "good" | "bad"): void {
    setText(this.#state, text);
    this.#state.className = `state ${mood}`;
  }
}

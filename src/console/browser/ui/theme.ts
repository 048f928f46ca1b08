/** Light or dark theme, or that of the system. */
import { h } from "./dom.ts";

const KEY = "ayder.theme";
const THEMES = ["auto", "light", "dark"] as const;
type Theme = (typeof THEMES)[number];

const stored = (): Theme => THEMES.find((theme) => theme === localStorage.getItem(KEY)) ?? "auto";

export function applyTheme(theme: Theme = stored()): void {
  document.documentElement.dataset["theme"] = theme;
}

export function themeButton(): HTMLButtonElement {
  const element = h("button", { type: "button", class: "quiet" });
  const show = () => {
    element.textContent = `Theme: ${stored()}`;
  };
  element.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(stored()) + 1) % THEMES.length] ?? "auto";
    localStorage.setItem(KEY, next);
    applyTheme(next);
    show();
  });
  show();
  return element;
}

/** Notifications: a visible note, and a live region for screen readers. */
import { h } from "./dom.ts";

const SHOWN_MS = 6000;
const notes = h("div", { class: "notes" });
const polite = h("div", { class: "unseen", role: "status", "aria-live": "polite" });
const urgent = h("div", { class: "unseen", role: "alert", "aria-live": "assertive" });

export const announcers = (): HTMLElement[] => [notes, polite, urgent];

/** Announces a text to screen readers only. */
export function say(text: string): void {
  polite.textContent = text;
}

/** @param detail shown in small type below, such as the line that was copied. */
export function note(text: string, detail = ""): void {
  say(text);
  show("note", text, detail);
}

export function noteFailure(text: string): void {
  urgent.textContent = text;
  show("note bad", text, "");
}

function show(className: string, text: string, detail: string): void {
  // The live region announces the text already.
  const element = h("div", { class: className, "aria-hidden": "true" }, h("strong", {}, text));
  if (detail !== "") element.append(h("code", {}, detail));
  notes.append(element);
  while (notes.childElementCount > 3) notes.firstElementChild?.remove();
  setTimeout(() => element.remove(), SHOWN_MS);
}

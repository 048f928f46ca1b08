/** Labelled fields, buttons and forms. */
import { messageOf } from "../api.ts";
import { noteFailure } from "./announce.ts";
import { type Child, freshId, h, type Props } from "./dom.ts";
import { leaderHint } from "./leader-hint.ts";

export type Field<Control extends HTMLElement> = {
  readonly element: HTMLElement;
  readonly control: Control;
};

function field<Control extends HTMLElement>(
  label: string,
  control: Control,
  hint = "",
): Field<Control> {
  control.id = freshId();
  const element = h("div", { class: "field" }, h("label", { for: control.id }, label), control);
  if (hint !== "") {
    const hintId = freshId();
    control.setAttribute("aria-describedby", hintId);
    element.append(h("p", { class: "hint", id: hintId }, hint));
  }
  return { element, control };
}

export const textField = (label: string, props: Props = {}, hint = "") =>
  field(
    label,
    h("input", { type: "text", autocomplete: "off", spellcheck: "false", ...props }),
    hint,
  );

/** A field for decimal digits; other input is rejected when the value is read. */
export const numberField = (label: string, props: Props = {}, hint = "") =>
  textField(label, { inputmode: "numeric", class: "short", ...props }, hint);

export const areaField = (label: string, props: Props = {}, hint = "") =>
  field(label, h("textarea", { spellcheck: "false", rows: 8, ...props }), hint);

export type Choice = { readonly value: string; readonly label: string };

export function selectField(label: string, choices: readonly Choice[], chosen: string) {
  const options = choices.map(({ value, label: text }) =>
    h("option", { value, selected: value === chosen }, text),
  );
  return field(label, h("select", {}, ...options));
}

export function checkField(label: string, checked = false): Field<HTMLInputElement> {
  const control = h("input", { type: "checkbox", id: freshId(), checked });
  const element = h("div", { class: "check" }, control, h("label", { for: control.id }, label));
  return { element, control };
}

/** Errors of the work are shown to the user. */
export function button(label: string, work: () => unknown, props: Props = {}): HTMLButtonElement {
  const onclick = async () => {
    try {
      await work();
    } catch (error) {
      noteFailure(messageOf(error));
    }
  };
  return h("button", { type: "button", onclick, ...props }, label);
}

/** @throws Error that names the field if it is not an integer of at most 2^53 − 1. */
export function numberIn(control: HTMLInputElement, name: string): number | null {
  const text = control.value.trim();
  if (text === "") return null;
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  control.focus();
  throw new Error(`${name} must be a whole number, not “${text}”`);
}

export function requiredNumber(control: HTMLInputElement, name: string): number {
  const value = numberIn(control, name);
  if (value !== null) return value;
  control.focus();
  throw new Error(`${name} is missing`);
}

export function requiredText(control: HTMLInputElement, name: string): string {
  if (control.value !== "") return control.value;
  control.focus();
  throw new Error(`${name} is missing`);
}

/**
 * A form that runs `submit` once at a time and shows its errors.
 *
 * @param children fields and buttons; the first `type=submit` button submits.
 */
export function form(
  label: string,
  submit: () => Promise<void>,
  ...children: readonly Child[]
): HTMLFormElement {
  const failure = h("div", { class: "failure", role: "alert" });
  let busy = false;
  const run = async (event: Event) => {
    event.preventDefault();
    if (busy) return;
    busy = true;
    element.setAttribute("aria-busy", "true");
    failure.replaceChildren();
    try {
      await submit();
    } catch (error) {
      failure.replaceChildren(messageOf(error), (await leaderHint(error)) ?? "");
    }
    element.removeAttribute("aria-busy");
    busy = false;
  };
  const hurry = (event: KeyboardEvent) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) element.requestSubmit();
  };
  const element = h(
    "form",
    { "aria-label": label, onsubmit: run, onkeydown: hurry, novalidate: true },
    ...children,
    failure,
  );
  return element;
}

export const submitButton = (label: string, props: Props = {}) =>
  h("button", { type: "submit", class: "main", ...props }, label);

export const row = (...children: readonly Child[]) => h("div", { class: "row" }, ...children);

/** Modal dialogs: the browser traps the focus, closes on Esc and restores the focus. */
import { sendForText } from "../api.ts";
import type { ApiRequest } from "../lib/request.ts";
import { note } from "./announce.ts";
import { curlButton } from "./curl.ts";
import { type Child, freshId, h } from "./dom.ts";
import { button, form, row, submitButton, textField } from "./form.ts";

export type Dialog = { readonly element: HTMLDialogElement; close(): void };

export function openDialog(title: string, ...children: readonly Child[]): Dialog {
  const titleId = freshId();
  const element: HTMLDialogElement = h(
    "dialog",
    { "aria-labelledby": titleId, onclose: () => element.remove() },
    h("h2", { id: titleId }, title),
    ...children,
  );
  document.body.append(element);
  element.showModal();
  return { element, close: () => element.close() };
}

/** Called when the page behind the dialogs is left. */
export function closeDialogs(): void {
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
}

export type Destruction = {
  readonly title: string;
  /** Text that says what is lost. */
  readonly warning: string;
  /** Name that the user must type. */
  readonly name: string;
  readonly request: ApiRequest;
  readonly done: () => void;
  /** Text of the button. Default: Delete. */
  readonly verb?: "Delete" | "Purge";
};

/** Deletes or purges something after the user has typed its name. */
export function confirmDestruction(what: Destruction): void {
  const { title, warning, name, request, done, verb = "Delete" } = what;
  const typed = textField("Type the name to confirm");
  const submit = submitButton(verb, { class: "main bad", disabled: true });
  typed.control.addEventListener("input", () => {
    submit.disabled = typed.control.value !== name;
  });
  const run = async () => {
    if (typed.control.value !== name) return;
    await sendForText(request);
    dialog.close();
    note(`${verb === "Purge" ? "Purged" : "Deleted"} ${name}`);
    done();
  };
  const dialog = openDialog(
    title,
    form(
      title,
      run,
      h("p", {}, warning),
      h("p", {}, h("code", { class: "name" }, name)),
      typed.element,
      row(
        submit,
        button("Cancel", () => dialog.close()),
        curlButton(() => request),
      ),
    ),
  );
  typed.control.focus();
}

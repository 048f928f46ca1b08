/** Queries, joins, and the views that keep their results up to date. */

import { indentedText, type Json, JsonError, parseJson } from "../../../client/json-text.ts";
import { sendForText } from "../api.ts";
import type { ApiRequest } from "../lib/request.ts";
import { putView, query } from "../lib/requests.ts";
import { note, say } from "../ui/announce.ts";
import { curlButton } from "../ui/curl.ts";
import { openDialog } from "../ui/dialog.ts";
import { h, setText } from "../ui/dom.ts";
import {
  areaField,
  button,
  form,
  requiredText,
  row,
  selectField,
  submitButton,
  textField,
} from "../ui/form.ts";
import { heading, type PageContext } from "../ui/page.ts";
import { EXAMPLES } from "./query-examples.ts";
import { queryResult } from "./query-result.ts";
import { viewsSection } from "./views.ts";

const DRAFT = "ayder.query";

type Kind = "query" | "join";
type Draft = { readonly kind: Kind; readonly text: string };

export function queryPage(context: PageContext): HTMLElement {
  const draft = readDraft();
  const kind = selectField(
    "Kind",
    [
      { value: "query", label: "query" },
      { value: "join", label: "join" },
    ],
    draft.kind,
  );
  const example = selectField(
    "Example",
    [
      { value: "", label: "choose…" },
      ...EXAMPLES.map(({ name }) => ({ value: name, label: name })),
    ],
    "",
  );
  const editor = areaField("Request", {
    rows: 14,
    class: "code",
    "data-search": true,
  });
  editor.control.value = draft.text;
  const check = h("p", { class: "hint", "aria-live": "polite" });
  const result = h("div", { class: "result" });
  const views = viewsSection(context);
  const kindNow = (): Kind => (kind.control.value === "join" ? "join" : "query");
  const request = () => {
    parseJson(editor.control.value);
    return query(kindNow(), editor.control.value);
  };
  const changed = () => {
    setText(check, troubleIn(editor.control.value));
    const now: Draft = { kind: kindNow(), text: editor.control.value };
    sessionStorage.setItem(DRAFT, JSON.stringify(now));
  };
  example.control.addEventListener("change", () => {
    const chosen = EXAMPLES.find(({ name }) => name === example.control.value);
    if (chosen === undefined) return;
    kind.control.value = chosen.kind;
    editor.control.value = chosen.text;
    changed();
  });
  editor.control.addEventListener("input", changed);
  kind.control.addEventListener("change", changed);
  const run = async () => showAnswer(request(), result, context.signal);
  const tidy = () => {
    editor.control.value = tidied(editor.control.value);
    changed();
  };
  changed();
  return h(
    "div",
    {},
    heading("Query", "stream-processing"),
    h(
      "div",
      { class: "query" },
      h(
        "div",
        { class: "panel" },
        form(
          "Query",
          run,
          row(kind.element, example.element),
          editor.element,
          check,
          row(
            submitButton("Run"),
            button("Tidy", tidy),
            button("Save as view…", () => keepAsView(editor.control.value, views.load)),
            curlButton(request),
          ),
        ),
      ),
      result,
    ),
    views.element,
  );
}

async function showAnswer(
  request: ApiRequest,
  place: HTMLElement,
  signal: AbortSignal,
): Promise<void> {
  place.replaceChildren();
  const answer: Json = parseJson(await sendForText(request, signal));
  const { element, summary } = queryResult(answer);
  place.replaceChildren(element);
  say(summary);
}

function readDraft(): Draft {
  const [first] = EXAMPLES;
  const stored = sessionStorage.getItem(DRAFT);
  return stored === null
    ? { kind: first?.kind ?? "query", text: first?.text ?? "" }
    : (JSON.parse(stored) as Draft);
}

function troubleIn(text: string): string {
  try {
    parseJson(text);
    return "Ctrl Enter runs the query. A query commits nothing.";
  } catch (error) {
    return error instanceof JsonError ? error.message : String(error);
  }
}

/** Formats the request; returns it unchanged if it is not JSON. The error is shown below the editor. */
function tidied(text: string): string {
  try {
    return indentedText(text);
  } catch {
    return text;
  }
}

function keepAsView(text: string, done: () => void): void {
  const name = textField(
    "Name of the view",
    {},
    "The aggregates follow the log. A source without a partition reads all partitions.",
  );
  const request = () => {
    parseJson(text);
    return putView(requiredText(name.control, "The name"), text);
  };
  const submit = async () => {
    await sendForText(request());
    dialog.close();
    note(`The view ${name.control.value} was created`);
    done();
  };
  const dialog = openDialog(
    "Save as view",
    form(
      "Save as view",
      submit,
      name.element,
      row(
        submitButton("Keep"),
        button("Cancel", () => dialog.close()),
        curlButton(request),
      ),
    ),
  );
  name.control.focus();
}

/** The key-value store: namespaces, their keys, and one key. */

import type { KvList, KvListed, KvNamespaces } from "../../../api/kv.ts";
import { send } from "../api.ts";
import { byteSize, count, duration } from "../lib/format.ts";
import { deleteNamespace, listKeys, listNamespaces, putKey } from "../lib/requests.ts";
import { hashOf } from "../lib/route.ts";
import { go, mark } from "../router.ts";
import { curlButton } from "../ui/curl.ts";
import { confirmDestruction, openDialog } from "../ui/dialog.ts";
import { h } from "../ui/dom.ts";
import { button, form, requiredText, row, submitButton, textField } from "../ui/form.ts";
import { emptyState, heading, type PageContext, Trouble } from "../ui/page.ts";
import { Table } from "../ui/table.ts";
import { keyPage } from "./key.ts";

const FIRST = { namespace: "config", key: "color", value: "blue", cas: null, ttlMs: null };

export function keysPage(context: PageContext): HTMLElement {
  const [, namespace, key] = context.route.path;
  if (namespace === undefined) return namespaceList(context);
  return key === undefined ? keyList(context, namespace) : keyPage(context, namespace, key);
}

function namespaceList({ signal }: PageContext): HTMLElement {
  const trouble = new Trouble();
  const table = new Table<KvNamespaces["namespaces"][number]>({
    caption: "Namespaces",
    keyOf: ({ namespace }) => namespace,
    empty: () => emptyState("No keys yet. Create the first one:", putKey(FIRST)),
    columns: [
      {
        label: "Namespace",
        cell: ({ namespace }) =>
          h("a", { href: hashOf(["keys", namespace]), "data-item": true }, namespace),
      },
      { label: "Keys", kind: "number", cell: ({ keys }) => count(keys) },
      { label: "Size", kind: "number", cell: ({ bytes }) => byteSize(bytes) },
      { label: "Revision", kind: "number", cell: ({ revision }) => count(revision) },
    ],
  });
  void trouble.watch(signal, async () => {
    table.update((await send<KvNamespaces>(listNamespaces, signal)).namespaces);
  });
  return h(
    "div",
    {},
    heading(
      "Keys",
      "kv",
      button("New key", () => newKey(""), { class: "main" }),
      curlButton(() => listNamespaces),
    ),
    trouble.element,
    table.element,
  );
}

function keyList({ route, signal }: PageContext, namespace: string): HTMLElement {
  const trouble = new Trouble();
  const prefix = textField("Keys that begin with", { type: "search", "data-search": true });
  prefix.control.value = route.query.get("prefix") ?? "";
  let keys: readonly KvListed[] = [];
  let next: string | null = null;
  let asked = new AbortController();
  const table = new Table<KvListed>({
    caption: `Keys of ${namespace}`,
    keyOf: ({ key }) => key,
    empty: () =>
      prefix.control.value === ""
        ? emptyState("No keys here. Create the first one:", putKey({ ...FIRST, namespace }))
        : emptyState("No key has this prefix."),
    columns: [
      {
        label: "Key",
        kind: "data",
        cell: ({ key }) =>
          h("a", { href: hashOf(["keys", namespace, key]), "data-item": true }, key),
      },
      { label: "Revision", kind: "number", cell: ({ cas }) => count(cas) },
      { label: "Size", kind: "number", cell: ({ bytes }) => byteSize(bytes) },
      {
        label: "Lives",
        wide: true,
        cell: ({ ttl_ms: ms }) => (ms === 0 ? "no expiry" : duration(ms)),
      },
    ],
  });
  const request = (after: string | null) => listKeys(namespace, prefix.control.value, after);
  const load = (after: string | null) => {
    asked.abort();
    asked = new AbortController();
    const both = AbortSignal.any([signal, asked.signal]);
    return trouble.watch(both, async () => {
      const page = await send<KvList>(request(after), both);
      keys = after === null ? page.keys : [...keys, ...page.keys];
      next = page.next;
      more.hidden = next === null;
      table.update(keys);
    });
  };
  const more = button("More", () => load(next), { hidden: true });
  prefix.control.addEventListener("input", () => {
    mark(["keys", namespace], { prefix: prefix.control.value });
    void load(null);
  });
  void load(null);
  return h(
    "div",
    {},
    h(
      "nav",
      { "aria-label": "Where", class: "crumbs" },
      h("a", { href: hashOf(["keys"]) }, "Keys"),
    ),
    heading(
      namespace,
      "kv",
      button("New key", () => newKey(namespace), { class: "main" }),
      button("Delete this namespace…", () => dropNamespace(namespace), { class: "bad" }),
      curlButton(() => request(null)),
    ),
    row(prefix.element),
    trouble.element,
    table.element,
    more,
  );
}

function dropNamespace(name: string): void {
  confirmDestruction({
    title: "Delete this namespace",
    warning: "All its keys are deleted permanently.",
    name,
    request: deleteNamespace(name),
    done: () => go(["keys"]),
  });
}

/** Opens the page of a key that may not exist yet; it is written from there. */
function newKey(namespace: string): void {
  const space = textField("Namespace", { value: namespace });
  const key = textField("Key", {}, "Up to 1,024 bytes; may contain slashes.");
  const open = () => {
    const path = [
      "keys",
      requiredText(space.control, "The namespace"),
      requiredText(key.control, "The key"),
    ];
    dialog.close();
    go(path);
    return Promise.resolve();
  };
  const dialog = openDialog(
    "New key",
    form(
      "New key",
      open,
      space.element,
      key.element,
      row(
        submitButton("Continue"),
        button("Cancel", () => dialog.close()),
      ),
    ),
  );
  (namespace === "" ? space : key).control.focus();
}

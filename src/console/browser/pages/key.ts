/** Shows one key, changes it if nobody else did, and deletes it. */

import type { KvMeta, KvValue, KvWritten } from "../../../api/kv.ts";
import { ApiFailure, send } from "../api.ts";
import { fromBase64, textOf, toHex } from "../lib/bytes.ts";
import { byteSize, count, duration } from "../lib/format.ts";
import { deleteKey, getKey, getKeyMeta, putKey } from "../lib/requests.ts";
import { hashOf } from "../lib/route.ts";
import { go } from "../router.ts";
import { note } from "../ui/announce.ts";
import { curlButton } from "../ui/curl.ts";
import { confirmDestruction } from "../ui/dialog.ts";
import { h, setText } from "../ui/dom.ts";
import {
  areaField,
  button,
  checkField,
  form,
  numberField,
  numberIn,
  row,
  selectField,
  submitButton,
} from "../ui/form.ts";
import { heading, type PageContext, section, Trouble } from "../ui/page.ts";
import { typedValue, VALUE_KINDS } from "../ui/typed-value.ts";
import { valueView } from "../ui/value-view.ts";

/** `cas` is 0 if the key does not exist. */
type Loaded = { readonly bytes: Uint8Array; readonly cas: number; readonly ttlMs: number };
const ABSENT: Loaded = { bytes: new Uint8Array(0), cas: 0, ttlMs: 0 };

export const keyPage = (context: PageContext, namespace: string, key: string): HTMLElement =>
  new KeyEditor(context, namespace, key).element;

class KeyEditor {
  readonly element: HTMLElement;
  readonly #signal: AbortSignal;
  readonly #namespace: string;
  readonly #key: string;
  readonly #trouble = new Trouble();
  readonly #facts = h("p", { class: "facts" }, "…");
  readonly #shown = h("div");
  readonly #kind = selectField("Value type", VALUE_KINDS, "text");
  readonly #value = areaField("New value", { rows: 8, class: "code" });
  readonly #ttl = numberField("Time to live, ms", { placeholder: "no expiry" });
  readonly #guarded = checkField("Only if unchanged since it was loaded", true);
  #loaded = ABSENT;

  constructor({ signal }: PageContext, namespace: string, key: string) {
    this.#signal = signal;
    this.#namespace = namespace;
    this.#key = key;
    this.element = h(
      "div",
      {},
      h(
        "nav",
        { "aria-label": "Where", class: "crumbs" },
        h("a", { href: hashOf(["keys"]) }, "Keys"),
        " / ",
        h("a", { href: hashOf(["keys", namespace]) }, namespace),
      ),
      heading(
        key,
        "kv",
        button("Reload", () => this.#load()),
        button("Delete…", () => this.#delete(), { class: "bad" }),
        curlButton(() => getKey(namespace, key)),
      ),
      this.#facts,
      this.#trouble.element,
      section("Value", this.#shown),
      this.#editor(),
    );
    if (key === "." || key === "..") {
      this.#trouble.show("A browser cannot request this key, because it resolves it as a folder");
    } else void this.#load();
  }

  #editor(): HTMLElement {
    return section(
      "Change",
      form(
        "Change the value",
        () => this.#put(),
        this.#kind.element,
        this.#value.element,
        row(this.#ttl.element),
        this.#guarded.element,
        row(
          submitButton("Save"),
          curlButton(() => this.#request()),
        ),
      ),
    );
  }

  #load(): Promise<void> {
    return this.#trouble.watch(this.#signal, async () => {
      this.#loaded = await this.#read();
      const { bytes, cas, ttlMs } = this.#loaded;
      const life = ttlMs === 0 ? "no expiry" : `expires in ${duration(ttlMs)}`;
      setText(
        this.#facts,
        cas === 0
          ? "This key does not exist yet"
          : `Revision ${count(cas)} · ${byteSize(bytes.length)} · ${life}`,
      );
      this.#shown.replaceChildren(cas === 0 ? "There is no value." : valueView(bytes, "auto"));
      const text = editableText(bytes);
      this.#kind.control.value = text === null ? "hex" : "text";
      this.#value.control.value = text ?? toHex(bytes);
      this.#ttl.control.value = ttlMs === 0 ? "" : String(ttlMs);
    });
  }

  async #read(): Promise<Loaded> {
    try {
      const { value, cas } = await send<KvValue>(getKey(this.#namespace, this.#key), this.#signal);
      const meta = await send<KvMeta>(getKeyMeta(this.#namespace, this.#key), this.#signal);
      return { bytes: fromBase64(value), cas, ttlMs: meta.ttl_ms };
    } catch (error) {
      if (error instanceof ApiFailure && error.code === "not_found") return ABSENT;
      throw error;
    }
  }

  #request() {
    const value = typedValue(this.#kind.control.value, this.#value.control.value);
    const cas = this.#guarded.control.checked ? this.#loaded.cas : null;
    const ttlMs = numberIn(this.#ttl.control, "The time to live");
    return putKey({ namespace: this.#namespace, key: this.#key, value, cas, ttlMs });
  }

  async #put(): Promise<void> {
    try {
      const { cas } = await send<KvWritten>(this.#request());
      note(`Saved as revision ${count(cas)}`);
    } catch (error) {
      throw error instanceof ApiFailure && error.code === "cas_mismatch" ? conflict(error) : error;
    }
    await this.#load();
  }

  #delete(): void {
    const { cas } = this.#loaded;
    const guard = cas === 0 ? null : cas;
    confirmDestruction({
      title: "Delete this key",
      warning: "The key is deleted only if it is unchanged since it was loaded.",
      name: this.#key,
      request: deleteKey(this.#namespace, this.#key, guard),
      done: () => go(["keys", this.#namespace]),
    });
  }
}

/** Returns null for text that is edited as hex, because a text area would change its line ends. */
function editableText(bytes: Uint8Array): string | null {
  const text = textOf(bytes);
  return text?.includes("\r") ? null : text;
}

function conflict({ body }: ApiFailure): Error {
  const { current } = body;
  const now = current === 0 ? "it was deleted" : `it is at revision ${current}`;
  return new Error(
    `Somebody else changed this key: ${now}. Nothing was saved. Reload to see it, or clear “Only if unchanged” to overwrite it.`,
  );
}

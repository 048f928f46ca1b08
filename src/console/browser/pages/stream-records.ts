/** The records of a durable stream: read from its beginning, and followed. */
import { messageOf, open } from "../api.ts";
import { concatenated, fromBase64, utf8 } from "../lib/bytes.ts";
import { readEvents } from "../lib/event-stream.ts";
import { byteSize, plural } from "../lib/format.ts";
import { elementsOf } from "../lib/json-array.ts";
import { followStream, readStream } from "../lib/requests.ts";
import { pause } from "../poll.ts";
import { say } from "../ui/announce.ts";
import { curlButton } from "../ui/curl.ts";
import { openDialog } from "../ui/dialog.ts";
import { h, setText } from "../ui/dom.ts";
import { button, row, selectField } from "../ui/form.ts";
import { emptyState, section, Trouble } from "../ui/page.ts";
import { Table } from "../ui/table.ts";
import { FORMATS, type Format, preview, valueView } from "../ui/value-view.ts";

const BEGINNING = "-1";
const NOW = "now";
const RETRY_MS = 1000;
/** Records that arrive within this time are shown together. */
const SHOW_MS = 100;
/** Limits of the records that stay on the page of a stream that is followed. */
const SHOWN_MAX = 500;
const SHOWN_BYTES_MAX = 64 * 1024;
const FORMAT_LABELS = { auto: "detect", text: "text", json: "JSON", hex: "hex" } as const;

/** An element of a JSON stream, or what came at once of any other stream. */
type Piece = { readonly number: number; readonly bytes: Uint8Array<ArrayBuffer> };

export const recordsSection = (stream: string, signal: AbortSignal): HTMLElement =>
  new RecordsView(stream, signal).element;

class RecordsView {
  readonly element: HTMLElement;
  readonly #stream: string;
  readonly #signal: AbortSignal;
  readonly #trouble = new Trouble();
  readonly #status = h("p", { class: "status" }, "…");
  readonly #content = h("div");
  readonly #more = button("More", () => this.#read(this.#next), { hidden: true });
  readonly #follow = button("Follow", () => this.#toggle(), {
    "aria-pressed": "false",
    "data-pause": true,
  });
  readonly #format = selectField(
    "Show as",
    FORMATS.map((name) => ({ value: name, label: FORMAT_LABELS[name] })),
    "auto",
  );
  #work = new AbortController();
  #pieces: Piece[] = [];
  #isJson = false;
  #taken = 0;
  #next = BEGINNING;
  #isLive = false;

  constructor(stream: string, signal: AbortSignal) {
    this.#stream = stream;
    this.#signal = signal;
    signal.addEventListener("abort", () => this.#work.abort());
    this.#format.control.addEventListener("change", () => this.#show());
    this.element = section(
      "Records",
      row(
        this.#format.element,
        button("From the beginning", () => this.#restart(BEGINNING)),
        button("End", () => this.#restart(NOW)),
        this.#follow,
        curlButton(() => this.#request()),
      ),
      this.#trouble.element,
      this.#status,
      this.#content,
      this.#more,
    );
    void this.#restart(BEGINNING);
  }

  #request() {
    return this.#isLive
      ? followStream(this.#stream, this.#next)
      : readStream(this.#stream, this.#next);
  }

  #restart(offset: string): Promise<void> {
    this.#taken = 0;
    return this.#read(offset);
  }

  /** Shows the page from the offset on. */
  #read(offset: string): Promise<void> {
    const signal = this.#startWork(false);
    return this.#trouble.watch(signal, async () => {
      const answer = await open(readStream(this.#stream, offset), signal);
      const { headers } = answer;
      this.#isJson = isJsonType(headers.get("content-type"));
      this.#pieces = [];
      this.#take(new Uint8Array(await answer.arrayBuffer()));
      this.#next = headers.get("stream-next-offset") ?? offset;
      const isEnd = headers.get("stream-up-to-date") === "true";
      this.#more.hidden = isEnd;
      const end = headers.get("stream-closed") === "true" ? "the stream is closed" : "the end";
      this.#say(isEnd ? `; this is ${end}` : "; there is more");
      this.#show();
    });
  }

  #toggle(): void {
    if (this.#isLive) {
      this.#startWork(false);
      this.#say("; stopped following");
      return;
    }
    const signal = this.#startWork(true);
    this.#pieces = [];
    this.#taken = 0;
    this.#say("; following");
    this.#show();
    void this.#run(signal);
  }

  /** Follows until the signal aborts or the stream is closed; goes on where a connection was cut. */
  async #run(signal: AbortSignal): Promise<void> {
    let waiting = false;
    const flush = () => {
      if (!waiting) return;
      waiting = false;
      this.#say("; following");
      this.#show();
    };
    const timer = setInterval(flush, SHOW_MS);
    let isClosed = false;
    while (!signal.aborted && !isClosed) {
      try {
        const { body, headers } = await open(followStream(this.#stream, this.#next), signal);
        const isBase64 = headers.get("stream-sse-data-encoding") === "base64";
        this.#trouble.clear();
        if (body === null) break;
        await readEvents(body, ({ name, data }) => {
          if (name === "data") {
            this.#take(isBase64 ? fromBase64(data) : utf8(data));
            waiting = true;
          } else {
            const control = JSON.parse(data) as { streamNextOffset: string; streamClosed?: true };
            this.#next = control.streamNextOffset;
            isClosed = control.streamClosed === true;
          }
        });
      } catch (error) {
        if (!signal.aborted) this.#trouble.show(`${messageOf(error)}; trying again`);
      }
      if (!isClosed) await pause(RETRY_MS, signal);
    }
    clearInterval(timer);
    if (signal.aborted) return;
    this.#startWork(false);
    this.#say("; the stream is closed");
    this.#show();
  }

  #take(bytes: Uint8Array<ArrayBuffer>): void {
    const parts = this.#isJson ? elementsOf(bytes).map(utf8) : bytes.length === 0 ? [] : [bytes];
    for (const part of parts) this.#pieces.push({ number: ++this.#taken, bytes: part });
    if (this.#isLive) this.#drop();
  }

  /** Drops the first pieces of a stream that is followed. */
  #drop(): void {
    this.#pieces = this.#pieces.slice(-SHOWN_MAX);
    let size = bytesOf(this.#pieces);
    while (!this.#isJson && this.#pieces.length > 1 && size > SHOWN_BYTES_MAX) {
      size -= this.#pieces.shift()?.bytes.length ?? 0;
    }
  }

  /** Aborts the work under way and starts new work. */
  #startWork(isLive: boolean): AbortSignal {
    this.#work.abort();
    this.#work = new AbortController();
    if (this.#signal.aborted) this.#work.abort();
    this.#isLive = isLive;
    this.#follow.setAttribute("aria-pressed", String(isLive));
    setText(this.#follow, isLive ? "Stop following" : "Follow");
    this.#more.hidden = true;
    return this.#work.signal;
  }

  #say(how: string): void {
    const { length } = this.#pieces;
    const what = this.#isJson ? plural(length, "record") : byteSize(bytesOf(this.#pieces));
    const before = this.#taken - length;
    const text = `${what}${before > 0 ? `, after ${before} that are not shown` : ""}${how}`;
    setText(this.#status, text);
    say(text);
  }

  #show(): void {
    const format = FORMATS.find((name) => name === this.#format.control.value) ?? "auto";
    if (this.#pieces.length === 0) {
      this.#content.replaceChildren(emptyState(this.#isLive ? "Waiting for records…" : "Nothing."));
    } else if (this.#isJson) {
      // The last one first while it is followed.
      const pieces = this.#isLive ? this.#pieces.toReversed() : this.#pieces;
      this.#content.replaceChildren(tableOf(pieces, format));
    } else {
      const bytes = concatenated(this.#pieces.map((piece) => piece.bytes));
      this.#content.replaceChildren(valueView(bytes, format));
    }
  }
}

const isJsonType = (type: string | null): boolean => /^application\/json\b/i.test(type ?? "");

const bytesOf = (pieces: readonly Piece[]): number =>
  pieces.reduce((sum, { bytes }) => sum + bytes.length, 0);

function tableOf(pieces: readonly Piece[], format: Format): HTMLElement {
  const table = new Table<Piece>({
    caption: "Records",
    fixed: true,
    keyOf: ({ number }) => String(number),
    empty: () => null,
    columns: [
      {
        label: "Record",
        kind: "number",
        cell: (piece) =>
          button(String(piece.number), () => openRecord(piece, format), {
            class: "link",
            "data-item": true,
            "aria-label": `Record ${piece.number}`,
          }),
      },
      { label: "Value", kind: "data", cell: ({ bytes }) => preview(bytes, format) },
      { label: "Size", kind: "number", wide: true, cell: ({ bytes }) => byteSize(bytes.length) },
    ],
  });
  table.update(pieces);
  return table.element;
}

function openRecord({ number, bytes }: Piece, format: Format): void {
  const dialog = openDialog(
    `Record ${number}`,
    valueView(bytes, format),
    row(button("Close", () => dialog.close())),
  );
  dialog.element.classList.add("large");
}

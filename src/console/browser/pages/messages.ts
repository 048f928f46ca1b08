/** Messages of a topic: read page by page, searched, or followed. */

import type { MessageB64 as Message, PageB64 as Page } from "../../../api/consume.ts";
import type { OffsetsAt, Partition } from "../../../api/topics.ts";
import { send } from "../api.ts";
import { byteSize, count, plural, timeOf } from "../lib/format.ts";
import { consume, offsetsAt, produce } from "../lib/requests.ts";
import { mark } from "../router.ts";
import { say } from "../ui/announce.ts";
import { curlButton } from "../ui/curl.ts";
import { type Child, h, setText } from "../ui/dom.ts";
import { button, numberIn, row, selectField, textField } from "../ui/form.ts";
import { emptyState, Trouble } from "../ui/page.ts";
import { Table } from "../ui/table.ts";
import { FORMATS, type Format, previewOf } from "../ui/value-view.ts";
import { Follower } from "./follow.ts";
import { messagePanel } from "./message-panel.ts";
import { searchBackwards } from "./search.ts";
import type { TopicContext } from "./topic.ts";

const PAGE = 100;
/** Number of followed messages that remain on the page. */
const FOLLOWED_MAX = 500;
const FOUND_MAX = 200;
const ALL = "all";

export const messagesTab = (context: TopicContext): HTMLElement =>
  new MessageBrowser(context).element;

class MessageBrowser {
  readonly element: HTMLElement;
  readonly #context: TopicContext;
  readonly #trouble = new Trouble();
  readonly #status = h("p", { class: "status" });
  readonly #detail = h("div", { class: "detail-place" });
  readonly #partition;
  readonly #offset = textField("Offset", { inputmode: "numeric", class: "short" });
  readonly #time = textField("From time", { type: "datetime-local", step: "1" });
  readonly #format;
  readonly #search = textField("Search", {
    type: "search",
    "data-search": true,
    placeholder: "text in key or value",
  });
  readonly #live = button("Follow", () => this.#toggleLive(), {
    "aria-pressed": "false",
    "data-pause": true,
  });
  #table: Table<Message>;
  #messages: readonly Message[] = [];
  #partitions: readonly Partition[];
  #start = 0;
  #next = 0;
  #work = new AbortController();
  #isLive = false;

  constructor(context: TopicContext) {
    this.#context = context;
    const { partitions } = context.topic;
    const { query } = context.route;
    this.#partitions = partitions;
    const names = partitions.map(({ partition }) => String(partition));
    const choices = names.map((name) => ({ value: name, label: name }));
    this.#partition = selectField(
      "Partition",
      [...choices, { value: ALL, label: "all (search)" }],
      [...names, ALL].includes(query.get("partition") ?? "")
        ? (query.get("partition") ?? "")
        : fullest(partitions),
    );
    const formats = FORMATS.map((name) => ({ value: name, label: FORMAT_LABELS[name] }));
    this.#format = selectField("Show as", formats, query.get("format") ?? "auto");
    this.#table = this.#newTable();
    this.element = h(
      "div",
      { class: "messages" },
      this.#toolbar(),
      this.#trouble.element,
      this.#status,
      h("div", { class: "split" }, this.#table.element, this.#detail),
    );
    context.watch((topic) => {
      this.#partitions = topic.partitions;
    });
    context.signal.addEventListener("abort", () => this.#work.abort());
    void this.#begin();
  }

  /** Starts as the address says: searched, followed, from an offset, or at the newest messages. */
  #begin(): Promise<void> {
    const { query } = this.#context.route;
    this.#search.control.value = query.get("search") ?? "";
    if (query.get("follow") === "1") return Promise.resolve(this.#toggleLive());
    if (this.#search.control.value !== "") return this.#find();
    const offset = query.get("offset");
    return offset === null ? this.#newest() : this.#load(Number(offset));
  }

  #toolbar(): HTMLElement {
    const goTo = async () => {
      try {
        const offset = numberIn(this.#offset.control, "The offset");
        await (offset === null ? this.#newest() : this.#load(offset));
      } catch (error) {
        this.#trouble.show(error);
      }
    };
    const onEnter = (work: () => Promise<void>) => (event: KeyboardEvent) => {
      if (event.key === "Enter") void work();
    };
    this.#offset.control.addEventListener("keydown", onEnter(goTo));
    this.#time.control.addEventListener("change", () => void this.#fromTime());
    this.#search.control.addEventListener(
      "keydown",
      onEnter(() => this.#find()),
    );
    this.#partition.control.addEventListener("change", () => void this.#changePartition());
    this.#format.control.addEventListener("change", () => {
      this.#rebuild();
      this.#remember();
    });
    return h(
      "div",
      { class: "toolbar", role: "group", "aria-label": "Displayed messages" },
      this.#partition.element,
      this.#offset.element,
      button("Go", goTo),
      this.#time.element,
      this.#search.element,
      button("Search", () => this.#find()),
      row(
        button("Oldest", () => this.#load(0)),
        button("Older", () => this.#load(Math.max(0, this.#start - PAGE))),
        button("Newer", () => this.#load(this.#next)),
        button("Newest", () => this.#newest()),
        this.#live,
        this.#format.element,
        curlButton(() => this.#request(this.#start)),
      ),
    );
  }

  get #at(): Partition {
    const wanted = this.#partition.control.value;
    const found = this.#partitions.find(({ partition }) => String(partition) === wanted);
    return (
      found ?? this.#partitions[0] ?? { partition: 0, low_watermark: 0, end_offset: 0, bytes: 0 }
    );
  }

  get #shownAs(): Format {
    return FORMATS.find((format) => format === this.#format.control.value) ?? "auto";
  }

  #request(offset: number) {
    const { partition } = this.#at;
    return consume({ topic: this.#context.name, partition, offset, limit: PAGE });
  }

  /** If large messages fill the page before its end, fewer messages are requested. */
  async #newest(): Promise<void> {
    const signal = this.#startWork();
    await this.#trouble.watch(signal, async () => {
      const read = (from: number) => send<Page>(this.#request(from), signal);
      let { low_watermark: low, end_offset: end } = this.#at;
      let page = await read(Math.max(low, end - PAGE));
      // The known range of the partition may be two seconds old.
      ({ low_watermark: low, end_offset: end } = page);
      let span = Math.min(PAGE, end - low);
      if (page.next_offset < end) page = await read(end - span);
      while (page.truncated && span > 1) {
        span = Math.max(1, Math.min(page.messages.length, span >> 1));
        page = await read(end - span);
      }
      this.#showPage(page);
      // The newest messages change, so the address contains no offset.
      this.#remember();
    });
  }

  async #load(offset: number): Promise<void> {
    const signal = this.#startWork();
    if (!Number.isSafeInteger(offset)) return this.#trouble.show("The offset is not a number");
    await this.#trouble.watch(signal, async () => {
      this.#showPage(await send<Page>(this.#request(offset), signal));
      this.#remember({ offset });
    });
  }

  /** Shows the messages from a time on. The field has local time. */
  async #fromTime(): Promise<void> {
    const timeMs = Date.parse(this.#time.control.value);
    if (Number.isNaN(timeMs)) return;
    const { partition } = this.#at;
    const signal = this.#startWork();
    await this.#trouble.watch(signal, async () => {
      const { offsets } = await send<OffsetsAt>(offsetsAt(this.#context.name, timeMs), signal);
      const offset = offsets.find((each) => each.partition === partition)?.offset ?? 0;
      this.#showPage(await send<Page>(this.#request(offset), signal));
      this.#remember({ offset });
    });
  }

  #showPage({ messages, next_offset: next, low_watermark: low, end_offset: end }: Page): void {
    this.#start = messages[0]?.offset ?? Math.max(low, next);
    this.#next = next;
    this.#show(messages.toReversed());
    this.#say(
      `${plural(messages.length, "message")} from offset ${count(this.#start)}, newest first · ` +
        `first retained ${count(low)}, end ${count(end)}`,
    );
  }

  async #find(): Promise<void> {
    const wanted = this.#search.control.value;
    if (wanted === "") return this.#newest();
    const signal = this.#startWork();
    this.#remember({ search: wanted });
    const everywhere = this.#partition.control.value === ALL;
    const found: Message[] = [];
    this.#show([]);
    await this.#trouble.watch(signal, async () => {
      const search = {
        topic: this.#context.name,
        partitions: everywhere ? this.#partitions : [this.#at],
        wanted,
      };
      for await (const step of searchBackwards(search, signal)) {
        found.push(...step.found);
        found.sort((a, b) => b.timestamp_ms - a.timestamp_ms || b.offset - a.offset);
        const isFull = found.length >= FOUND_MAX;
        const progress = `searched ${count(step.scanned)} of ${count(step.total)}`;
        this.#show(found.slice(0, FOUND_MAX));
        this.#say(
          `${plural(found.length, "message")} found, newest first; ${progress}${isFull ? "; stopped at the limit" : ""}`,
          step.isLast || isFull,
        );
        if (isFull) break;
      }
    });
  }

  #changePartition(): Promise<void> {
    if (this.#search.control.value !== "") return this.#find();
    if (this.#partition.control.value === ALL) {
      this.#search.control.focus();
      return Promise.resolve();
    }
    return this.#newest();
  }

  #toggleLive(): void {
    if (this.#isLive) {
      this.#startWork();
      this.#remember();
      this.#say("Stopped following", true);
      return;
    }
    const signal = this.#startWork();
    this.#isLive = true;
    this.#live.setAttribute("aria-pressed", "true");
    setText(this.#live, "Stop following");
    this.#show([]);
    this.#remember({ follow: "1" });
    const { partition, end_offset: from } = this.#at;
    const follower = new Follower(this.#context.name, partition, from);
    this.#say(`Following partition ${partition} from offset ${count(from)}`, true);
    void follower.run(signal, {
      take: (messages) => {
        this.#show([...messages.toReversed(), ...this.#messages].slice(0, FOLLOWED_MAX));
        this.#say(
          `Following partition ${partition}: ${plural(follower.taken, "message")} received`,
        );
      },
      trouble: (text) => {
        if (text === "") this.#trouble.clear();
        else this.#trouble.show(text);
      },
    });
  }

  /** Aborts the current work and starts new work. */
  #startWork(): AbortSignal {
    this.#work.abort();
    this.#work = new AbortController();
    this.#isLive = false;
    this.#live.setAttribute("aria-pressed", "false");
    setText(this.#live, "Follow");
    if (this.#context.signal.aborted) this.#work.abort();
    return this.#work.signal;
  }

  #remember(query: Record<string, string | number> = {}): void {
    if (this.#context.signal.aborted) return;
    const format = this.#shownAs === "auto" ? null : this.#shownAs;
    const partition = this.#partition.control.value;
    mark(["topics", this.#context.name, "messages"], { partition, ...query, format });
  }

  #say(text: string, aloud = false): void {
    setText(this.#status, text);
    if (aloud) say(text);
  }

  #show(messages: readonly Message[]): void {
    this.#messages = messages;
    this.#table.update(messages);
  }

  #rebuild(): void {
    const before = this.#table.element;
    this.#table = this.#newTable();
    before.replaceWith(this.#table.element);
    this.#show(this.#messages);
  }

  #newTable(): Table<Message> {
    const format = this.#shownAs;
    return new Table<Message>({
      caption: "Messages",
      fixed: true,
      keyOf: ({ partition, offset }) => `${partition}/${offset}`,
      empty: () => this.#nothing(),
      columns: [
        { label: "Offset", kind: "number", cell: (message) => this.#opener(message) },
        { label: "Part.", kind: "number", wide: true, cell: ({ partition }) => String(partition) },
        { label: "Time", wide: true, cell: ({ timestamp_ms: ms }) => timeOf(ms) },
        { label: "Key", kind: "name", cell: ({ key_b64: key }) => previewOf(key, "auto") },
        { label: "Value", kind: "data", cell: ({ value_b64: v }) => previewOf(v, format) },
        {
          label: "Size",
          kind: "number",
          wide: true,
          cell: ({ value_b64: value }) => byteSize(base64Bytes(value)),
        },
      ],
    });
  }

  #opener(message: Message): HTMLElement {
    return button(count(message.offset), () => this.#open(message), {
      class: "link",
      "data-item": true,
      "aria-label": `Message ${message.offset}`,
    });
  }

  #open(message: Message): void {
    const opener = document.activeElement;
    const close = () => {
      this.#detail.replaceChildren();
      if (opener instanceof HTMLElement) opener.focus();
    };
    const panel = messagePanel(this.#context.name, message, this.#shownAs, close);
    this.#detail.replaceChildren(panel);
    panel.querySelector<HTMLElement>("h2")?.focus();
  }

  #nothing(): Child {
    if (this.#isLive) return emptyState("Waiting for the next message…");
    const { partition, low_watermark: low, end_offset: end } = this.#at;
    if (this.#search.control.value !== "" && end > low) return emptyState("Nothing found.");
    if (end > low) return emptyState("No messages from this offset on.");
    const request = produce({
      topic: this.#context.name,
      body: "hello",
      lines: false,
      partition,
      key: null,
      idempotencyKey: null,
      rocket: false,
    });
    return emptyState(`Partition ${partition} is empty. Write the first message:`, request);
  }
}

const FORMAT_LABELS = { auto: "detect", text: "text", json: "JSON", hex: "hex" } as const;

/** Returns the partition with the most messages, so that the page is not empty. */
function fullest(partitions: readonly Partition[]): string {
  const sizes = partitions.map((p) => ({ p, size: p.end_offset - p.low_watermark }));
  return String(sizes.sort((a, b) => b.size - a.size)[0]?.p.partition ?? 0);
}

const base64Bytes = (text: string): number =>
  (text.length / 4) * 3 - (text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0);

/** The producers of a topic that number their writes. */
import type { ProducerEntry, ProducerList } from "../../../api/producers.ts";
import { send } from "../api.ts";
import { count, duration, plural } from "../lib/format.ts";
import { forgetProducer, listProducers } from "../lib/requests.ts";
import { every } from "../poll.ts";
import { curlButton } from "../ui/curl.ts";
import { confirmDestruction } from "../ui/dialog.ts";
import { h, setText } from "../ui/dom.ts";
import { button, row } from "../ui/form.ts";
import { Trouble } from "../ui/page.ts";
import { Table } from "../ui/table.ts";
import type { TopicContext } from "./topic.ts";

const REFRESH_MS = 2000;
const WARNING =
  "Its numbers begin at 0 again, in all partitions of the topic. A request that it repeats may be " +
  "stored a second time. Its messages stay.";

export function topicProducersTab({ name, signal }: TopicContext): HTMLElement {
  const trouble = new Trouble();
  const remark = h("p", { class: "hint" });
  const table = new Table<ProducerEntry>({
    caption: `Producers of ${name}`,
    keyOf: ({ id, partition }) => `${partition} ${id}`,
    empty: () =>
      "No producer has numbered its writes. Requests with the headers Producer-Id, Producer-Epoch " +
      "and Producer-Seq are stored once, with one small entry for each producer.",
    columns: [
      { label: "Producer", kind: "name", cell: ({ id }) => id },
      { label: "Partition", kind: "number", cell: ({ partition }) => String(partition) },
      { label: "Epoch", kind: "number", cell: ({ epoch }) => count(epoch) },
      { label: "Last number", kind: "number", cell: ({ seq }) => count(seq) },
      { label: "Offset", kind: "number", cell: ({ offset }) => count(offset) },
      { label: "Last write", kind: "number", cell: (each) => ageOf(each.last_write_ms) },
      { label: "", cell: ({ id }) => button("Forget…", () => forget(id)) },
    ],
  });
  const load = () =>
    trouble.watch(signal, async () => {
      const { producers, total } = await send<ProducerList>(listProducers(name), signal);
      table.update(producers);
      const isCut = total > producers.length;
      setText(
        remark,
        isCut ? `The last ${count(producers.length)} of ${plural(total, "entry", "entries")}.` : "",
      );
    });
  const forget = (id: string) =>
    confirmDestruction({
      title: "Forget this producer",
      warning: WARNING,
      name: id,
      request: forgetProducer(name, id),
      done: () => void load(),
    });
  void every(REFRESH_MS, signal, load);
  return h(
    "div",
    { class: "stack" },
    trouble.element,
    table.element,
    remark,
    row(curlButton(() => listProducers(name))),
  );
}

const ageOf = (lastWriteMs: number): string =>
  `${duration(Math.max(0, Date.now() - lastWriteMs))} ago`;

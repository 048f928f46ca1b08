/** `ayder receive`: leases messages of a queue and prints them, as lines of JSON. */
import { type Arguments, type Command, EXIT, type Io } from "./command.ts";
import { connect, jsonLine, SERVER_OPTIONS } from "./server.ts";
import { durationIn } from "./times.ts";

export const RECEIVE: Command = {
  name: "receive",
  summary: "lease messages of a queue and print them",
  actions: [{ name: "", operands: "<queue>", summary: "", run: receive }],
  options: {
    ...SERVER_OPTIONS,
    max: { type: "string", short: "n", value: "N", help: "number of messages (default: 1)" },
    wait: {
      type: "string",
      value: "TIME",
      help: "wait for a message if there is none, such as 30s",
    },
    visibility: {
      type: "string",
      value: "TIME",
      help: "length of the lease (default: the queue's)",
    },
    ack: { type: "boolean", help: "acknowledge the messages when they are printed" },
  },
  notes: [
    "Prints one message per line, as JSON. Exits with 1 if there is none.",
    "Without --ack, nobody else gets a message before its lease ends.",
  ],
};

async function receive(args: Arguments, io: Io): Promise<number> {
  const queue = connect(args, io).queue(args.operand(0));
  const messages = await queue.receive({
    max: args.integer("max", 1) ?? 1,
    waitMs: durationIn(args, "wait"),
    visibilityMs: durationIn(args, "visibility"),
    signal: io.interrupted,
  });
  for (const message of messages) {
    const { topic, partition, offset, timestampMs, key, headers, attempt, receipt } = message;
    const line = { topic, partition, offset, timestampMs, key, attempt, receipt };
    const own = Object.keys(headers).length === 0 ? {} : { headers };
    const { visibleAtMs, text: value } = message;
    await io.out(jsonLine({ ...line, visibleAtMs, value, ...own }));
  }
  if (messages.length > 0 && args.flag("ack")) await queue.ack(messages);
  return messages.length === 0 ? EXIT.refused : EXIT.ok;
}

/** The requests and answers of `queue-workers.ts` in the protocol of each server: Ayder, Redis, NATS. */
import { rawRequest } from "./requests.ts";

/** One connection with one request in flight. */
export interface Exchange {
  /** Resolves when `isWhole` says that the answer is complete. */
  ask(request: string | Uint8Array, isWhole: (answer: string) => boolean): Promise<string>;
}

export type Protocol = {
  /** Sent once for each connection. */
  readonly open: (exchange: Exchange, worker: number) => Promise<void>;
  /** Stores one message. */
  readonly produce: (exchange: Exchange, worker: number) => Promise<void>;
  /** Receives up to `max` messages and acknowledges them. @returns how many there were. */
  readonly work: (exchange: Exchange, worker: number, max: number) => Promise<number>;
};

const VALUE = "x".repeat(64);
const PARTITIONS = 8;
const decoded = (request: string) => Buffer.from(request, "base64");

export const isHttp = (answer: string): boolean => {
  const end = answer.indexOf("\r\n\r\n");
  if (end < 0) return false;
  const head = answer.slice(0, end).toLowerCase();
  const at = head.indexOf("content-length:");
  return answer.length >= end + 4 + Number.parseInt(head.slice(at + 15), 10);
};

const PRODUCES = Array.from({ length: PARTITIONS }, (_, partition) =>
  decoded(rawRequest("POST", `/broker/topics/bench/produce?partition=${partition}`, VALUE)),
);
const RECEIVES = new Map<number, Buffer>();
const receiveOf = (max: number): Buffer => {
  const path = `/broker/queues/bench/receive?max=${max}&wait_ms=1000`;
  const request = RECEIVES.get(max) ?? decoded(rawRequest("POST", path, ""));
  RECEIVES.set(max, request);
  return request;
};

export const ayder: Protocol = {
  open: async () => {},
  async produce(exchange, worker) {
    const answer = await exchange.ask(PRODUCES[worker % PARTITIONS] as Buffer, isHttp);
    if (!answer.startsWith("HTTP/1.1 200")) throw new Error(answer);
  },
  async work(exchange, _worker, max) {
    const received = await exchange.ask(receiveOf(max), isHttp);
    if (!received.startsWith("HTTP/1.1 200")) throw new Error(received);
    const receipts: string[] = [];
    for (let at = 0; ; ) {
      const begin = received.indexOf('"receipt":"', at);
      if (begin < 0) break;
      at = received.indexOf('"', begin + 11);
      receipts.push(received.slice(begin + 10, at + 1));
    }
    if (receipts.length === 0) return 0;
    const body = `{"receipts":[${receipts.join(",")}]}`;
    const request =
      "POST /broker/queues/bench/ack HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer dev\r\n" +
      `Content-Length: ${body.length}\r\n\r\n${body}`;
    const acked = await exchange.ask(request, isHttp);
    if (acked.includes('"ok":false')) throw new Error(acked);
    return receipts.length;
  },
};

/** The position after a RESP value, or -1 if it is not complete. */
function endOfResp(text: string, at: number): number {
  const line = text.indexOf("\r\n", at);
  if (line < 0) return -1;
  const length = Number(text.slice(at + 1, line));
  switch (text[at]) {
    case "$":
      return length < 0 ? line + 2 : text.length >= line + 4 + length ? line + 4 + length : -1;
    case "*": {
      let end = line + 2;
      for (let i = 0; i < length && end > 0; i++) end = endOfResp(text, end);
      return end;
    }
    default:
      return line + 2;
  }
}
const isResp = (answer: string): boolean => endOfResp(answer, 0) > 0;
const resp = (...words: readonly string[]): string =>
  `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join("")}`;
const ID = /\$\d+\r\n(\d+-\d+)\r\n/g;

export const redis: Protocol = {
  open: async () => {},
  async produce(exchange) {
    await exchange.ask(resp("XADD", "bench", "*", "v", VALUE), isResp);
  },
  async work(exchange, worker, max) {
    const from = ["GROUP", "g", `w${worker}`, "COUNT", `${max}`, "STREAMS", "bench", ">"];
    const received = await exchange.ask(resp("XREADGROUP", ...from), isResp);
    const ids = [...received.matchAll(ID)].map(([, id]) => id ?? "");
    if (ids.length === 0) return 0;
    const acked = await exchange.ask(resp("XACK", "bench", "g", ...ids), isResp);
    if (Number(acked.slice(1, -2)) !== ids.length) throw new Error(acked);
    return ids.length;
  },
};

const CRLF = "\r\n";
const pub = (subject: string, reply: string, body: string): string =>
  `PUB ${subject} ${reply} ${body.length}${CRLF}${body}${CRLF}`;
/** Counts the messages in what the server has sent. */
const messagesIn = (answer: string): number => answer.split(`${CRLF}MSG `).length - 1;
/** Text with a line before the first message, so that all messages are found in the same way. */
const complete = (count: number) => (answer: string) =>
  messagesIn(CRLF + answer) >= count && answer.endsWith(CRLF);
const REPLY = /^MSG \S+ \S+ (\$JS\.ACK\.\S+) \d+\r?$/gm;

/** Without verbose answers. Acknowledgements are confirmed, as those of the others are. */
export const nats: Protocol = {
  async open(exchange, worker) {
    const hello = `CONNECT {"verbose":false,"headers":false}${CRLF}SUB in.${worker}.* 1${CRLF}PING${CRLF}`;
    await exchange.ask(hello, (answer) => answer.includes("PONG"));
  },
  async produce(exchange, worker) {
    await exchange.ask(pub("bench", `in.${worker}.p`, VALUE), complete(1));
  },
  async work(exchange, worker, max) {
    const request = JSON.stringify({ batch: max, no_wait: true });
    const subject = "$JS.API.CONSUMER.MSG.NEXT.bench.g";
    const received = await exchange.ask(pub(subject, `in.${worker}.r`, request), complete(max));
    const replies = [...received.matchAll(REPLY)].map(([, reply]) => reply ?? "");
    if (replies.length === 0) throw new Error(received);
    const acks = replies.map((reply) => pub(reply, `in.${worker}.a`, "+ACK")).join("");
    await exchange.ask(acks, complete(replies.length));
    return replies.length;
  },
};

export const PROTOCOLS: Readonly<Record<string, Protocol>> = { ayder, redis, nats };

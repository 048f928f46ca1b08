/** Writers of durable streams, and the check that nothing they were told is lost or there twice. */
import { StreamClient } from "../durable/stream-client.ts";
import type { Random } from "../random.ts";

const STREAMS = 6;
const FORK_EVERY = 40;
const CLOSE_EVERY = 300;
const RETRIES_MAX = 2;

type Writer = {
  path: string;
  readonly id: string;
  epoch: number;
  seq: number;
};
/** A stream as its writers know it. */
type Known = {
  /** Acknowledged values, each with a number of its own. */
  readonly acked: Set<string>;
  /** Sent, without an answer. */
  readonly unknown: Set<string>;
  /** The last number that was acknowledged to each producer. */
  readonly producers: Map<string, { epoch: number; seq: number; value: string }>;
  closed: boolean;
  end: string;
};

export class StreamModel {
  readonly #known = new Map<string, Known>();
  readonly #forks = new Map<string, { readonly text: string }>();
  #values = 0;
  appends = 0;

  /** Runs writers until the server is gone. */
  async write(url: string, random: Random, label: string, stopped: () => boolean): Promise<void> {
    const client = new StreamClient(url);
    const writers = Array.from(
      { length: 2 * STREAMS },
      (_, i): Writer => ({
        path: `crash/${i % STREAMS}`,
        id: `${label}-${i}`,
        epoch: 0,
        seq: 0,
      }),
    );
    await Promise.all(
      writers.map(async (writer) => {
        while (!stopped() && (await this.#once(client, random, writer)));
      }),
    );
  }

  /** @returns false once the server is gone. */
  async #once(client: StreamClient, random: Random, writer: Writer): Promise<boolean> {
    const { path } = writer;
    const known = this.#of(path);
    // The numbers of a producer are those of one stream.
    if (known.closed) Object.assign(writer, { path: `${path}+`, seq: 0 });
    else if (random.below(FORK_EVERY) === 0) return await this.#fork(client, path);
    else if (random.below(CLOSE_EVERY) === 0) return await this.#close(client, path);
    else return await this.#append(client, writer, known);
    return true;
  }

  /** Sends a number until there is an answer. */
  async #append(client: StreamClient, writer: Writer, known: Known): Promise<boolean> {
    const { path, id, epoch, seq } = writer;
    const value = `${this.#values++}`;
    known.unknown.add(value);
    const headers = {
      "producer-id": id,
      "producer-epoch": String(epoch),
      "producer-seq": String(seq),
    };
    for (let i = 0; i <= RETRIES_MAX; i++) {
      const answer = await client.post(path, { body: `${value}|`, headers }).catch(() => null);
      if (answer === null) continue;
      if (answer.status === 404) return (await client.put(path).catch(() => null)) !== null;
      if (answer.status === 409 && answer.headers.has("stream-closed")) {
        known.unknown.delete(value);
        known.closed = true;
        return true;
      }
      if (answer.status !== 200 && answer.status !== 204) {
        throw new Error(`${path}: ${id} ${epoch}/${seq} got ${answer.status} ${answer.text}`);
      }
      known.unknown.delete(value);
      known.acked.add(value);
      known.producers.set(id, { epoch, seq, value });
      if (answer.next > known.end) known.end = answer.next;
      this.appends++;
      writer.seq++;
      return true;
    }
    return false;
  }

  async #fork(client: StreamClient, path: string): Promise<boolean> {
    const fork = `${path}/fork/${this.#values++}`;
    const headers = { "stream-forked-from": `/v1/stream/${path}` };
    const answer = await client.put(fork, { headers }).catch(() => null);
    if (answer === null) return false;
    if (answer.status === 404) return true;
    if (answer.status !== 201) throw new Error(`${fork}: ${answer.status} ${answer.text}`);
    const read = await client.get(fork).catch(() => null);
    if (read?.status === 200) this.#forks.set(fork, { text: read.text });
    return read !== null;
  }

  async #close(client: StreamClient, path: string): Promise<boolean> {
    const headers = { "stream-closed": "true" };
    const answer = await client.post(path, { headers }).catch(() => null);
    if (answer === null) return false;
    if (answer.status === 204) this.#of(path).closed = true;
    return true;
  }

  #of(path: string): Known {
    const known = this.#known.get(path);
    if (known !== undefined) return known;
    const made: Known = {
      acked: new Set(),
      unknown: new Set(),
      producers: new Map(),
      closed: false,
      end: "",
    };
    this.#known.set(path, made);
    return made;
  }

  /** Reads everything back after a start. @throws Error for the first thing that does not hold. */
  async check(url: string): Promise<number> {
    const client = new StreamClient(url);
    let seen = 0;
    for (const [path, known] of this.#known) seen += await this.#checkStream(client, path, known);
    for (const [fork, { text }] of this.#forks) {
      const read = await client.get(fork);
      if (read.text !== text) throw new Error(`${fork} has other records than before`);
    }
    return seen;
  }

  async #checkStream(client: StreamClient, path: string, known: Known): Promise<number> {
    const read = await readAll(client, path);
    if (read === null) {
      if (known.acked.size > 0) throw new Error(`${path} is not there`);
      return 0;
    }
    const values = read.text.split("|").slice(0, -1);
    const found = new Set(values);
    if (found.size !== values.length) {
      const twice = values.find((value, at) => values.indexOf(value) !== at);
      throw new Error(`${path}: ${twice} is stored twice`);
    }
    for (const value of known.acked) {
      if (!found.has(value)) throw new Error(`${path}: ${value} was acknowledged and is lost`);
    }
    for (const value of values) {
      if (!known.acked.has(value) && !known.unknown.has(value)) {
        throw new Error(`${path}: ${value} was never sent, or was refused`);
      }
    }
    if (known.closed && !read.closed) throw new Error(`${path} is open and was closed`);
    if (read.next < known.end) throw new Error(`${path} ends at ${read.next}, before ${known.end}`);
    if (!read.closed) await this.#checkProducers(client, path, known);
    return values.length;
  }

  /** The last number of each producer is a duplicate, and the one behind the next a gap. */
  async #checkProducers(client: StreamClient, path: string, known: Known): Promise<void> {
    for (const [id, { epoch, seq, value }] of known.producers) {
      const send = (number: number) =>
        client.post(path, {
          body: `${value}|`,
          headers: {
            "producer-id": id,
            "producer-epoch": String(epoch),
            "producer-seq": String(number),
          },
        });
      const again = await send(seq);
      if (again.status !== 204) throw new Error(`${path}: ${id} ${seq} again got ${again.status}`);
      // An append without an answer may have been stored.
      const gap = await send(seq + 3);
      if (gap.status !== 409) throw new Error(`${path}: ${id} ${seq + 3} got ${gap.status}`);
    }
  }
}

async function readAll(client: StreamClient, path: string) {
  let text = "";
  for (let offset = "-1"; ; ) {
    const page = await client.get(`${path}?offset=${offset}`);
    if (page.status === 404) return null;
    if (page.status !== 200) throw new Error(`${path}: ${page.status} ${page.text}`);
    text += page.text;
    offset = page.next;
    const closed = page.headers.get("stream-closed") === "true";
    if (page.headers.get("stream-up-to-date") === "true") return { text, next: page.next, closed };
  }
}

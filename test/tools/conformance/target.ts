import { wrongAnswer } from "./answers.ts";

/**
 * The black-box suite knows only the address of the server under test and a token for everything.
 */
export type Target = {
  readonly url: string;
  readonly token: string;
  /** Tokens with less, where the server was started with them: `reader@read`, `orders@…orders.*`. */
  readonly reader?: string;
  readonly ordersWriter?: string;
  /** Awaited before each request: a follower may lag behind what the last answer acknowledged. */
  readonly catchUp?: () => Promise<unknown>;
};
export type TargetOf = () => Target;

export type Json = Record<string, unknown>;
export type Answer = {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array;
  /** The JSON body; empty if it is none. */
  readonly body: Json;
};
export type Ask = {
  readonly body?: string | Uint8Array<ArrayBuffer> | ReadableStream | Json;
  readonly headers?: Record<string, string>;
  /** Null: no Authorization header. Default: the token for everything. */
  readonly token?: string | null;
};

/** Names differ from run to run, so that the suite can be repeated against a kept data directory. */
const RUN = `${Date.now().toString(36)}${Math.floor(Math.random() * 1296).toString(36)}`;
let names = 0;
export const freshName = (hint: string): string => `${hint}-${RUN}-${names++}`;

export class Client {
  readonly #target: TargetOf;

  constructor(target: TargetOf) {
    this.#target = target;
  }

  /** @param line method and path, as in `GET /health`. */
  async ask(line: string, { body, headers = {}, token }: Ask = {}): Promise<Answer> {
    await this.#target().catchUp?.();
    const space = line.indexOf(" ");
    const bearer = token === undefined ? this.#target().token : token;
    const response = await fetch(this.#target().url + line.slice(space + 1), {
      method: line.slice(0, space),
      headers: { ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }), ...headers },
      redirect: "manual",
      ...(body === undefined ? {} : { body: bodyOf(body) }),
    });
    const bytes = await response.bytes();
    const answer = jsonOf(bytes);
    const isPage = response.headers.get("content-type") === "application/json" && bytes.length > 0;
    const wrong = isPage ? wrongAnswer(line, response.status, answer) : null;
    if (wrong !== null) throw new Error(wrong);
    return { status: response.status, headers: response.headers, bytes, body: answer };
  }

  /** The raw response, for answers without end. */
  async open(
    path: string,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): Promise<Response> {
    await this.#target().catchUp?.();
    const authorization = `Bearer ${this.#target().token}`;
    return fetch(this.#target().url + path, { headers: { authorization, ...headers }, signal });
  }

  async topic(hint: string, partitions = 2): Promise<string> {
    const name = freshName(hint);
    const { status } = await this.ask("POST /broker/topics", { body: { name, partitions } });
    if (status !== 200) throw new Error(`creating ${name}: ${status}`);
    return name;
  }

  produce(topic: string, body: Ask["body"], query = "partition=0", ask: Ask = {}): Promise<Answer> {
    return this.ask(`POST /broker/topics/${topic}/produce?${query}`, { ...ask, body: body ?? "" });
  }

  consume(topic: string, query = "offset=0", group = "g", partition = 0): Promise<Answer> {
    return this.ask(`GET /broker/consume/${topic}/${group}/${partition}?${query}`);
  }

  /** Texts of the messages of a page. */
  async values(topic: string, query = "offset=0"): Promise<unknown[]> {
    const { body } = await this.consume(topic, query);
    return messagesOf(body).map(({ value }) => value);
  }
}

export const messagesOf = (body: Json): Json[] => body["messages"] as Json[];
/** The value as bytes, however it came. */
export const valueBytes = (message: Json | undefined): Uint8Array =>
  message?.["value"] === undefined
    ? Buffer.from(String(message?.["value_b64"]), "base64")
    : Buffer.from(String(message["value"]));

const isJson = (body: Ask["body"]): body is Json =>
  typeof body === "object" && !(body instanceof Uint8Array) && !(body instanceof ReadableStream);
const bodyOf = (body: NonNullable<Ask["body"]>) => (isJson(body) ? JSON.stringify(body) : body);

function jsonOf(bytes: Uint8Array): Json {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof value === "object" && value !== null ? (value as Json) : {};
  } catch {
    return {};
  }
}

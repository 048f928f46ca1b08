/** Requests to streams, and their answers with the headers of the protocol. */
export type StreamAnswer = {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
  readonly next: string;
};

export type Send = {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  readonly type?: string;
  readonly signal?: AbortSignal;
};

export class StreamClient {
  readonly #url: string;
  readonly #token: string;

  constructor(url: string, token = "dev") {
    this.#url = url;
    this.#token = token;
  }

  put(path: string, send: Send = {}): Promise<StreamAnswer> {
    return this.send("PUT", path, send);
  }
  post(path: string, send: Send = {}): Promise<StreamAnswer> {
    return this.send("POST", path, send);
  }
  get(path: string, send: Send = {}): Promise<StreamAnswer> {
    return this.send("GET", path, send);
  }
  head(path: string): Promise<StreamAnswer> {
    return this.send("HEAD", path);
  }
  delete(path: string): Promise<StreamAnswer> {
    return this.send("DELETE", path);
  }

  /** @param path behind `/v1/stream/`, with a query. */
  async send(method: string, path: string, send: Send = {}): Promise<StreamAnswer> {
    const { headers = {}, body, type = "text/plain", signal } = send;
    const response = await fetch(`${this.#url}/v1/stream/${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.#token}`,
        ...(method === "PUT" || body !== undefined ? { "content-type": type } : {}),
        ...headers,
      },
      ...(body === undefined ? {} : { body }),
      ...(signal === undefined ? {} : { signal }),
    });
    const next = response.headers.get("stream-next-offset") ?? "";
    return {
      status: response.status,
      text: await response.text(),
      headers: response.headers,
      next,
    };
  }

  /** Reads events until one contains the text. */
  async events(path: string, until: string): Promise<string> {
    const abort = new AbortController();
    const response = await fetch(`${this.#url}/v1/stream/${path}`, {
      headers: { authorization: `Bearer ${this.#token}` },
      signal: abort.signal,
    });
    if (response.body === null) throw new Error("the answer has no body");
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    let text = "";
    for await (const chunk of response.body) {
      text += decoder.decode(chunk, { stream: true });
      if (text.includes(until) && text.endsWith("\n\n")) break;
    }
    abort.abort();
    return text;
  }
}

/** The code of an error. */
export const errorOf = ({ text }: StreamAnswer): unknown =>
  (JSON.parse(text) as { error: unknown }).error;

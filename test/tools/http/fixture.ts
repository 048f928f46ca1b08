/** The application on a fake node, with and without a socket. */
import { type App, createApp } from "../../../src/http/app.ts";
import { DEFAULT_LIMITS, type HttpOptions } from "../../../src/http/options.ts";
import { type RunningServer, startServer } from "../../../src/http/server.ts";
import { createInstruments } from "../../../src/metrics/instruments.ts";
import { SILENT } from "../../../src/metrics/log.ts";
import { FakeNode } from "./fake-node.ts";

export const TOKEN = "test-token";

export const httpOptions = (changes: Partial<HttpOptions> = {}): HttpOptions => ({
  auth: { tokens: TOKEN, skipPrefixes: [] },
  compat: "",
  limits: DEFAULT_LIMITS,
  defaultPartitions: 8,
  rocket: false,
  redirectStatus: 307,
  retryAfterSeconds: 1,
  version: "0.0.0",
  instruments: createInstruments(),
  log: SILENT,
  ...changes,
});

export type Answer = {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
};
export type Asked = {
  readonly method?: string;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  readonly headers?: Record<string, string>;
  readonly token?: string | null;
};

export type Fixture = {
  readonly node: FakeNode;
  readonly app: App;
  readonly options: HttpOptions;
  /** Method and path, as in `POST /kv/a/b`. */
  ask(line: string, asked?: Asked): Promise<Answer>;
};

export function fixture(changes: Partial<HttpOptions> = {}): Fixture {
  const node = new FakeNode();
  const options = httpOptions(changes);
  const app = createApp(node, options);
  return { node, app, options, ask: (line, asked) => ask(app, line, asked) };
}

async function ask(app: App, line: string, asked: Asked = {}): Promise<Answer> {
  const [method = "GET", path = "/"] = line.split(" ");
  const { token = TOKEN, body, headers = {} } = asked;
  const request = new Request(`http://localhost${path}`, {
    method,
    headers: { ...(token === null ? {} : { authorization: `Bearer ${token}` }), ...headers },
    ...(body === undefined ? {} : { body }),
  });
  const response = await app.fetch(request);
  const text = await response.text();
  const isJson = response.headers.get("content-type") === "application/json" && text !== "";
  return {
    status: response.status,
    headers: response.headers,
    body: isJson ? JSON.parse(text) : { text },
  };
}

/** A server on a free port; stop it in `afterAll`. */
export function startFixture(
  changes: Partial<HttpOptions> = {},
  idleTimeoutSeconds = 30,
  host = "127.0.0.1",
): Fixture & { readonly server: RunningServer } {
  const made = fixture(changes);
  const server = startServer(made.app, {
    host,
    port: 0,
    tls: null,
    idleTimeoutSeconds,
    log: SILENT,
  });
  return { ...made, server };
}

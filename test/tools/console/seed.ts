/** Creates sample topics, groups, keys and views with the public API. */

export class Api {
  readonly #url: string;
  readonly #token: string;

  constructor(url: string, token = "dev") {
    this.#url = url;
    this.#token = token;
  }

  /** @param line method and path. @throws Error for an answer other than 2xx. */
  async ask(line: string, body?: string | Uint8Array<ArrayBuffer> | object): Promise<unknown> {
    const [method = "", path = ""] = line.split(" ");
    const isPlain = body === undefined || typeof body === "string" || body instanceof Uint8Array;
    const response = await fetch(this.#url + path, {
      method,
      headers: { authorization: `Bearer ${this.#token}` },
      ...(body === undefined ? {} : { body: isPlain ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${line}: ${response.status} ${text}`);
    return JSON.parse(text);
  }
}

/** @throws Error for an answer other than 2xx. */
export async function putStream(
  url: string,
  path: string,
  contentType: string,
  body: string | Uint8Array<ArrayBuffer>,
): Promise<void> {
  const response = await fetch(`${url}/v1/stream/${path}`, {
    method: "PUT",
    headers: { authorization: "Bearer dev", "content-type": contentType },
    body,
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
}

const REGIONS = ["eu", "us", "ap"];

export async function seed(url: string): Promise<void> {
  const api = new Api(url);
  await api.ask("POST /broker/topics", { name: "sales", partitions: 4 });
  await api.ask("POST /broker/topics", { name: "users", partitions: 1 });
  await api.ask("POST /broker/topics", { name: "telemetry.raw", partitions: 2 });
  for (let partition = 0; partition < 4; partition++) {
    const lines = Array.from({ length: 120 * (partition + 1) }, (_, i) =>
      JSON.stringify({
        region: REGIONS[i % 3],
        amount: (i * 7) % 50,
        user: { id: i % 5, name: `user ${i % 5}` },
        items: [{ sku: `A-${i}`, qty: 1 + (i % 3) }],
      }),
    );
    const path = `/broker/topics/sales/produce-ndjson?partition=${partition}&key=customer-${partition}`;
    await api.ask(`POST ${path}`, lines.join("\n"));
  }
  await api.ask(
    "POST /broker/topics/users/produce-ndjson?partition=0",
    '{"id":1,"name":"Ada"}\n{"id":2,"name":"Bo"}\n',
  );
  for (let i = 0; i < 20; i++) {
    const bytes = Uint8Array.from({ length: 40 + i }, (_, at) => (at * 37 + i * 11) % 256);
    await api.ask("POST /broker/topics/telemetry.raw/produce?partition=0&key=probe", bytes);
  }
  for (const [group, partition, offset] of [
    ["billing", 0, 100],
    ["billing", 1, 240],
    ["billing", 2, 10],
    ["search:indexer", 3, 480],
  ]) {
    await api.ask("POST /broker/commit", { topic: "sales", group, partition, offset });
  }
  await api.ask("POST /broker/retention", { topic: "sales", ttl_ms: 86_400_000 });
  await api.ask("POST /kv/config/color", "blue");
  await api.ask("POST /kv/config/limits/eu", '{"rps":500,"burst":1000}');
  await api.ask("POST /kv/config/session?ttl_ms=3600000", "short-lived");
  await api.ask("POST /kv/sessions/a1", new Uint8Array([0xff, 0, 1, 2]));
  await putStream(
    url,
    "chat/42",
    "application/json",
    '[{"role":"user","text":"Hello"},12345678901234567890]',
  );
  await putStream(url, "raw", "application/octet-stream", new Uint8Array([0, 255, 65]));
  await api.ask("PUT /broker/views/revenue", {
    source: { topic: "sales" },
    aggregate: { group_by: ["region"], measures: [{ op: "sum", field: "amount", as: "revenue" }] },
  });
}

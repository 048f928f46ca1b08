/** Enough of an S3-compatible store for an upload in parts and reads by range, in memory. */
import { createHash } from "node:crypto";

const ACCESS_KEY = "test-access-key";
const PART_BYTES_MIN = 5 * 1024 * 1024;

type Upload = { readonly key: string; readonly parts: Map<number, Buffer> };

export class S3Server {
  readonly #host: string;
  readonly #server: Bun.Server<undefined>;
  readonly #uploads = new Map<string, Upload>();
  readonly objects = new Map<string, Buffer>();
  /** Objects a page of a listing holds at most. */
  pageKeys = 1000;
  /** A listing ignores where it is to go on. */
  repeatsPages = false;
  /** Method and what it was about, as asked. */
  readonly asked: string[] = [];
  /** Requests that have this in their line get 500, as often as the number says. */
  failing = { line: "", times: 0 };
  /** An answer instead of the usual one; null: the usual one. The body is not read yet. */
  interfere: (line: string) => Response | Promise<Response> | null = () => null;
  /** Bytes that are missing from objects that are put. */
  cutsObjects = 0;

  constructor(host = "127.0.0.1") {
    this.#host = host.includes(":") ? `[${host}]` : host;
    this.#server = Bun.serve({
      hostname: host,
      port: 0,
      maxRequestBodySize: 1024 * 1024 * 1024,
      fetch: (request) => this.#answer(request),
    });
  }

  get openUploads(): number {
    return this.#uploads.size;
  }

  environment(): Record<string, string> {
    return {
      S3_ENDPOINT: `http://${this.#host}:${this.#server.port}`,
      S3_ACCESS_KEY_ID: ACCESS_KEY,
      S3_SECRET_ACCESS_KEY: "test-secret",
      S3_REGION: "us-east-1",
    };
  }

  async stop(): Promise<void> {
    await this.#server.stop(true);
  }

  async #answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const key = decodeURIComponent(url.pathname.slice(1));
    const upload = url.searchParams.get("uploadId");
    const part = url.searchParams.get("partNumber");
    const refused = this.#refusal(request, `${request.method} ${key}${url.search}`);
    if (refused !== null) return refused;
    const other = this.interfere(`${request.method} ${key}${url.search}`);
    if (other !== null) return await other;
    if (url.searchParams.get("list-type") === "2") return this.#list(key, url.searchParams);
    if (request.method === "GET" || request.method === "HEAD") return this.#read(request, key);
    const body = Buffer.from(await request.arrayBuffer());
    if (request.method === "PUT" && upload !== null)
      return this.#putPart(upload, Number(part), body);
    if (request.method === "PUT") return this.#put(key, body);
    if (request.method === "DELETE" && upload !== null) {
      return this.#uploads.delete(upload) ? new Response(null, { status: 204 }) : unknownUpload();
    }
    if (request.method === "DELETE") {
      this.objects.delete(key);
      return new Response(null, { status: 204 });
    }
    if (request.method !== "POST") return failure(405, "MethodNotAllowed");
    return upload === null ? this.#begin(key) : this.#complete(upload, body.toString());
  }

  #refusal(request: Request, line: string): Response | null {
    this.asked.push(line);
    const authorization = request.headers.get("authorization") ?? "";
    const isSigned = authorization.startsWith(`AWS4-HMAC-SHA256 Credential=${ACCESS_KEY}/`);
    if (!isSigned || !/Signature=[0-9a-f]{64}$/.test(authorization)) {
      return failure(403, "AccessDenied");
    }
    if (this.failing.times === 0 || !line.includes(this.failing.line)) return null;
    this.failing.times--;
    return failure(500, "InternalError");
  }

  #read(request: Request, key: string): Response {
    const object = this.objects.get(key);
    if (object === undefined) return failure(404, "NoSuchKey");
    const headers = { etag: etagOf(object), "content-type": "application/octet-stream" };
    if (request.method === "HEAD") {
      return new Response(null, { headers: { ...headers, "content-length": `${object.length}` } });
    }
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.get("range") ?? "");
    if (range === null) return new Response(new Uint8Array(object), { headers });
    const from = Number(range[1]);
    const to = range[2] === "" ? object.length - 1 : Math.min(Number(range[2]), object.length - 1);
    if (from >= object.length) return failure(416, "InvalidRange");
    return new Response(new Uint8Array(object.subarray(from, to + 1)), {
      status: 206,
      headers: { ...headers, "content-range": `bytes ${from}-${to}/${object.length}` },
    });
  }

  #list(bucket: string, query: URLSearchParams): Response {
    const before = `${bucket.replace(/\/$/, "")}/`;
    const prefix = query.get("prefix") ?? "";
    const after = this.repeatsPages ? "" : (query.get("start-after") ?? "");
    const keys = [...this.objects.keys()]
      .filter((name) => name.startsWith(before))
      .map((name) => name.slice(before.length))
      .filter((key) => key.startsWith(prefix) && key > after)
      .sort();
    const page = keys.slice(0, this.pageKeys);
    const contents = page.map((key) => {
      const size = this.objects.get(before + key)?.length;
      return `<Contents><Key>${key}</Key><Size>${size}</Size></Contents>`;
    });
    return xml(
      `<ListBucketResult><IsTruncated>${keys.length > page.length}</IsTruncated>${contents.join("")}</ListBucketResult>`,
    );
  }

  #put(key: string, body: Buffer): Response {
    this.objects.set(key, body.subarray(0, body.length - this.cutsObjects));
    return new Response(null, { headers: { etag: etagOf(body) } });
  }

  #begin(key: string): Response {
    const id = crypto.randomUUID();
    this.#uploads.set(id, { key, parts: new Map() });
    return xml(
      `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
    );
  }

  #putPart(id: string, part: number, body: Buffer): Response {
    const upload = this.#uploads.get(id);
    if (upload === undefined) return unknownUpload();
    upload.parts.set(part, body);
    return new Response(null, { headers: { etag: etagOf(body) } });
  }

  /** Parts in the order of their numbers; each with the etag that it was given, as S3 wants it. */
  #complete(id: string, body: string): Response {
    const upload = this.#uploads.get(id);
    if (upload === undefined) return unknownUpload();
    const named = [...body.matchAll(/<Part>[\s\S]*?<\/Part>/g)].map(([text]) => ({
      part: Number(/<PartNumber>(\d+)</.exec(text)?.[1]),
      etag: (/<ETag>(.*?)<\/ETag>/.exec(text)?.[1] ?? "").replaceAll("&quot;", '"'),
    }));
    const parts = named.map(({ part }) => upload.parts.get(part));
    const isRight = named.every(({ part, etag }, i) => {
      const bytes = parts[i];
      const isLarge = i === named.length - 1 || (bytes?.length ?? 0) >= PART_BYTES_MIN;
      return part === i + 1 && bytes !== undefined && isLarge && etagOf(bytes) === etag;
    });
    if (!isRight || named.length === 0) return failure(400, "InvalidPart");
    this.#uploads.delete(id);
    const whole = Buffer.concat(parts.filter((bytes) => bytes !== undefined));
    this.objects.set(upload.key, whole);
    return xml(
      `<CompleteMultipartUploadResult><ETag>${etagOf(whole)}</ETag></CompleteMultipartUploadResult>`,
    );
  }
}

const etagOf = (bytes: Uint8Array) => `"${createHash("md5").update(bytes).digest("hex")}"`;
const xml = (text: string) =>
  new Response(`<?xml version="1.0"?>${text}`, { headers: { "content-type": "application/xml" } });
const unknownUpload = () => failure(404, "NoSuchUpload");

function failure(status: number, code: string): Response {
  const text = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`;
  return new Response(text, { status, headers: { "content-type": "application/xml" } });
}

// Goal: length, type, date, connection and tag of every kind of answer are exact, byte for byte.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { connect } from "node:net";
import { startFixture, TOKEN } from "../tools/http/fixture.ts";

const { server, ask } = startFixture();
const big = "x".repeat(300_000);
beforeAll(async () => {
  for (let i = 0; i < 2; i++) await ask("POST /broker/topics/t/produce?partition=0", { body: big });
  await ask("POST /kv/n/k", { body: "v" });
  await ask("POST /kv/n/big", { body: big });
});
afterAll(() => server.stop(0));

type Received = {
  readonly statusLine: string;
  /** Names in lower case, without Date. */
  readonly headers: Readonly<Record<string, string>>;
  readonly hasDate: boolean;
  readonly body: string;
};
type Exchange = Received & {
  readonly answers: readonly Received[];
  /** The server ended the connection; otherwise it has answered one more request on it. */
  readonly ended: boolean;
};

const DATE = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/;
const FIELDS = `Host: localhost\r\nAuthorization: Bearer ${TOKEN}\r\n`;
const NEXT = `GET /health HTTP/1.1\r\n${FIELDS}\r\n`;
const LAST = "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/**
 * Sends bytes and reads the answers, then one more request, whose answer must follow at once.
 *
 * @param count number of answers that are expected.
 */
function receive(text: string, count = 1): Promise<Exchange> {
  const heads = [...text.matchAll(/(?:^|\r\n\r\n|[a-z])([A-Z]+) [^ ]+ HTTP/g)];
  const methods = heads.map(([, method = ""]) => method);
  return new Promise((resolve, reject) => {
    let all = "";
    let asked = false;
    const socket = connect({ port: server.port, host: "127.0.0.1", allowHalfOpen: true });
    socket.on("data", (bytes) => {
      all += bytes.toString("latin1");
      if (asked || answersIn(all, methods, false).length < count) return;
      asked = true;
      socket.write(LAST);
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      try {
        const answers = [...answersIn(all, methods, true)];
        const ended = answers.length === count;
        if (!ended) expect(answers.pop()?.body).toBe('{"ok":true}');
        expect(answers.length).toBe(count);
        resolve({ ...(answers[0] as Received), answers, ended });
      } catch (error) {
        reject(error);
      }
    });
    socket.on("end", () => socket.end());
    socket.write(text);
  });
}

/** The whole answers among the bytes. @param isEnd nothing follows: this may be the end of a body. */
function answersIn(all: string, methods: readonly string[], isEnd: boolean): readonly Received[] {
  const answers: Received[] = [];
  let at = 0;
  for (let i = 0; at < all.length; ) {
    const end = all.indexOf("\r\n\r\n", at);
    if (end < 0) break;
    const head = headOf(all.slice(at, end));
    const isInterim = head.statusLine.startsWith("HTTP/1.1 1");
    const isBare = methods[i] === "HEAD" || head.statusLine.includes(" 304 ") || isInterim;
    const body = isBare ? { text: "", end: end + 4 } : bodyAt(all, end + 4, head.headers, isEnd);
    if (body === null) break;
    answers.push({ ...head, body: body.text });
    at = body.end;
    if (!isInterim) i++;
  }
  if (isEnd) expect(at).toBe(all.length);
  return answers;
}

function headOf(text: string): Omit<Received, "body"> {
  const [statusLine = "", ...lines] = text.split("\r\n");
  const pairs = lines.map((line): [string, string] => {
    const colon = line.indexOf(": ");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 2)];
  });
  // No header twice.
  expect(new Set(pairs.map(([name]) => name)).size).toBe(pairs.length);
  const { date, ...headers } = Object.fromEntries(pairs);
  if (date !== undefined) expect(date).toMatch(DATE);
  return { statusLine, headers, hasDate: date !== undefined };
}

/** @returns null if it is not whole yet. */
function bodyAt(all: string, start: number, headers: Received["headers"], isEnd: boolean) {
  const length = headers["content-length"];
  if (length !== undefined) {
    const end = start + Number(length);
    return end > all.length ? null : { text: all.slice(start, end), end };
  }
  if (headers["transfer-encoding"] === "chunked") return chunksAt(all, start);
  return isEnd ? { text: all.slice(start), end: all.length } : null;
}

function chunksAt(all: string, start: number) {
  let text = "";
  for (let at = start; ; ) {
    const line = all.indexOf("\r\n", at);
    if (line < 0) return null;
    const length = Number.parseInt(all.slice(at, line), 16);
    const end = line + 2 + length + 2;
    if (end > all.length) return null;
    if (length === 0) return { text, end };
    text += all.slice(line + 2, line + 2 + length);
    at = end;
  }
}

const send = (line: string, rest = "", version = "1.1", count = 1) =>
  receive(
    `${line} HTTP/${version}\r\n${FIELDS}${rest}${rest.includes("\r\n\r\n") ? "" : "\r\n"}`,
    count,
  );
const JSON_TYPE = { "content-type": "application/json" };
const CHUNKED = { "transfer-encoding": "chunked" };

test("HEAD tells the length of GET, or that the answer is sent in pieces, and the date", async () => {
  const cases: readonly [string, string, Record<string, string>][] = [
    ["/health", "200 OK", { ...JSON_TYPE, "content-length": "11" }],
    ["/kv/n/k", "200 OK", { ...JSON_TYPE, "content-length": "24" }],
    ["/kv/n/k/meta", "200 OK", { ...JSON_TYPE, "content-length": "30" }],
    ["/kv/n/big", "200 OK", { ...JSON_TYPE, "content-length": "400020", vary: "accept-encoding" }],
    [
      "/broker/consume/t/g/0?offset=0&limit=1",
      "200 OK",
      { ...JSON_TYPE, "content-length": "300179", vary: "accept-encoding" },
    ],
    [
      "/broker/consume/t/g/0?offset=0",
      "200 OK",
      { ...JSON_TYPE, ...CHUNKED, vary: "accept-encoding" },
    ],
    [
      "/broker/consume/t/g/0?follow=1",
      "200 OK",
      {
        "content-type": "application/x-ndjson",
        ...CHUNKED,
        "cache-control": "no-store",
        "x-accel-buffering": "no",
      },
    ],
    [
      "/admin/backup",
      "200 OK",
      { "content-type": "application/octet-stream", ...CHUNKED, "cache-control": "no-store" },
    ],
    [
      "/kv/n/none",
      "404 Not Found",
      { ...JSON_TYPE, "content-length": "105", link: '</docs/kv>; rel="help"' },
    ],
    [
      "/broker/topics/t/produce",
      "405 Method Not Allowed",
      { ...JSON_TYPE, "content-length": "165", allow: "POST", link: '</docs/errors>; rel="help"' },
    ],
    ["/kv/n/%2e", "400 Bad Request", { ...JSON_TYPE, link: '</docs/kv>; rel="help"' }],
  ];
  for (const [path, status, headers] of cases) {
    const head = await send(`HEAD ${path}`);
    // The length of this message is tested where the message is.
    const { "content-length": length, ...others } = head.headers;
    const seen = "content-length" in headers || length === undefined ? head.headers : others;
    expect([path, head.statusLine, seen]).toEqual([path, `HTTP/1.1 ${status}`, headers]);
    expect([head.hasDate, head.body, head.ended]).toEqual([true, "", false]);
    if (/follow|backup/.test(path)) continue;
    const get = await send(`GET ${path}`);
    expect(get.hasDate).toBe(true);
    if (status === "405 Method Not Allowed") continue;
    const { "content-length": getLength, "transfer-encoding": _, ...rest } = get.headers;
    const { "content-length": headLength, "transfer-encoding": __, ...same } = head.headers;
    expect(rest).toEqual(same);
    if (getLength !== undefined) expect(headLength).toBe(getLength);
  }
});

test("304 has the tag and neither a length nor a type nor a body", async () => {
  for (const method of ["GET", "HEAD"]) {
    for (const tag of ['"1"', 'W/"1"', '"x", "1"', "*"]) {
      const { statusLine, headers, hasDate, body, ended } = await send(
        `${method} /kv/n/k`,
        `If-None-Match: ${tag}\r\n`,
      );
      expect(statusLine).toBe("HTTP/1.1 304 Not Modified");
      expect(headers).toEqual({ etag: '"1"', vary: "accept" });
      expect([hasDate, body, ended]).toEqual([true, "", false]);
    }
  }
  const other = await send("HEAD /kv/n/k", 'If-None-Match: "2"\r\n');
  expect(other.headers).toEqual({
    ...JSON_TYPE,
    etag: '"1"',
    vary: "accept",
    "content-length": "24",
  });
});

test("a short Host changes nothing", async () => {
  for (const path of ["/kv/n/k", "/kv/n/big", "/broker/consume/t/g/0?offset=0", "/health"]) {
    const named = await send(`HEAD ${path}`);
    const short = `HEAD ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`;
    expect(await receive(short)).toEqual(named);
  }
});

test("HTTP/1.0 gets no chunks, and the end of the connection is the end of the answer", async () => {
  for (const connection of ["", "Connection: keep-alive\r\n"]) {
    const small = await send("GET /health", connection, "1.0");
    expect(small.headers).toEqual({ ...JSON_TYPE, "content-length": "11" });
    expect([small.body, small.ended]).toEqual(['{"ok":true}', true]);
    const large = await send("GET /kv/n/big", connection, "1.0");
    expect(large.headers).toEqual({ ...JSON_TYPE, vary: "accept-encoding" });
    expect([large.body.length, large.ended]).toEqual([400_020, true]);
    const pieces = await send("GET /broker/consume/t/g/0?offset=0", connection, "1.0");
    expect(pieces.headers).toEqual({ ...JSON_TYPE, vary: "accept-encoding" });
    expect([JSON.parse(pieces.body).count, pieces.ended]).toEqual([2, true]);
    const kept = await receive(`GET /health HTTP/1.0\r\n${connection}\r\n`);
    expect([kept.statusLine, kept.body]).toEqual(["HTTP/1.1 200 OK", '{"ok":true}']);
  }
});

test("a connection ends after its answer if the client says so, and if the server does", async () => {
  const { headers, body, ended } = await send("GET /health", "Connection: close\r\n");
  expect([headers["content-length"], body, ended]).toEqual(["11", '{"ok":true}', true]);
  const open = await send("GET /health");
  expect(open.ended).toBe(false);
});

test("a target with scheme and host is the same as one without", async () => {
  for (const target of ["http://x/kv/n/k", "HTTP://x/kv/n/k", "http://other.example:99/kv/n/k"]) {
    const got = await send(`GET ${target}`);
    expect([target, got.statusLine]).toEqual([target, "HTTP/1.1 200 OK"]);
    expect(JSON.parse(got.body)).toEqual({ value: "dg==", cas: 1 });
    const head = await send(`HEAD ${target}`);
    expect(head.headers["content-length"]).toBe("24");
  }
  const none = await send("GET http://x");
  expect(JSON.parse(none.body).message).toStartWith('There is no route "/";');
  const changed = await send("GET http://x/kv/n/../n/k");
  expect(JSON.parse(changed.body).error).toBe("invalid_key");
});

test("a body that nobody reads does not become the next request", async () => {
  const bodies = [
    "Content-Length: 5\r\n\r\nabcde",
    "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
  ];
  for (const body of bodies) {
    for (const [line, status] of [
      ["POST /nope", 404],
      ["GET /ready", 200],
      ["DELETE /health", 405],
      ["POST /health", 405],
    ] as const) {
      const request = `${line} HTTP/1.1\r\n${FIELDS}${body}${NEXT}`;
      const { statusLine, answers, ended } = await receive(request, 2);
      expect([line, statusLine.split(" ")[1]]).toEqual([line, String(status)]);
      expect([answers[1]?.body, ended]).toEqual(['{"ok":true}', false]);
    }
  }
  const refused = await receive(
    `POST /kv/n/e HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde${NEXT}`,
    2,
  );
  expect(refused.statusLine).toBe("HTTP/1.1 401 Unauthorized");
  expect(refused.answers[1]?.body).toBe('{"ok":true}');
});

test("a body that is too long by its announced length is refused before it comes", async () => {
  const length = 1_048_577;
  const { statusLine, headers, body, answers, ended } = await receive(
    `POST /kv/n/e HTTP/1.1\r\n${FIELDS}Content-Length: ${length}\r\n\r\n${"z".repeat(length)}${NEXT}`,
    2,
  );
  expect(statusLine).toBe("HTTP/1.1 413 Payload Too Large");
  expect(headers["content-length"]).toBe(String(body.length));
  expect(JSON.parse(body)).toMatchObject({ error: "message_too_large", limit: 1_048_576 });
  expect([answers[1]?.body, ended]).toEqual(['{"ok":true}', false]);
});

test("Expect: 100-continue is answered with 100, then with the answer", async () => {
  const whole = await send(
    "POST /kv/n/e",
    "Expect: 100-continue\r\nContent-Length: 1\r\n\r\nv",
    "1.1",
    2,
  );
  expect(whole.answers.map(({ statusLine }) => statusLine)).toEqual([
    "HTTP/1.1 100 Continue",
    "HTTP/1.1 200 OK",
  ]);
  expect([whole.headers, whole.hasDate]).toEqual([{}, false]);
});

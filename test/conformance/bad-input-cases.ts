/** The rows of the bad-input suite. Text is Latin-1, so that every byte can be written. */
type Place = { readonly topic: string; readonly token: string };
export type BadInput = {
  readonly id: string;
  readonly send: (place: Place) => readonly string[];
  /** 0: the connection ends without an answer. Several where the HTTP parser answers first. */
  readonly expectStatus: number | readonly number[];
  /** Default false: not looked at. */
  readonly expectClose?: boolean;
  /** End our side after sending. */
  readonly finish?: boolean;
  /** Records that the request may store. Default 0. */
  readonly stores?: number | readonly number[];
};

const HOST = "Host: localhost\r\n";
const auth = ({ token }: Place): string => `Authorization: Bearer ${token}\r\n`;
const produceLine = ({ topic }: Place): string =>
  `POST /broker/topics/${topic}/produce?partition=0 HTTP/1.1\r\n`;

/** A produce with the given headers and body. */
const produce =
  (headers: string, body = "abc") =>
  (place: Place): readonly string[] => [
    `${produceLine(place)}${HOST}${auth(place)}${headers}\r\n${body}`,
  ];
/** A GET with a token. */
const get =
  (path: string, headers = HOST) =>
  (place: Place): readonly string[] => [
    `GET ${path.replace("TOPIC", place.topic)} HTTP/1.1\r\n${headers}${auth(place)}\r\n`,
  ];
const line =
  (text: string) =>
  (place: Place): readonly string[] => [`${text}\r\n${HOST}${auth(place)}\r\n`];
const raw = (text: string) => (): readonly string[] => [text];

const FRAMING: readonly BadInput[] = [
  {
    id: "CL and TE",
    send: produce("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    expectStatus: 400,
    expectClose: true,
  },
  {
    id: "TE and CL",
    send: produce("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "0\r\n\r\n"),
    expectStatus: 400,
    expectClose: true,
  },
  {
    id: "two different CL",
    send: produce("Content-Length: 3\r\nContent-Length: 4\r\n"),
    expectStatus: 400,
    expectClose: true,
  },
  {
    id: "two equal CL",
    send: produce("Content-Length: 3\r\nContent-Length: 3\r\n"),
    expectStatus: 400,
  },
  {
    id: "CL 3, 3",
    send: produce("Content-Length: 3, 3\r\n"),
    expectStatus: 400,
    expectClose: true,
  },
  ...["+3", "-1", "0x3", "3.0", "18446744073709551616", "", "three", "3 3"].map((length) => ({
    id: `CL ${JSON.stringify(length)}`,
    send: produce(`Content-Length: ${length}\r\n`),
    expectStatus: [400, 413],
  })),
  ...["xchunked", "chunked, identity", "chunked, chunked", "identity", "gzip, chunked"].map(
    (coding) => ({
      id: `TE ${coding}`,
      send: produce(`Transfer-Encoding: ${coding}\r\n`, "3\r\nabc\r\n0\r\n\r\n"),
      expectStatus: [400, 501],
    }),
  ),
  {
    id: "space before colon",
    send: produce("Content-Length : 3\r\n"),
    expectStatus: 400,
    expectClose: true,
  },
  {
    id: "folded header",
    send: produce("X-A: 1\r\n 2\r\nContent-Length: 3\r\n"),
    expectStatus: 400,
    expectClose: true,
  },
  {
    id: "bare line feeds",
    send: (place) => [`GET /health HTTP/1.1\nHost: x\n${auth(place)}\n`],
    expectStatus: [400, 505],
    expectClose: true,
  },
  {
    id: "NUL in a header",
    send: produce("X-A: a\0b\r\nContent-Length: 3\r\n"),
    expectStatus: 400,
    expectClose: true,
  },
  {
    id: "bare CR in a header",
    send: produce("X-A: a\rb\r\nContent-Length: 3\r\n"),
    expectStatus: 400,
    expectClose: true,
  },
  {
    id: "control byte in a header name",
    send: produce("X\x01A: 1\r\nContent-Length: 3\r\n"),
    expectStatus: 400,
    expectClose: true,
  },
  {
    id: "header without colon",
    send: produce("NoColon\r\nContent-Length: 3\r\n"),
    expectStatus: 400,
    expectClose: true,
  },
  ...["-3", "0x3", "fffffffffffffffff", "", "g", " 3"].map((size) => ({
    id: `chunk size ${JSON.stringify(size)}`,
    send: produce("Transfer-Encoding: chunked\r\n", `${size}\r\nabc\r\n0\r\n\r\n`),
    expectStatus: [0, 400],
    expectClose: true,
  })),
  {
    id: "chunk without its line end",
    send: produce("Transfer-Encoding: chunked\r\n", "3\r\nabcX0\r\n\r\n"),
    expectStatus: [0, 400],
    expectClose: true,
  },
  {
    id: "chunk extension",
    send: produce("Transfer-Encoding: chunked\r\n", "3;a=b\r\nabc\r\n0\r\n\r\n"),
    expectStatus: 200,
    stores: 1,
  },
  {
    id: "a thousand chunks of one byte",
    send: produce("Transfer-Encoding: chunked\r\n", `${"1\r\na\r\n".repeat(1000)}0\r\n\r\n`),
    expectStatus: 200,
    stores: 1,
  },
  {
    id: "a trailer named Authorization",
    send: (place) => [
      `${produceLine(place)}${HOST}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n${auth(place)}\r\n`,
    ],
    expectStatus: 401,
  },
  {
    id: "CL 10, 3 bytes, end",
    send: produce("Content-Length: 10\r\n"),
    expectStatus: [0, 400],
    expectClose: true,
    finish: true,
  },
  {
    id: "two requests in one packet",
    send: (place) => [produce("Content-Length: 1\r\n", "a")(place).join("").repeat(2)],
    // Bun ends a connection on which a second request comes before the first is answered.
    expectStatus: [0, 200],
    stores: [0, 1, 2],
  },
  {
    id: "a request in many packets",
    send: (place) => [...produce("Content-Length: 3\r\n")(place).join("")],
    expectStatus: 200,
    stores: 1,
  },
  {
    id: "Expect: 100-continue",
    send: produce("Expect: 100-continue\r\nContent-Length: 3\r\n"),
    expectStatus: 100,
    stores: 1,
  },
  {
    id: "an upgrade to h2c",
    send: get(
      "/broker/topics",
      `${HOST}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n`,
    ),
    expectStatus: 200,
  },
  {
    id: "an upgrade to websocket",
    send: get(
      "/broker/topics",
      `${HOST}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n`,
    ),
    expectStatus: 200,
  },
];

const LINES: readonly BadInput[] = [
  ...["FOO", "get", "G\u0001T"].map((method) => ({
    id: `method ${JSON.stringify(method)}`,
    send: line(`${method} /broker/topics HTTP/1.1`),
    expectStatus: [0, 400, 405, 505],
  })),
  ...["TRACE", "CONNECT", "PATCH", "PURGE", "PROPFIND"].map((method) => ({
    id: `method ${method}`,
    send: line(`${method} /broker/topics HTTP/1.1`),
    expectStatus: 405,
  })),
  { id: "OPTIONS *", send: line("OPTIONS * HTTP/1.1"), expectStatus: 400, expectClose: true },
  {
    id: "HTTP/9.9",
    send: line("GET /health HTTP/9.9"),
    expectStatus: [0, 400, 505],
    expectClose: true,
  },
  { id: "no version", send: line("GET /health"), expectStatus: [0, 400, 505], expectClose: true },
  {
    id: "HTTP/2 preface",
    send: raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    expectStatus: [0, 400, 505],
    expectClose: true,
  },
  {
    id: "TLS hello",
    send: raw("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    expectStatus: [0, 400],
    expectClose: true,
  },
  {
    id: "HTTP/1.0 without Host",
    send: (place) => [`GET /broker/topics HTTP/1.0\r\n${auth(place)}\r\n`],
    expectStatus: 200,
  },
  {
    id: "HTTP/1.0 produce without Host",
    send: (place) => [
      `${produceLine(place).replace("1.1", "1.0")}${auth(place)}Content-Length: 1\r\n\r\na`,
    ],
    expectStatus: 200,
    stores: 1,
  },
  {
    id: "HTTP/1.1 without Host",
    send: get("/broker/topics", ""),
    expectStatus: 400,
    expectClose: true,
  },
  { id: "two Hosts", send: get("/broker/topics", "Host: a\r\nHost: b\r\n"), expectStatus: 400 },
  { id: "a Host with a path", send: get("/broker/topics", "Host: a/b\r\n"), expectStatus: 400 },
  { id: "a Host with a space", send: get("/broker/topics", "Host: a b\r\n"), expectStatus: 400 },
  { id: "a Host with userinfo", send: get("/broker/topics", "Host: u:p@h\r\n"), expectStatus: 400 },
  { id: "a Host of one letter", send: get("/broker/topics", "Host: x\r\n"), expectStatus: 200 },
  { id: "an evil Host", send: get("/broker/topics", "Host: evil.example\r\n"), expectStatus: 200 },
  {
    id: "absolute form with another host",
    send: get("http://evil.example/broker/topics"),
    expectStatus: 200,
  },
  {
    id: "a space in the path",
    send: get("/broker topics"),
    expectStatus: [0, 400, 505],
    expectClose: true,
  },
  { id: "raw bytes that are no UTF-8 in a key", send: get("/kv/ns/\xff\xfe"), expectStatus: 400 },
  {
    id: "dots that lead out of the path",
    send: get("/broker/topics/../../etc/passwd"),
    expectStatus: 404,
  },
  { id: "escaped dots", send: get("/broker/topics/%2e%2e/%2e%2e/etc/passwd"), expectStatus: 404 },
  {
    id: "dots that lead to another route",
    send: get("/health/../broker/topics"),
    expectStatus: 200,
  },
  {
    id: "the same without a token",
    send: raw(`GET /health/../broker/topics HTTP/1.1\r\n${HOST}\r\n`),
    expectStatus: 401,
  },
  { id: "a backslash", send: get("/broker\\topics"), expectStatus: [200, 404] },
  { id: "a matrix parameter", send: get("/broker/topics/TOPIC;a=b"), expectStatus: 400 },
  { id: "an escaped question mark", send: get("/broker/topics/TOPIC%3Fa"), expectStatus: 400 },
  { id: "two slashes", send: get("//broker/topics"), expectStatus: 404 },
  {
    id: "20 KB of URL",
    send: get(`/kv/ns/${"a".repeat(20_000)}`),
    expectStatus: [414, 431],
    expectClose: true,
  },
  { id: "a key of 10 KB", send: get(`/kv/ns/${"a".repeat(10_000)}`), expectStatus: 400 },
  { id: "10 KB of %25", send: get(`/kv/ns/${"%25".repeat(3000)}`), expectStatus: 400 },
];

const HEADERS: readonly BadInput[] = [
  {
    id: "two Authorizations, good and bad",
    send: get("/broker/topics", `${HOST}Authorization: Bearer bad\r\n`),
    expectStatus: 401,
  },
  {
    id: "two Authorizations, bad and good",
    send: (place) => [
      `GET /broker/topics HTTP/1.1\r\n${HOST}${auth(place)}Authorization: Bearer bad\r\n\r\n`,
    ],
    expectStatus: 401,
  },
  {
    id: "a token with NUL",
    send: ({ token }) => [
      `GET /broker/topics HTTP/1.1\r\n${HOST}Authorization: Bearer ${token}\0\r\n\r\n`,
    ],
    expectStatus: 400,
    expectClose: true,
  },
  {
    id: "a token with a high byte",
    send: ({ token }) => [
      `GET /broker/topics HTTP/1.1\r\n${HOST}Authorization: Bearer ${token}\xff\r\n\r\n`,
    ],
    expectStatus: 401,
  },
  {
    id: "a token of 17 KB",
    send: raw(
      `GET /broker/topics HTTP/1.1\r\n${HOST}Authorization: Bearer ${"a".repeat(17_000)}\r\n\r\n`,
    ),
    expectStatus: [0, 431],
    expectClose: true,
  },
  {
    id: "300 headers",
    send: get("/broker/topics", HOST + "X: y\r\n".repeat(300)),
    expectStatus: [0, 431],
    expectClose: true,
  },
  {
    id: "Content-Encoding gzip, cut",
    send: produce("Content-Encoding: gzip\r\nContent-Length: 3\r\n", "\x1f\x8b\x08"),
    expectStatus: 415,
  },
  {
    id: "an idempotency key that is no UTF-8",
    send: produce("Idempotency-Key: \xff\xfe\r\nContent-Length: 3\r\n"),
    expectStatus: 400,
  },
  {
    id: "an empty idempotency key",
    send: produce("Idempotency-Key: \r\nContent-Length: 3\r\n"),
    expectStatus: 400,
  },
  {
    id: "a method override",
    send: get("/broker/topics/TOPIC", `${HOST}X-HTTP-Method-Override: DELETE\r\n`),
    expectStatus: 200,
  },
  {
    id: "a body of a terabyte, announced",
    send: produce("Content-Length: 1099511627776\r\n"),
    expectStatus: 413,
  },
  {
    id: "a GET with a body",
    send: (place) => [
      `GET /broker/topics HTTP/1.1\r\n${HOST}${auth(place)}Content-Length: 3\r\n\r\nabc`,
    ],
    expectStatus: 200,
  },
  {
    id: "control characters in the User-Agent",
    send: get("/broker/topics", `${HOST}User-Agent: \x1b[31m\r\n`),
    expectStatus: [200, 400],
  },
];

export const CASES: readonly BadInput[] = [...FRAMING, ...LINES, ...HEADERS];

import { listenOn } from "./cannot-listen.ts";
import type { DialHandlers, Link, LinkHandlers, Network, PeerAddress } from "./network.ts";

export type NetworkTls = {
  /** PEM texts: the authorities that sign nodes' certificates, this node's chain and key. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
};

export type BunNetworkOptions = {
  /** Address to listen on. */
  readonly host: string;
  /** Setting that names the host, for messages. */
  readonly hostSetting: string;
  /** 0: any free one, see `port`. */
  readonly port: number;
  /** Null: plain text. */
  readonly tls: NetworkTls | null;
  /** A larger frame ends its link. */
  readonly frameBytesMax: number;
};

/** Where links are made; everything else on this port is refused. */
const PATH = "/ayder/raft";
/** Plain HTTP connections that say nothing. */
const HTTP_IDLE_SECONDS = 10;
/** Backstop only: the transport notices silent links itself, and earlier. */
const LINK_IDLE_SECONDS = 120;
/** SSL_OP_NO_TLSv1 and SSL_OP_NO_TLSv1_1: nothing below 1.2 (openssl/ssl.h). */
const TLS_1_2_OR_NEWER = 0x04000000 | 0x10000000;

type Accepted = { link: AcceptedLink | null };

/** Links between nodes are binary WebSockets, served and dialled by Bun, without compression. */
export class BunNetwork implements Network {
  readonly isOpen = true;
  readonly #options: BunNetworkOptions;
  readonly #dialled = new Set<DialledLink>();
  readonly #accepted = new Set<AcceptedLink>();
  #server: Bun.Server<Accepted> | null = null;
  #accept: ((link: Link) => LinkHandlers) | null = null;
  #tls: NetworkTls | null;

  constructor(options: BunNetworkOptions) {
    this.#options = options;
    this.#tls = options.tls;
  }

  /** The port that is listened on. */
  get port(): number {
    return this.#server?.port ?? this.#options.port;
  }

  listen(accept: (link: Link) => LinkHandlers): void {
    this.#accept = accept;
    this.#server = this.#serve(this.#options.port, accept);
  }

  /** New certificates for links that are made from now on; those that are up stay. */
  renew(tls: NetworkTls): void {
    this.#tls = tls;
    const { port } = this;
    const before = this.#server;
    if (before === null || this.#accept === null) return;
    // It only stops listening: its links live on. `reload` does not change certificates.
    void before.stop(false);
    this.#server = this.#serve(port, this.#accept);
  }

  dial(peer: PeerAddress, handlers: DialHandlers): Link {
    const link = new DialledLink(peer, this.#tls, handlers, (ended) => this.#dialled.delete(ended));
    this.#dialled.add(link);
    return link;
  }

  async close(): Promise<void> {
    for (const link of [...this.#dialled]) link.close();
    for (const link of [...this.#accepted]) link.close();
    await this.#server?.stop(true);
    this.#server = null;
  }

  #serve(port: number, accept: (link: Link) => LinkHandlers): Bun.Server<Accepted> {
    const { host, hostSetting } = this.#options;
    const wanted = { host, port, portSetting: "RF_HA_NODES", hostSetting };
    return listenOn(wanted, () => this.#bind(port, accept));
  }

  #bind(port: number, accept: (link: Link) => LinkHandlers): Bun.Server<Accepted> {
    const { host, frameBytesMax } = this.#options;
    return Bun.serve<Accepted>({
      hostname: host,
      port,
      ...(this.#tls === null ? {} : { tls: serverTls(this.#tls) }),
      development: false,
      // With `development: false`, Bun 1.4.5 shares the port with whoever asks unless told not to.
      reusePort: false,
      idleTimeout: HTTP_IDLE_SECONDS,
      // Nobody has a reason to send a body here.
      maxRequestBodySize: 0,
      fetch: (request, server) => upgrade(request, server),
      error: () => new Response(null, { status: 500 }),
      websocket: {
        perMessageDeflate: false,
        maxPayloadLength: frameBytesMax,
        // What waits is bounded by the transport.
        backpressureLimit: 0,
        idleTimeout: LINK_IDLE_SECONDS,
        sendPings: false,
        open: (socket) => {
          const link = new AcceptedLink(socket, (ended) => this.#accepted.delete(ended));
          socket.data.link = link;
          this.#accepted.add(link);
          link.handlers = accept(link);
        },
        message: (socket, message) => socket.data.link?.received(message),
        close: (socket, code, reason) => socket.data.link?.ended(`${code} ${reason}`.trim()),
      },
    });
  }
}

function upgrade(request: Request, server: Bun.Server<Accepted>): Response | undefined {
  const { headers } = request;
  if (headers.get("upgrade")?.toLowerCase() !== "websocket" || !request.url.endsWith(PATH)) {
    return refusal(426, "this port is for the nodes of the cluster only\n");
  }
  // Browsers send it: no page has business here.
  if (headers.has("origin")) return refusal(403, "not for browsers\n");
  if (server.upgrade(request, { data: { link: null } })) return;
  return refusal(400, "not a WebSocket handshake\n");
}

const refusal = (status: number, text: string): Response =>
  new Response(text, { status, headers: { connection: "close", upgrade: "websocket" } });

const serverTls = ({ ca, cert, key }: NetworkTls): Bun.TLSOptions => ({
  ca,
  cert,
  key,
  requestCert: true,
  rejectUnauthorized: true,
  secureOptions: TLS_1_2_OR_NEWER,
});

/** The end of a link that another node dialled. */
class AcceptedLink implements Link {
  readonly certificate = null;
  readonly remote: string;
  handlers: LinkHandlers | null = null;
  readonly #socket: Bun.ServerWebSocket<Accepted>;
  readonly #onEnd: (link: AcceptedLink) => void;
  #open = true;

  constructor(socket: Bun.ServerWebSocket<Accepted>, onEnd: (link: AcceptedLink) => void) {
    this.#socket = socket;
    this.#onEnd = onEnd;
    this.remote = socket.remoteAddress;
  }

  get bufferedBytes(): number {
    return this.#socket.getBufferedAmount();
  }

  send(frame: Uint8Array): boolean {
    return this.#open && this.#socket.sendBinary(frame, false) !== 0;
  }

  /** Graceful, so that a refusal still gets out. */
  close(): void {
    if (this.#end() !== null) this.#socket.close();
  }

  received(message: string | Uint8Array): void {
    // Text is as wrong as any bytes could be.
    this.handlers?.frame(typeof message === "string" ? new Uint8Array(0) : message);
  }

  ended(reason: string): void {
    this.#end()?.closed(reason);
  }

  #end(): LinkHandlers | null {
    if (!this.#open) return null;
    this.#open = false;
    const { handlers } = this;
    this.handlers = null;
    this.#onEnd(this);
    return handlers;
  }
}

/** The end of a link that this node dialled. */
class DialledLink implements Link {
  readonly remote: string;
  certificate: Uint8Array | null = null;
  readonly #socket: WebSocket;
  readonly #onEnd: (link: DialledLink) => void;
  #handlers: DialHandlers | null;
  #problem = "";

  constructor(
    { host, port }: PeerAddress,
    tls: NetworkTls | null,
    handlers: DialHandlers,
    onEnd: (link: DialledLink) => void,
  ) {
    const authority = `${host.includes(":") ? `[${host}]` : host}:${port}`;
    this.remote = authority;
    this.#handlers = handlers;
    this.#onEnd = onEnd;
    const scheme = tls === null ? "ws" : "wss";
    this.#socket = new WebSocket(`${scheme}://${authority}${PATH}`, {
      perMessageDeflate: false,
      ...(tls === null ? {} : { tls: this.#clientTls(tls) }),
    });
    this.#listen();
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  send(frame: Uint8Array): boolean {
    if (this.#handlers === null || this.#socket.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(frame);
    return true;
  }

  close(): void {
    if (this.#end() !== null) this.#socket.terminate();
  }

  #listen(): void {
    const socket = this.#socket;
    socket.binaryType = "nodebuffer";
    socket.onopen = () => this.#handlers?.opened();
    socket.onmessage = ({ data }: MessageEvent<unknown>) =>
      this.#handlers?.frame(data instanceof Uint8Array ? data : new Uint8Array(0));
    socket.onerror = (event) => {
      this.#problem = event.message ?? "";
    };
    socket.onclose = ({ code, reason }) =>
      this.#end()?.closed(this.#problem || `${code} ${reason}`.trim());
  }

  /** The chain is checked by TLS; the name by the transport, which knows the whole membership. */
  #clientTls({ ca, cert, key }: NetworkTls) {
    return {
      ca,
      cert,
      key,
      rejectUnauthorized: true,
      secureOptions: TLS_1_2_OR_NEWER,
      checkServerIdentity: (_: string, shown: { readonly raw: Uint8Array }) => {
        this.certificate = shown.raw.slice();
        return undefined;
      },
    };
  }

  #end(): DialHandlers | null {
    const handlers = this.#handlers;
    if (handlers === null) return null;
    this.#handlers = null;
    this.#onEnd(this);
    return handlers;
  }
}

import { firstOfLargestGroup } from "../lib/busiest.ts";
import { listenOn } from "./cannot-listen.ts";
import { ADMISSION_HEADER, type LinkAdmission } from "./link-admission.ts";
import type {
  DialHandlers,
  Link,
  LinkHandlers,
  LinkRefusal,
  Network,
  PeerAddress,
} from "./network.ts";
import { RaftPortGuard } from "./raft-port-guard.ts";
import type { TcpSockets } from "./tcp-sockets.ts";

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
  /** 0: any free port, see `port`. */
  readonly port: number;
  /** Null: plain text. */
  readonly tls: NetworkTls | null;
  /** A larger frame ends its link. */
  readonly frameBytesMax: number;
  /** The shared secret. Links are opened only for peers that prove it. Null: for all peers. */
  readonly admission: LinkAdmission | null;
  /** Bytes that a peer may send before it is verified. Needs `sockets`. */
  readonly unverifiedBytesMax: number;
  /** Maximum number of accepted links that are not verified, and of connections without a link. */
  readonly unverifiedMax: number;
  /** Time from a connection to a link. */
  readonly openingMs: number;
  /** Null if the kernel does not report its connections. */
  readonly sockets: TcpSockets | null;
};

/** Path that opens a link. Every other request on this port is refused. */
const PATH = "/ayder/raft";
/** Bun accepts request heads of up to 16 KiB. The TLS handshake is smaller. */
const OPENING_BYTES_MAX = 32 * 1024;
/** Idle timeout of plain HTTP connections. */
const HTTP_IDLE_SECONDS = 10;
/** A last resort: the transport detects silent links earlier. */
const LINK_IDLE_SECONDS = 120;
/** SSL_OP_NO_TLSv1 and SSL_OP_NO_TLSv1_1: the minimum is TLS 1.2 (openssl/ssl.h). */
const TLS_1_2_OR_NEWER = 0x04000000 | 0x10000000;

type Accepted = { readonly peerPort: number; link: AcceptedLink | null };
type Accept = (link: Link) => LinkHandlers;
type Refused = (reason: LinkRefusal, remote: string) => void;

/** Links between nodes are binary WebSockets, served and dialled by Bun, without compression. */
export class BunNetwork implements Network {
  readonly isOpen = true;
  readonly #options: BunNetworkOptions;
  readonly #dialled = new Set<DialledLink>();
  readonly #accepted = new Set<AcceptedLink>();
  /** Accepted links that are not verified, oldest first. */
  readonly #unverified = new Set<AcceptedLink>();
  #guard: RaftPortGuard | null = null;
  #refused: Refused = () => {};
  #server: Bun.Server<Accepted> | null = null;
  #accept: Accept | null = null;
  #tls: NetworkTls | null;

  constructor(options: BunNetworkOptions) {
    this.#options = options;
    this.#tls = options.tls;
  }

  get unverifiedLinks(): number {
    return this.#unverified.size;
  }

  /** The port that this network listens on. */
  get port(): number {
    return this.#server?.port ?? this.#options.port;
  }

  listen(accept: Accept, refused: Refused = () => {}): void {
    this.#accept = accept;
    this.#refused = refused;
    this.#server = this.#serve(this.#options.port, accept);
    this.#guard = this.#newGuard();
  }

  /** Uses new certificates for links that are opened from now on. Open links stay open. */
  renew(tls: NetworkTls): void {
    this.#tls = tls;
    const { port } = this;
    const before = this.#server;
    if (before === null || this.#accept === null) return;
    // This stops listening only: open links stay open. `reload` does not change certificates.
    void before.stop(false);
    this.#server = this.#serve(port, this.#accept);
  }

  dial(peer: PeerAddress, handlers: DialHandlers): Link {
    const { admission } = this.#options;
    const headers = admission === null ? {} : { [ADMISSION_HEADER]: admission.prove(peer.id) };
    const link = new DialledLink(peer, this.#tls, headers, handlers, (ended) =>
      this.#dialled.delete(ended),
    );
    this.#dialled.add(link);
    return link;
  }

  async close(): Promise<void> {
    for (const link of [...this.#dialled]) link.close();
    for (const link of [...this.#accepted]) link.close();
    this.#guard?.stop();
    await this.#server?.stop(true);
    this.#server = null;
  }

  #newGuard(): RaftPortGuard | null {
    const { sockets, unverifiedBytesMax, unverifiedMax, openingMs } = this.#options;
    if (sockets === null) return null;
    return new RaftPortGuard({
      sockets,
      port: this.port,
      links: () => this.#peerPorts(),
      // The request that opens the link and the overhead of TLS come first.
      unverifiedBytesMax: unverifiedBytesMax + OPENING_BYTES_MAX,
      openingMs,
      connectionsMax: unverifiedMax,
      refused: (reason, { remote }) => this.#refused(reason, remote),
    });
  }

  #peerPorts(): { verified: Set<number>; unverified: Set<number> } {
    const ports = { verified: new Set<number>(), unverified: new Set<number>() };
    for (const link of this.#accepted) {
      ports[this.#unverified.has(link) ? "unverified" : "verified"].add(link.peerPort);
    }
    return ports;
  }

  #serve(port: number, accept: Accept): Bun.Server<Accepted> {
    const { host, hostSetting } = this.#options;
    const wanted = { host, port, portSetting: "RF_HA_NODES", hostSetting };
    return listenOn(wanted, () => this.#bind(port, accept));
  }

  #bind(port: number, accept: Accept): Bun.Server<Accepted> {
    const { host, frameBytesMax } = this.#options;
    return Bun.serve<Accepted>({
      hostname: host,
      port,
      ...(this.#tls === null ? {} : { tls: serverTls(this.#tls) }),
      development: false,
      // With `development: false`, Bun 1.4.5 shares the port with other processes by default.
      reusePort: false,
      idleTimeout: HTTP_IDLE_SECONDS,
      // No request to this port needs a body.
      maxRequestBodySize: 0,
      fetch: (request, server) => this.#upgrade(request, server),
      error: () => new Response(null, { status: 500 }),
      websocket: {
        perMessageDeflate: false,
        maxPayloadLength: frameBytesMax,
        // The transport bounds the bytes that are queued.
        backpressureLimit: 0,
        idleTimeout: LINK_IDLE_SECONDS,
        sendPings: false,
        open: (socket) => this.#opened(socket, accept),
        message: (socket, message) => socket.data.link?.received(message),
        close: (socket, code, reason) => socket.data.link?.ended(`${code} ${reason}`.trim()),
      },
    });
  }

  #upgrade(request: Request, server: Bun.Server<Accepted>): Response | undefined {
    const { headers } = request;
    const from = server.requestIP(request);
    const refuse = (reason: LinkRefusal, status: number, text: string): Response => {
      this.#refused(reason, from?.address ?? "");
      return refusal(status, text);
    };
    if (headers.get("upgrade")?.toLowerCase() !== "websocket" || !request.url.endsWith(PATH)) {
      return refuse("not_a_peer", 426, "this port is for the nodes of the cluster only\n");
    }
    // Browsers send this header, and no web page may open a link.
    if (headers.has("origin")) return refuse("not_a_peer", 403, "not for browsers\n");
    const { admission } = this.#options;
    if (admission?.isRequired === true && !admission.accepts(headers.get(ADMISSION_HEADER))) {
      return refuse("not_proven", 403, "the shared secret is not proven\n");
    }
    if (server.upgrade(request, { data: { peerPort: from?.port ?? 0, link: null } })) return;
    return refuse("not_a_peer", 400, "not a WebSocket handshake\n");
  }

  #opened(socket: Bun.ServerWebSocket<Accepted>, accept: Accept): void {
    const link = new AcceptedLink(socket, {
      verified: (verified) => this.#unverified.delete(verified),
      ended: (ended) => {
        this.#unverified.delete(ended);
        this.#accepted.delete(ended);
      },
    });
    socket.data.link = link;
    this.#accepted.add(link);
    this.#unverified.add(link);
    link.handlers = accept(link);
    if (this.#unverified.size > this.#options.unverifiedMax) {
      const victim = firstOfLargestGroup(this.#unverified, ({ remote }) => remote);
      this.#refused("too_many", victim?.remote ?? "");
      victim?.refuse("too_many");
    }
    this.#guard?.opened();
  }
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

type AcceptedEvents = {
  readonly verified: (link: AcceptedLink) => void;
  readonly ended: (link: AcceptedLink) => void;
};

/** The local end of a link that another node dialled. */
class AcceptedLink implements Link {
  readonly certificate = null;
  readonly remote: string;
  handlers: LinkHandlers | null = null;
  readonly #socket: Bun.ServerWebSocket<Accepted>;
  readonly #on: AcceptedEvents;
  #open = true;

  constructor(socket: Bun.ServerWebSocket<Accepted>, on: AcceptedEvents) {
    this.#socket = socket;
    this.#on = on;
    this.remote = socket.remoteAddress;
  }

  get bufferedBytes(): number {
    return this.#socket.getBufferedAmount();
  }

  get peerPort(): number {
    return this.#socket.data.peerPort;
  }

  verified(): void {
    this.#on.verified(this);
  }

  send(frame: Uint8Array): boolean {
    return this.#open && this.#socket.sendBinary(frame, false) !== 0;
  }

  /** Ends a link that is not accepted. */
  refuse(reason: string): void {
    const handlers = this.#end();
    this.#socket.terminate();
    handlers?.closed(reason);
  }

  /** Closes gracefully, so that a refusal is still sent. */
  close(): void {
    if (this.#end() !== null) this.#socket.close();
  }

  received(message: string | Uint8Array): void {
    // The protocol has no text frames.
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
    this.#on.ended(this);
    return handlers;
  }
}

/** The local end of a link that this node dialled. */
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
    headers: Readonly<Record<string, string>>,
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
      headers,
      ...(tls === null ? {} : { tls: this.#clientTls(tls) }),
    });
    this.#listen();
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  /** Does nothing: the bounds for unverified peers apply to accepted links only. */
  verified(): void {}

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

  /** TLS checks the chain. The transport checks the name, because it knows the membership. */
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

/**
 * Reads the TCP connections of this process from the kernel. Bun does not report a connection that
 * was accepted and has sent nothing, so this module looks through the descriptors. Linux only.
 */
import { dlopen, ptr } from "bun:ffi";
import { readdirSync } from "node:fs";

export type TcpConnection = {
  readonly descriptor: number;
  readonly localPort: number;
  readonly peerPort: number;
  /** IP address of the peer. */
  readonly remote: string;
  /** Time since the last bytes were sent on it, or since it was accepted if none were sent. */
  readonly sinceSentMs: number;
  readonly sinceReceivedMs: number;
  /** Bytes that the peer's kernel has confirmed. */
  readonly bytesAcknowledged: number;
  readonly bytesReceived: number;
};

export interface TcpSockets {
  /** Returns the accepted connections of the given local ports. */
  connections(ports: readonly number[]): TcpConnection[];
  /** Shuts a connection down in both directions. The owner of the descriptor then closes it. */
  end(descriptor: number): void;
}

const C_LIBRARIES = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"];
const IPPROTO_TCP = 6;
const TCP_INFO = 11;
const TCP_LISTEN = 10;
const SHUT_RDWR = 2;
/** struct tcp_info of linux/tcp.h: offsets of fields, and the minimum length that has all of them. */
const INFO = { state: 0, lastSent: 44, lastReceived: 52, acknowledged: 120, received: 128 };
const INFO_BYTES_MIN = 136;
const INFO_BYTES_MAX = 256;
/** struct sockaddr_in and sockaddr_in6 have the port here, in network order. */
const PORT_AT = 2;
const ADDRESS_BYTES_MAX = 128;
const AF_INET = 2;
/** The position of the address itself in struct sockaddr_in and sockaddr_in6. */
const IPV4_AT = 4;
const IPV6_AT = 8;

function openLibrary(name: string) {
  const look = { args: ["i32", "ptr", "ptr"], returns: "i32" } as const;
  return dlopen(name, {
    getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
    getsockname: look,
    getpeername: look,
    shutdown: { args: ["i32", "i32"], returns: "i32" },
  }).symbols;
}
type Library = ReturnType<typeof openLibrary>;

/**
 * @param descriptorMax the limit on open files. If no descriptor is free to list the open ones,
 *   every number below this limit is checked.
 * @returns null if the system does not report its connections.
 */
export function openTcpSockets(descriptorMax: number): TcpSockets | null {
  if (process.platform !== "linux") return null;
  for (const name of C_LIBRARIES) {
    try {
      return new LinuxSockets(openLibrary(name), descriptorMax);
    } catch {
      // The system has the other C library.
    }
  }
  return null;
}

class LinuxSockets implements TcpSockets {
  readonly #library: Library;
  readonly #descriptorMax: number;
  readonly #info = new DataView(new ArrayBuffer(INFO_BYTES_MAX));
  readonly #address = new DataView(new ArrayBuffer(ADDRESS_BYTES_MAX));
  readonly #length = new Uint32Array(1);

  constructor(library: Library, descriptorMax: number) {
    this.#library = library;
    this.#descriptorMax = descriptorMax;
  }

  connections(ports: readonly number[]): TcpConnection[] {
    const found: TcpConnection[] = [];
    for (const descriptor of this.#descriptors()) {
      const connection = this.#look(descriptor);
      if (connection !== null && ports.includes(connection.localPort)) found.push(connection);
    }
    return found;
  }

  end(descriptor: number): void {
    this.#library.shutdown(descriptor, SHUT_RDWR);
  }

  #descriptors(): Iterable<number> {
    try {
      return readdirSync("/proc/self/fd").map(Number);
    } catch {
      return Array(this.#descriptorMax).keys();
    }
  }

  #look(descriptor: number): TcpConnection | null {
    const { getsockopt, getsockname, getpeername } = this.#library;
    const info = this.#info;
    this.#length[0] = INFO_BYTES_MAX;
    const told = getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, ptr(info), ptr(this.#length));
    if (told !== 0 || (this.#length[0] ?? 0) < INFO_BYTES_MIN) return null;
    if (info.getUint8(INFO.state) === TCP_LISTEN) return null;
    const localPort = this.#portBy(getsockname, descriptor);
    const peerPort = this.#portBy(getpeername, descriptor);
    if (localPort === null || peerPort === null) return null;
    // The buffer holds the address of the peer, which was read last.
    const remote = addressText(this.#address);
    return {
      descriptor,
      localPort,
      peerPort,
      remote,
      sinceSentMs: info.getUint32(INFO.lastSent, true),
      sinceReceivedMs: info.getUint32(INFO.lastReceived, true),
      bytesAcknowledged: Number(info.getBigUint64(INFO.acknowledged, true)),
      bytesReceived: Number(info.getBigUint64(INFO.received, true)),
    };
  }

  #portBy(look: Library["getsockname"], descriptor: number): number | null {
    this.#length[0] = ADDRESS_BYTES_MAX;
    if (look(descriptor, ptr(this.#address), ptr(this.#length)) !== 0) return null;
    return this.#address.getUint16(PORT_AT, false);
  }
}

function addressText(address: DataView): string {
  if (address.getUint16(0, true) === AF_INET) {
    return [0, 1, 2, 3].map((at) => address.getUint8(IPV4_AT + at)).join(".");
  }
  const groups = [0, 1, 2, 3, 4, 5, 6, 7].map((at) => address.getUint16(IPV6_AT + 2 * at, false));
  return groups.map((group) => group.toString(16)).join(":");
}

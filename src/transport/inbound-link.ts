import type { Link } from "../env/network.ts";
import { sameBytes } from "../lib/bytes.ts";
import type { NodeId } from "../lib/ids.ts";
import { decodeFrame, type FrameAddress, NO_SESSION, readPayload } from "./envelope.ts";
import { FrameError } from "./frame-error.ts";
import {
  encodeAnswer,
  encodeStatement,
  type Hello,
  PROTOCOL_VERSION,
  PROTOCOL_WITH_SECRET,
  type RefusalCode,
  readHello,
  sessionOf,
  writeChallenge,
  writeRefusal,
  writeWelcome,
} from "./handshake-codec.ts";
import { handshakeBytesMax, PONG_BACKLOG_BYTES_MAX } from "./limits.ts";
import type { Peer, Shared } from "./shared.ts";

const NO_BYTES = new Uint8Array(0);

type State =
  | { readonly step: "hello"; readonly nonce: Uint8Array }
  | { readonly step: "up"; readonly peer: Peer; readonly address: FrameAddress }
  | { readonly step: "ended" };

/** A link that a peer dialled. No frame takes effect before the peer is authenticated. */
export class InboundLink {
  readonly #shared: Shared;
  readonly #link: Link;
  readonly #ended: (link: InboundLink, peer: NodeId | null) => void;
  readonly #accepted: (link: InboundLink, peer: NodeId) => void;
  #state: State;
  #cancelTimer: () => void;
  #framesAtPing = 0;
  #frames = 0;
  #idlePings = 0;

  constructor(
    shared: Shared,
    link: Link,
    on: {
      readonly accepted: (link: InboundLink, peer: NodeId) => void;
      /** @param peer the authenticated peer; null if there was none. */
      readonly ended: (link: InboundLink, peer: NodeId | null) => void;
    },
  ) {
    this.#shared = shared;
    this.#link = link;
    this.#accepted = on.accepted;
    this.#ended = on.ended;
    const nonce = shared.nonce();
    this.#state = { step: "hello", nonce };
    // A peer without a secret, such as an earlier version, accepts only the protocol without one.
    const { secret } = shared;
    const protocol = secret === null || secret.isOptional ? PROTOCOL_VERSION : PROTOCOL_WITH_SECRET;
    writeChallenge(shared.writer.begin("challenge"), { protocol, nonce });
    link.send(shared.writer.finish({ shard: shared.shard, session: NO_SESSION }));
    this.#cancelTimer = shared.clock.after(shared.limits.handshakeTimeoutMs, () => {
      shared.refuse("timeout", link.remote);
      this.end();
    });
  }

  /** Remote address of the connection. */
  get remote(): string {
    return this.#link.remote;
  }

  get peerId(): NodeId | null {
    return this.#state.step === "up" ? this.#state.peer.address.id : null;
  }

  receive(bytes: Uint8Array): void {
    try {
      this.#step(bytes);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.#shared.malformed.add(error.code);
      const fields = { peer: this.peerId, remote: this.#link.remote, code: error.code };
      this.#shared.quietLog.warn("closed peer connection: invalid frame", fields);
      this.end();
    }
  }

  /** The link is of no use any more, or is closed already. */
  end(): void {
    const state = this.#state;
    if (state.step === "ended") return;
    const peer = this.peerId;
    this.#cancelTimer();
    this.#state = { step: "ended" };
    this.#link.close();
    if (state.step === "up") state.peer.stats.heard = false;
    this.#ended(this, peer);
  }

  #step(bytes: Uint8Array): void {
    const state = this.#state;
    if (state.step === "ended") return;
    this.#frames++;
    if (state.step === "hello") {
      if (bytes.length > handshakeBytesMax(this.#shared.identity !== null)) {
        throw new FrameError("length", "handshake is too long");
      }
      const { kind, payload } = decodeFrame(bytes, this.#unnamed());
      if (kind !== "hello") throw new FrameError("unexpected", `a ${kind} before the handshake`);
      this.#hello(state.nonce, readPayload(payload, readHello));
      return;
    }
    const { stats, address } = state.peer;
    stats.framesReceived++;
    stats.bytesReceived += bytes.length;
    const frame = decodeFrame(bytes, state.address);
    if (frame.kind === "ping") this.#pong(state.address, frame.payload);
    else this.#shared.events.frame(address.id, frame);
  }

  #hello(nonce: Uint8Array, hello: Hello): void {
    const statement = encodeStatement(hello, this.#shared.shard, this.#fingerprint());
    const early = this.#judgeProtocol(nonce, hello) ?? this.#judgeSecret(hello, statement);
    if (early !== null) {
      this.#refuse(early, hello);
      return;
    }
    const proven = this.#shared.isProven(hello.secretProof !== undefined);
    const peer = this.#shared.peers.get(hello.from) ?? this.#shared.unverifiedPeer(hello, proven);
    const refusal = this.#judge(hello, peer) ?? this.#judgeProof(hello, peer, statement);
    if (refusal !== null || peer === undefined) {
      this.#refuse(refusal ?? "unknown_peer", hello);
      return;
    }
    const { events, writer, local, shard } = this.#shared;
    if (!events.met(hello, proven, hello.diallerNonce)) {
      this.#refuse("old_incarnation", hello);
      return;
    }
    events.unverifiedPeer(peer);
    const { id: from, storageId, clusterId } = local;
    const { diallerNonce } = hello;
    const membershipInfo = this.#shared.membershipInfo();
    const words = { from, clusterId, storageId, membershipInfo, diallerNonce };
    const { secret } = this.#shared;
    const secretProof =
      hello.secretProof && secret?.prove("acceptor", encodeAnswer(statement, words));
    writeWelcome(writer.begin("welcome"), secretProof ? { ...words, secretProof } : words);
    this.#link.send(writer.finish(this.#unnamed()));
    this.#link.verified();
    this.#state = { step: "up", peer, address: { shard, session: sessionOf(statement) } };
    this.#watch();
    this.#accepted(this, hello.from);
    // Runs after the links that this one replaces have ended.
    if (this.#state.step === "up") peer.stats.heard = true;
  }

  #judgeProtocol(nonce: Uint8Array, { protocol, acceptorNonce }: Hello): RefusalCode | null {
    const isKnown = protocol === PROTOCOL_VERSION || protocol === PROTOCOL_WITH_SECRET;
    if (!isKnown) return "protocol";
    return sameBytes(acceptorNonce, nonce) ? null : "stale_handshake";
  }

  /** Verifies the proof of the peer before any of its fields are trusted. */
  #judgeSecret({ secretProof }: Hello, statement: Uint8Array): RefusalCode | null {
    const { secret } = this.#shared;
    if (secret === null) return secretProof === undefined ? null : "protocol";
    if (secretProof === undefined) return secret.isOptional ? null : "not_proven";
    return secret.accepts("dialler", statement, secretProof) ? null : "not_proven";
  }

  #judge(hello: Hello, peer: Peer | undefined): RefusalCode | null {
    const { local } = this.#shared;
    if (hello.to !== local.id) return "wrong_destination";
    if (hello.from === local.id) return "own_id";
    if (peer === undefined) return "unknown_peer";
    if (!local.clusterFits(hello.clusterId)) return "wrong_cluster";
    if (local.isFormer(hello.from, hello.storageId)) return "old_incarnation";
    return null;
  }

  #judgeProof(hello: Hello, peer: Peer | undefined, statement: Uint8Array): RefusalCode | null {
    const { identity, quietLog } = this.#shared;
    if (identity === null || peer === undefined) return null;
    const expected = this.#shared.expected(peer.address);
    const problem =
      hello.proof === null
        ? "it showed no certificate"
        : identity.judgeDialler(expected, statement, hello.proof);
    if (problem === null) return null;
    const fields = { peer: hello.from, remote: this.#link.remote, reason: problem };
    quietLog.warn("peer authentication failed", fields);
    return "not_proven";
  }

  #refuse(code: RefusalCode, hello: Hello): void {
    const { refused, quietLog, writer } = this.#shared;
    refused.add(code);
    quietLog.warn("peer connection refused", { peer: hello.from, remote: this.#link.remote, code });
    writeRefusal(writer.begin("refusal"), code);
    this.#link.send(writer.finish(this.#unnamed()));
    this.end();
  }

  #pong(address: FrameAddress, payload: Uint8Array): void {
    const sequence = readPayload(payload, (reader) => reader.u32());
    if (this.#link.bufferedBytes > PONG_BACKLOG_BYTES_MAX) return;
    const { writer, clock } = this.#shared;
    const pong = writer.begin("pong");
    pong.u32(sequence);
    pong.u64(clock.now());
    this.#link.send(writer.finish(address));
  }

  /** Closes links whose other end disappeared without closing the connection. */
  #watch(): void {
    const { clock, limits } = this.#shared;
    this.#cancelTimer();
    this.#cancelTimer = clock.after(limits.pingMs, () => {
      this.#idlePings = this.#frames === this.#framesAtPing ? this.#idlePings + 1 : 0;
      this.#framesAtPing = this.#frames;
      if (this.#idlePings >= limits.idlePingsMax) this.end();
      else this.#watch();
    });
  }

  #unnamed(): FrameAddress {
    return { shard: this.#shared.shard, session: NO_SESSION };
  }

  #fingerprint(): Uint8Array {
    return this.#shared.identity?.fingerprint ?? NO_BYTES;
  }
}

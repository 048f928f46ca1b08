import type { Link, PeerAddress } from "../env/network.ts";
import { sameBytes } from "../lib/bytes.ts";
import type { Micros } from "../lib/ids.ts";
import { decodeFrame, type FrameAddress, NO_SESSION, readPayload } from "./envelope.ts";
import { FrameError } from "./frame-error.ts";
import {
  encodeAnswer,
  encodeStatement,
  type Hello,
  PROTOCOL_VERSION,
  PROTOCOL_WITH_SECRET,
  readChallenge,
  readRefusal,
  readWelcome,
  sessionOf,
  type Welcome,
  writeHello,
} from "./handshake-codec.ts";
import { readLevel } from "./level-mark.ts";
import { handshakeBytesMax } from "./limits.ts";
import type { Peer, Shared } from "./shared.ts";

const NO_BYTES = new Uint8Array(0);
/** A dial that takes longer than this may be stuck although the network works again. */
const STALE_DIAL_US = 1_000_000;

/** State of each step. `waiting` is the time between two dials. */
type State =
  | { readonly step: "waiting" }
  | { readonly step: "stopped" }
  | { readonly step: "challenge"; readonly link: Link }
  | {
      readonly step: "welcome";
      readonly link: Link;
      readonly hello: Hello;
      readonly statement: Uint8Array;
    }
  | {
      readonly step: "up";
      readonly link: Link;
      readonly address: FrameAddress;
      readonly level: number;
    };

/**
 * The link that this node dials to one peer, and redials when it is lost. It carries everything
 * that this node sends to the peer; the peer's responses arrive on the link that the peer dials.
 */
export class OutboundLink {
  readonly #shared: Shared;
  readonly #peer: Peer;
  #state: State = { step: "waiting" };
  #failures = 0;
  /** The last answer to a hello was that the peer does not know this node. */
  #isUnknownThere = false;
  #dialledAt: Micros;
  /** Neither end knew the cluster id at the handshake. */
  #clusterUnknown = false;
  /** The one timer: the next dial, the handshake timeout, or the next ping. */
  #cancelTimer: () => void = () => {};
  #pingsSent = 0;
  #pingsUnanswered = 0;
  #pingSentAt: Micros | null = null;
  #bytesSent = 0;
  #bytesDrained = 0;

  constructor(shared: Shared, peer: Peer) {
    this.#shared = shared;
    this.#peer = peer;
    this.#dialledAt = shared.clock.monotonic();
    this.#dial();
  }

  get isUp(): boolean {
    return this.#state.step === "up";
  }

  /** Bytes queued in this process; infinite without a link. */
  get backlogBytes(): number {
    const state = this.#state;
    return state.step === "up" ? state.link.bufferedBytes : Number.POSITIVE_INFINITY;
  }

  /** The level of the log that the peer announced; 0 without a link. See `level-mark.ts`. */
  get peerLevel(): number {
    const state = this.#state;
    return state.step === "up" ? state.level : 0;
  }

  /** True if the last answer of the peer was that this node is not a member. */
  get isUnknownThere(): boolean {
    return this.#isUnknownThere;
  }

  get address(): PeerAddress {
    return this.#peer.address;
  }

  /** Redials at once, because the peer is known to be up. A dial that began before is abandoned. */
  nudge(): void {
    const { step } = this.#state;
    const ageUs = this.#shared.clock.monotonic() - this.#dialledAt;
    if (step === "waiting" || (step === "challenge" && ageUs > STALE_DIAL_US)) this.redial();
  }

  /** Announces the cluster id that this node has learned to a peer that does not know it. */
  clusterLearnt(): void {
    if (this.#state.step === "up" && this.#clusterUnknown) this.redial();
  }

  redial(): void {
    this.#leave("waiting");
    this.#failures = 0;
    if (this.#state.step === "waiting") this.#dial();
  }

  stop(): void {
    this.#leave("stopped");
  }

  /** Sends the frame in the shared writer. @returns false if it was dropped. */
  transmit(): boolean {
    const state = this.#state;
    if (state.step !== "up") return false;
    const { writer, limits } = this.#shared;
    const waiting = state.link.bufferedBytes;
    if (writer.length > limits.frameBytesMax) return false;
    if (waiting > 0 && waiting + writer.length > limits.queueBytesMax) return false;
    if (!state.link.send(writer.finish(state.address))) return false;
    const { stats } = this.#peer;
    stats.framesSent++;
    stats.bytesSent += writer.length;
    this.#bytesSent += writer.length;
    return true;
  }

  #dial(): void {
    this.#cancelTimer();
    this.#dialledAt = this.#shared.clock.monotonic();
    const link = this.#shared.network.dial(this.#peer.address, {
      opened: () => this.#opened(link),
      frame: (bytes) => this.#receive(bytes),
      closed: (reason) => this.#lost("closed", reason),
    });
    this.#state = { step: "challenge", link };
    this.#arm(this.#shared.limits.handshakeTimeoutMs, () => this.#lost("timeout", "no handshake"));
  }

  #opened(link: Link): void {
    const { identity } = this.#shared;
    if (identity === null) return;
    const expected = this.#shared.expected(this.#peer.address);
    const problem =
      link.certificate === null
        ? "it showed no certificate"
        : identity.judgeAcceptor(expected, link.certificate);
    if (problem !== null) this.#lost("identity", problem);
  }

  #receive(bytes: Uint8Array): void {
    try {
      this.#step(bytes);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.#shared.malformed.add(error.code);
      this.#lost("malformed", error.message);
    }
  }

  #step(bytes: Uint8Array): void {
    const state = this.#state;
    if (state.step === "waiting" || state.step === "stopped") return;
    const { shard } = this.#shared;
    const shaking = state.step !== "up";
    if (shaking && bytes.length > handshakeBytesMax(this.#shared.identity !== null)) {
      throw new FrameError("length", "handshake is too long");
    }
    const address = shaking ? { shard, session: NO_SESSION } : state.address;
    const { kind, payload } = decodeFrame(bytes, address);
    if (kind === "challenge" && state.step === "challenge") {
      this.#answer(state.link, payload);
    } else if (kind === "welcome" && state.step === "welcome") {
      const withSecret = state.hello.secretProof !== undefined;
      this.#welcome(
        state,
        readPayload(payload, (reader) => readWelcome(reader, withSecret)),
      );
    } else if (kind === "refusal" && shaking) {
      const code = readPayload(payload, readRefusal);
      this.#isUnknownThere = code === "unknown_peer";
      this.#lost(code, "refused by the peer");
    } else if (kind === "pong" && state.step === "up") {
      const [sequence, wallMs] = readPayload(payload, (reader) => [reader.u32(), reader.u64()]);
      this.#pong(sequence as number, wallMs as number);
    } else {
      throw new FrameError("unexpected", `a frame of kind ${kind} has no place here`);
    }
  }

  #answer(link: Link, payload: Uint8Array): void {
    const challenge = readPayload(payload, readChallenge);
    const protocol = this.#protocolFor(challenge.protocol);
    if (protocol === null) return;
    const { local, shard, identity, secret, writer } = this.#shared;
    const words = {
      protocol,
      from: local.id,
      to: this.#peer.address.id,
      clusterId: local.clusterId,
      storageId: local.storageId,
      membershipInfo: this.#shared.membershipInfo(),
      acceptorNonce: challenge.nonce,
      diallerNonce: this.#shared.nonce(),
    };
    const seen = link.certificate === null ? NO_BYTES : identity?.fingerprintOf(link.certificate);
    const statement = encodeStatement(words, shard, seen ?? NO_BYTES);
    const secretProof =
      protocol === PROTOCOL_WITH_SECRET ? secret?.prove("dialler", statement) : undefined;
    const proof = identity?.prove(statement) ?? null;
    const hello: Hello = { ...words, proof, ...(secretProof ? { secretProof } : {}) };
    writeHello(writer.begin("hello"), hello);
    link.send(writer.finish({ shard, session: NO_SESSION }));
    this.#state = { step: "welcome", link, hello, statement };
  }

  /**
   * Selects the protocol. If the secret is required, it is proven and demanded whatever the peer
   * offers. If it is optional, it is not demanded of a peer that does not ask for it, since that
   * peer may not have it yet.
   *
   * @returns null if the link was closed.
   */
  #protocolFor(offered: number): number | null {
    const { secret } = this.#shared;
    if (offered !== PROTOCOL_VERSION && offered !== PROTOCOL_WITH_SECRET) {
      this.#lost("protocol", `the peer speaks version ${offered}`);
      return null;
    }
    if (secret !== null) return secret.isOptional ? offered : PROTOCOL_WITH_SECRET;
    if (offered === PROTOCOL_VERSION) return offered;
    this.#lost("not_proven", "the peer asks for RF_HA_SECRET, which is not set here");
    return null;
  }

  #welcome(state: Extract<State, { step: "welcome" }>, welcome: Welcome): void {
    const { local, events, shard } = this.#shared;
    const refusal = this.#judgeSecret(state, welcome) ?? this.#judge(state.hello, welcome);
    if (refusal !== null) {
      this.#lost(refusal, "the peer is not who was dialled");
      return;
    }
    const proven = this.#shared.isProven(welcome.secretProof !== undefined);
    const wanted = events.met(welcome, proven, state.hello.acceptorNonce);
    if (this.#state !== state) return;
    if (!wanted) {
      this.#lost("old_incarnation", "not wanted");
      return;
    }
    // This node learned its cluster id after the hello, so the peer may not know it yet.
    const cluster = state.hello.clusterId;
    if (cluster !== local.clusterId && welcome.clusterId === null) {
      this.redial();
      return;
    }
    this.#clusterUnknown = local.clusterId === null;
    const address = { shard, session: sessionOf(state.statement) };
    const level = readLevel(state.hello.acceptorNonce);
    this.#state = { step: "up", link: state.link, address, level };
    this.#begin();
  }

  /** Verifies the proof of the peer before any of its fields are trusted. */
  #judgeSecret(
    { hello, statement }: Extract<State, { step: "welcome" }>,
    welcome: Welcome,
  ): string | null {
    if (hello.secretProof === undefined) return null;
    const { secretProof } = welcome;
    const answer = encodeAnswer(statement, welcome);
    const isProven =
      secretProof !== undefined &&
      this.#shared.secret?.accepts("acceptor", answer, secretProof) === true;
    return isProven ? null : "not_proven";
  }

  #judge(hello: Hello, welcome: Welcome): string | null {
    const { local } = this.#shared;
    if (!sameBytes(welcome.diallerNonce, hello.diallerNonce)) return "stale_handshake";
    if (welcome.from !== this.#peer.address.id) return "wrong_destination";
    if (!local.clusterFits(welcome.clusterId)) return "wrong_cluster";
    if (local.isFormer(welcome.from, welcome.storageId)) return "old_incarnation";
    return null;
  }

  #begin(): void {
    const { stats, address } = this.#peer;
    this.#isUnknownThere = false;
    stats.up = true;
    stats.connects++;
    this.#pingsUnanswered = 0;
    this.#pingSentAt = null;
    this.#bytesSent = 0;
    this.#bytesDrained = 0;
    this.#shared.log.info("connected to peer", { peer: address.id });
    this.#shared.events.up(address.id);
    this.#ping();
  }

  /** A ping also detects a peer that disappeared without closing the connection. */
  #ping(): void {
    const state = this.#state;
    if (state.step !== "up") return;
    const { limits, clock, writer } = this.#shared;
    const drained = this.#bytesSent - state.link.bufferedBytes;
    // A send queue that drains counts as a response too, because pings wait behind large frames.
    if (state.link.bufferedBytes > 0 && drained > this.#bytesDrained) this.#pingsUnanswered = 0;
    this.#bytesDrained = drained;
    if (this.#pingsUnanswered >= limits.pingsUnansweredMax) {
      this.#lost("silent", "the peer does not answer");
      return;
    }
    this.#pingsUnanswered++;
    this.#pingsSent = (this.#pingsSent + 1) >>> 0;
    this.#pingSentAt = clock.monotonic();
    writer.begin("ping").u32(this.#pingsSent);
    this.transmit();
    this.#arm(limits.pingMs, () => this.#ping());
  }

  #pong(sequence: number, wallMs: number): void {
    this.#pingsUnanswered = 0;
    this.#failures = 0;
    if (sequence !== this.#pingsSent || this.#pingSentAt === null) return;
    const { clock, events } = this.#shared;
    const { stats, address } = this.#peer;
    const nowUs = clock.monotonic();
    stats.roundTripUs = nowUs - this.#pingSentAt;
    this.#pingSentAt = null;
    // The peer read its clock at some time between the ping and the pong.
    const errorMs = stats.roundTripUs / 2000;
    events.clock(address.id, wallMs + errorMs - nowUs / 1000, errorMs);
  }

  #lost(code: string, reason: string): void {
    const { log, failed, limits } = this.#shared;
    failed.add(code);
    const level = this.#failures === 0 ? "warn" : "debug";
    log[level]("link lost", { peer: this.#peer.address.id, code, reason });
    this.#leave("waiting");
    if (this.#state.step !== "waiting") return;
    const doubled = limits.redialMinMs * 2 ** Math.min(this.#failures, 30);
    this.#failures++;
    const waitMs = this.#shared.jittered(Math.min(doubled, limits.redialMaxMs));
    this.#arm(waitMs, () => this.#dial());
  }

  #leave(step: "waiting" | "stopped"): void {
    const state = this.#state;
    if (state.step === "stopped") return;
    this.#cancelTimer();
    this.#state = { step };
    if (state.step === "waiting") return;
    state.link.close();
    const { stats, address } = this.#peer;
    if (!stats.up) return;
    stats.up = false;
    this.#shared.events.down(address.id);
  }

  #arm(delayMs: number, run: () => void): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#shared.clock.after(delayMs, run);
  }
}

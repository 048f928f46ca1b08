/** Both sides of a worker port on one thread; messages are cloned and handed over as between two. */

import { BunClock } from "../../../src/env/bun-clock.ts";
import type { SharedBlocks } from "../../../src/lib/blocks.ts";
import { LocalGauge } from "../../../src/lib/gauge.ts";
import { ringMemory } from "../../../src/lib/ring.ts";
import type { Served } from "../../../src/node/port/calls.ts";
import type { PortMessage } from "../../../src/node/port/message.ts";
import { PortServer } from "../../../src/node/port/server.ts";
import type { ReadOpenFile } from "../../../src/node/port/window-reads.ts";
import { WorkerPort } from "../../../src/node/port/worker-port.ts";
import type { WaitClock } from "../../../src/node/reads/record-waits.ts";
import { answeringEnds, callingEnds } from "../../../src/server/thread-rings.ts";

export type PortPair = {
  readonly port: WorkerPort;
  readonly server: PortServer;
  /** All messages so far, as they came over, by direction. */
  readonly toNode: PortMessage[];
  readonly fromNode: PortMessage[];
};

export type PairOptions = {
  readonly queueBytesMax?: number;
  readonly queueRequestsMax?: number;
  /** Bytes of each ring. Absent: all calls go by message. */
  readonly ringBytes?: number;
  /** Memory that both sides read. */
  readonly blocks?: SharedBlocks;
  /** Reads files for the node. Absent: it fails. */
  readonly readFile?: ReadOpenFile;
  /** The clock of the calling side. @default that of the machine */
  readonly clock?: WaitClock;
};

export function portPair(
  served: Partial<Served>,
  {
    queueBytesMax = 1024 * 1024,
    queueRequestsMax = 1000,
    ringBytes,
    blocks,
    readFile = noFile,
    clock = new BunClock(),
  }: PairOptions = {},
): PortPair {
  const toNode: PortMessage[] = [];
  const fromNode: PortMessage[] = [];
  const post = (log: PortMessage[], receive: (message: PortMessage) => void) => {
    return (message: PortMessage, transfer: ArrayBuffer[]) => {
      const cloned = structuredClone(message, { transfer });
      log.push(cloned);
      setImmediate(() => receive(cloned));
    };
  };
  const rings =
    ringBytes === undefined
      ? null
      : ringPair(ringBytes, [() => port.woken(), () => server.woken()]);
  const port: WorkerPort = new WorkerPort({
    post: post(toNode, (message) => server.receive(message)),
    clock,
    queueBytesMax,
    queueRequestsMax,
    queued: { bytes: new LocalGauge(), requests: new LocalGauge() },
    readFile,
    ...(rings === null ? {} : { rings: rings.calling }),
  });
  const answer = post(fromNode, (message) => port.receive(message));
  const server = new PortServer(served as Served, {
    post: answer,
    defer: setImmediate,
    ...(rings === null ? {} : { rings: rings.answering }),
    ...(blocks === undefined ? {} : { blocks }),
  });
  return { port, server, toNode, fromNode };
}

const noFile: ReadOpenFile = () => Promise.reject(new Error("no file can be read"));

/** The ends of two rings on one thread. A wake-up comes in the next event-loop iteration. */
function ringPair(ringBytes: number, wakes: readonly [() => void, () => void]) {
  const calls = ringMemory(ringBytes);
  const outcomes = ringMemory(ringBytes);
  const rest = (wake: () => void) => ({
    wake: () => setImmediate(wake),
    fault: (error: unknown) => {
      throw error;
    },
  });
  return {
    calling: callingEnds({ calls, outcomes }, rest(wakes[1])),
    answering: answeringEnds({ calls, outcomes }, rest(wakes[0])),
  };
}

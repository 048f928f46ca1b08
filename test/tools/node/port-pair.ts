/** Both sides of a worker port on one thread; messages are cloned and handed over as between two. */

import { LocalGauge } from "../../../src/lib/gauge.ts";
import type { Served } from "../../../src/node/port/calls.ts";
import type { PortMessage } from "../../../src/node/port/message.ts";
import { PortServer } from "../../../src/node/port/server.ts";
import { WorkerPort } from "../../../src/node/port/worker-port.ts";

export type PortPair = {
  readonly port: WorkerPort;
  readonly server: PortServer;
  /** All messages so far, as they came over, by direction. */
  readonly toNode: PortMessage[];
  readonly fromNode: PortMessage[];
};

export function portPair(
  served: Partial<Served>,
  { queueBytesMax = 1024 * 1024, queueRequestsMax = 1000 } = {},
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
  const port: WorkerPort = new WorkerPort({
    post: post(toNode, (message) => server.receive(message)),
    defer: setImmediate,
    queueBytesMax,
    queueRequestsMax,
    queued: { bytes: new LocalGauge(), requests: new LocalGauge() },
  });
  const answer = post(fromNode, (message) => port.receive(message));
  const server = new PortServer(served as Served, answer, setImmediate);
  return { port, server, toNode, fromNode };
}

/** `ayder cluster`: shows and changes the members and the leader. */
import type { Membership } from "../client/index.ts";
import { type Arguments, type Command, EXIT, type Io } from "./command.ts";
import { connect, jsonLine, SERVER_OPTIONS } from "./server.ts";
import { type Cell, table } from "./table.ts";
import { visible } from "./visible.ts";

const PRIORITY_MAX = 1_000_000;

export const CLUSTER: Command = {
  name: "cluster",
  summary: "show nodes; add, promote, remove; transfer leadership",
  actions: [
    { name: "status", operands: "", summary: "show nodes and leader (default)", run: status },
    {
      name: "add",
      operands: "<node-id> <host:raft-port>",
      summary: "add a learner: it receives the log, no vote",
      run: add,
    },
    {
      name: "promote",
      operands: "<node-id>",
      summary: "make a learner a voter, once it has caught up",
      run: promote,
    },
    { name: "remove", operands: "<node-id>", summary: "remove a node", run: remove },
    {
      name: "transfer",
      operands: "[node-id]",
      summary: "transfer leadership to a node (default: any)",
      run: transfer,
    },
  ],
  options: {
    ...SERVER_OPTIONS,
    "http-addr": {
      type: "string",
      value: "HOST:PORT",
      only: ["add"],
      help: "its HTTP address (default: Raft port + 1)",
    },
    priority: {
      type: "string",
      value: "N",
      only: ["add"],
      help: "election priority; the highest is preferred as leader",
    },
  },
  notes: [
    "One change runs at a time. To replace the disk of a node, remove the node and add it again.",
    "Example: ayder cluster add node4 10.0.0.4:7000 && ayder cluster promote node4",
  ],
};

async function status(args: Arguments, io: Io): Promise<number> {
  const membership = await connect(args, io).cluster.membership();
  if (args.flag("json")) await io.out(jsonLine({ membership }));
  else await io.out(statusText(membership));
  return EXIT.ok;
}

function statusText({ nodes, leaderId, term, jointActive }: Membership): string {
  const rows = nodes.map((node): Cell[] => [
    node.nodeId,
    node.nodeId === leaderId ? "leader" : node.role,
    node.isVoter,
    node.healthy,
    node.matchIndex,
    node.httpAddr || null,
    node.advertiseAddr || null,
    node.priority,
  ]);
  const head = ["NODE", "ROLE", "VOTER", "HEALTHY", "LOG ON DISK", "HTTP", "RAFT", "PRIORITY"];
  const led = leaderId === null ? "no known leader" : `${visible(leaderId)} leads`;
  const change = jointActive ? "; a membership change is in progress" : "";
  return `${table(head, rows)}\n${led} in term ${term}${change}\n`;
}

async function add(args: Arguments, io: Io): Promise<number> {
  const [nodeId = "", advertiseAddr = ""] = args.operands;
  const httpAddr = args.text("http-addr");
  const priority = args.integer("priority", 0, PRIORITY_MAX);
  await connect(args, io).cluster.add({
    nodeId,
    advertiseAddr,
    ...(httpAddr === undefined ? {} : { httpAddr }),
    ...(priority === undefined ? {} : { priority }),
  });
  return await done(
    args,
    io,
    nodeId,
    `${nodeId} is a learner now; promote it when it has caught up`,
  );
}

async function promote(args: Arguments, io: Io): Promise<number> {
  const nodeId = args.operand(0);
  await connect(args, io).cluster.promote(nodeId);
  return await done(args, io, nodeId, `${nodeId} is a voter now`);
}

async function remove(args: Arguments, io: Io): Promise<number> {
  const nodeId = args.operand(0);
  await connect(args, io).cluster.remove(nodeId);
  return await done(args, io, nodeId, `${nodeId} is removed`);
}

async function transfer(args: Arguments, io: Io): Promise<number> {
  const target = await connect(args, io).cluster.transfer(args.operands[0]);
  return await done(args, io, target, `leadership is being transferred to ${visible(target)}`);
}

async function done(args: Arguments, io: Io, nodeId: string, text: string): Promise<number> {
  await io.out(args.flag("json") ? jsonLine({ ok: true, nodeId }) : `${text}\n`);
  return EXIT.ok;
}

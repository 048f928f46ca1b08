/** `ayder cluster`: who belongs to it, who leads, and changing that. */
import type { Membership } from "../client/index.ts";
import { type Arguments, type Command, EXIT, type Io } from "./command.ts";
import { connect, jsonLine, SERVER_OPTIONS } from "./server.ts";
import { type Cell, table } from "./table.ts";
import { visible } from "./visible.ts";

const PRIORITY_MAX = 1_000_000;

export const CLUSTER: Command = {
  name: "cluster",
  summary: "status of the nodes; add, promote, remove; move the leadership",
  actions: [
    { name: "status", operands: "", summary: "nodes and leader (the default)", run: status },
    {
      name: "add",
      operands: "<node-id> <host:raft-port>",
      summary: "as a learner: it gets the log and has no vote",
      run: add,
    },
    {
      name: "promote",
      operands: "<node-id>",
      summary: "make a learner that has caught up a voter",
      run: promote,
    },
    { name: "remove", operands: "<node-id>", summary: "take a node out", run: remove },
    {
      name: "transfer",
      operands: "[node-id]",
      summary: "hand the leadership to this node, or to whoever is fit",
      run: transfer,
    },
  ],
  options: {
    ...SERVER_OPTIONS,
    "http-addr": {
      type: "string",
      value: "HOST:PORT",
      only: ["add"],
      help: "where clients reach it (one port above Raft's)",
    },
    priority: { type: "string", value: "N", only: ["add"], help: "more: rather the leader" },
  },
  notes: [
    "One change at a time. A node whose disk was replaced has to be removed and added again.",
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
  const led = leaderId === null ? "no leader is known" : `${visible(leaderId)} leads`;
  const change = jointActive ? "; a change of the membership is under way" : "";
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
  return await done(args, io, target, `the leadership goes to ${visible(target)}`);
}

async function done(args: Arguments, io: Io, nodeId: string, text: string): Promise<number> {
  await io.out(args.flag("json") ? jsonLine({ ok: true, nodeId }) : `${text}\n`);
  return EXIT.ok;
}

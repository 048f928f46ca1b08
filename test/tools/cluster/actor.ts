/** A client with everything it needs to act and to note what it did. */
import type { Operation, OperationOf, Outcome } from "../history/operations.ts";
import type { Random } from "../random.ts";
import type { Answer, Client, Request } from "./client.ts";
import type { Knowledge } from "./knowledge.ts";
import type { NodeProcess } from "./node-process.ts";
import type { Body } from "./outcome.ts";
import type { Recorder } from "./recorder.ts";

export type Actor = {
  readonly client: Client;
  readonly recorder: Recorder;
  readonly knowledge: Knowledge;
  readonly random: Random;
};

export type Read<Result> = (answer: Answer) => {
  readonly outcome: Outcome;
  readonly result: Result | null;
};

/** Sends a request and notes it with what `read` makes of the answer. */
export async function noted<Name extends Operation["op"]>(
  { client, recorder }: Actor,
  node: NodeProcess,
  op: Name,
  args: OperationOf<Name>["args"],
  request: Request,
  read: Read<NonNullable<OperationOf<Name>["result"]>>,
): Promise<Answer> {
  const call = recorder.now();
  const answer = await client.send(node, request);
  recorder.add(op, {
    process: client.name,
    node: answer.node.id,
    call,
    args,
    ...read(answer),
  });
  return answer;
}

/** Only a success has a result. */
export const ifOk =
  <Result>(toResult: (body: Body) => Result): Read<Result> =>
  ({ outcome, body }) => ({
    outcome,
    result: outcome === "ok" && body !== null ? toResult(body) : null,
  });

/** @throws if the server does not keep to its contract. */
export function number(body: Body, field: string): number {
  const value = body[field];
  if (typeof value === "number" && Number.isSafeInteger(value)) return value;
  throw new Error(`"${field}" is no integer in ${JSON.stringify(body).slice(0, 200)}`);
}

/** Requests that a follower forwards to the leader, and their answers in a form that can be compared. */
export type Body = Record<string, unknown>;
export type Asked = { readonly body?: string | Uint8Array<ArrayBuffer>; readonly headers?: object };

export async function ask(url: string, line: string, { body, headers = {} }: Asked = {}) {
  const [method = "", path = ""] = line.split(" ");
  const response = await fetch(url + path, {
    method,
    headers: { authorization: "Bearer dev", ...headers },
    redirect: "manual",
    tls: { rejectUnauthorized: false },
    ...(body === undefined ? {} : { body }),
  });
  const text = await response.text();
  const names = Object.fromEntries(response.headers);
  delete names["date"];
  return {
    status: response.status,
    headers: names,
    body: (text === "" ? {} : JSON.parse(text)) as Body,
  };
}

export type Answered = { readonly line: string; readonly status: number; readonly text: string };

/** Uses all that a follower sends over the link and that works on something. @returns what was answered. */
export async function workAt(url: string, own: string): Promise<Answered[]> {
  const answers: Answered[] = [];
  const say = async (line: string, body?: object | string, headers: object = {}) => {
    const text = typeof body === "object" ? JSON.stringify(body) : body;
    const answer = await ask(url, line, { headers, ...(text === undefined ? {} : { body: text }) });
    const next = answer.headers["stream-next-offset"];
    answers.push({
      line: line.replaceAll(own, "OWN").replace(/delayed:\d+/, "delayed:?"),
      status: answer.status,
      text: JSON.stringify({ ...answer.body, next: next?.replace(/^\d+/, "?") })
        .replaceAll(own, "OWN")
        .replaceAll(url, "URL")
        .replace(/"(\w+_ms|batch_id|acked_by)":\d+/g, '"$1":"?"')
        .replace(/"(token|wake_id|created_at)":"[^"]+"/g, '"$1":"?"')
        .replace(/"generation":\d+/g, '"generation":"?"')
        .replace(/"q\d+-/g, '"q?-')
        .replace(/"\d{16}_/g, '"?_')
        .replace(/delayed:\d+/g, "delayed:?"),
    });
    return answer.body;
  };
  const queue = `/broker/queues/${own}`;
  const receipts = (body: Body): string[] =>
    (body["messages"] as { receipt: string }[]).map(({ receipt }) => receipt);
  await say("POST /broker/topics", { name: own, partitions: 1 });
  await say(`PUT ${queue}`, { topic: own, max_deliveries: 2, backoff_ms: [1] });
  for (const value of ["a", "b", "c", "d", "e"]) {
    await say(`POST /broker/topics/${own}/produce?key=k&header.h=1`, value);
  }
  const [a = "", b = "", c = "", d = ""] = receipts(await say(`POST ${queue}/receive?max=4`));
  await say(`POST ${queue}/ack`, { receipts: [a, "q1-2"] });
  await say(`POST ${queue}/nack`, { receipts: [b], delay_ms: 0 });
  await say(`POST ${queue}/extend`, { receipts: [c], by_ms: 60_000 });
  await say(`POST ${queue}/reject`, { receipts: [d], reason: "no" });
  await say(`POST ${queue}/receive?max=9&wait_ms=10000&encoding=b64`);
  await say(`POST ${queue}/receive?wait_ms=50`);
  await say(`POST ${queue}/redrive`, {});
  await say(`POST ${queue}/receive?max=9&wait_ms=10000`);
  await say(`POST ${queue}/receive?max=0x`);
  await say(`POST ${queue}-none/receive`);
  await say(`POST ${queue}-none/ack`, { receipts: [a] });

  const group = `/broker/groups/${own}`;
  await say(`POST ${group}/join`, { topics: [own], member: "m" });
  await say(`POST ${group}/join`, { topics: [`${own}-none`], member: "m" });
  const page = await say(`GET ${group}/messages?member=m&limit=3`);
  await say(`GET ${group}/messages?member=m&wait_ms=50`);
  await say(`GET ${group}/messages?member=m&wait_ms=50`);
  const [position] = page["positions"] as { generation: number }[];
  const offsets = [{ topic: own, partition: 0, generation: position?.generation, offset: 3 }];
  await say(`POST ${group}/commit`, { member: "m", offsets });
  await say(`POST ${group}/leave`, { member: "m" });
  await say(`POST ${group}/leave`, { member: "m" });

  const stream = `/v1/stream/${own}`;
  const type = { "content-type": "application/json" };
  await say(`PUT ${stream}/a`, "[1]", type);
  await say(`PUT ${stream}/wake`, undefined, type);
  const numbered = { ...type, "producer-id": "p", "producer-epoch": "0", "producer-seq": "0" };
  await say(`POST ${stream}/a`, "[2,3]", numbered);
  await say(`POST ${stream}/a`, "[2,3]", numbered);
  await say(`POST ${stream}/a`, "x", { "content-type": "text/plain" });
  const subscription = `/v1/stream/__ds/subscriptions/${own}`;
  const wake = { type: "pull-wake", streams: [`${own}/a`], wake_stream: `${own}/wake` };
  await say(`PUT ${subscription}`, wake);
  await say(`POST ${stream}/a`, "[4]", type);
  await say(`POST ${subscription}/claim`, { worker: "w" });
  await say(`POST ${subscription}/claim`, { worker: "v" });
  await say(`POST ${subscription}/streams`, { streams: [`${own}/b`] });
  await say(`DELETE ${subscription}/streams/${own}/b`);
  await say(`DELETE ${subscription}`);
  await say(`DELETE ${stream}/a`);
  await say(`DELETE ${stream}/a`);

  const { schedule_id: id } = await say(`POST /broker/topics/${own}/produce?delay_ms=600000`, "x");
  await say(`DELETE /broker/schedules/${String(id)}`);
  await say(`DELETE /broker/schedules/${String(id)}`);
  return answers;
}

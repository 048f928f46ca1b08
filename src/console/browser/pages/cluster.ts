/** Shows and changes the members and the leader of the cluster. */

import type { Member, Membership } from "../../../api/cluster.ts";
import { send } from "../api.ts";
import { count } from "../lib/format.ts";
import { addMember, changeMember, membership, transferLeadership } from "../lib/requests.ts";
import { consoleAt, nodeState } from "../node-state.ts";
import { every } from "../poll.ts";
import { note } from "../ui/announce.ts";
import { curlButton } from "../ui/curl.ts";
import { confirmDestruction, openDialog } from "../ui/dialog.ts";
import { h, setText } from "../ui/dom.ts";
import { button, form, requiredText, row, submitButton, textField } from "../ui/form.ts";
import { heading, type PageContext, Trouble } from "../ui/page.ts";
import { Table } from "../ui/table.ts";
import { ClusterMap } from "./cluster-map.ts";

const REFRESH_MS = 2000;

export function clusterPage({ signal }: PageContext): HTMLElement {
  const trouble = new Trouble();
  const facts = h("p", { class: "facts" }, "…");
  const map = new ClusterMap();
  const load = () =>
    trouble.watch(signal, async () => {
      const { membership: cluster } = await send<Membership>(membership, signal);
      const most = Math.max(0, ...cluster.nodes.map((node) => node.match_index ?? 0));
      setText(facts, factsOf(cluster));
      map.update(cluster.nodes, cluster.leader_id);
      table.update(cluster.nodes.map((node) => ({ ...node, most })));
    });
  const table = membersTable(() => void load());
  void every(REFRESH_MS, signal, load);
  return h(
    "div",
    {},
    heading(
      "Cluster",
      "cluster",
      button("Add a node…", () => addDialog(() => void load())),
      curlButton(() => membership),
    ),
    facts,
    trouble.element,
    map.element,
    table.element,
  );
}

function factsOf({
  nodes,
  term,
  leader_id: leader,
  joint_active: joint,
}: Membership["membership"]) {
  const voters = nodes.filter((node) => node.is_voter).length;
  const parts = [
    leader === null ? "nobody leads" : `${leader} leads`,
    `term ${count(term)}`,
    `${voters} of ${nodes.length} vote`,
    `this node: ${nodeState()?.role ?? "…"}`,
  ];
  if (joint) parts.push("a change is in progress");
  if (nodes.length === 1) parts.push("a single node is a cluster of one");
  return parts.join(" · ");
}

type Row = Member & { readonly most: number };

function membersTable(done: () => void): Table<Row> {
  return new Table<Row>({
    caption: "Nodes",
    // The actions are part of the key: a row with other actions is another row.
    keyOf: (node) => `${node.node_id} ${node.role} ${node.is_voter} ${node.http_addr}`,
    empty: () => "No nodes.",
    columns: [
      { label: "Node", cell: (node) => consoleLink(node) },
      { label: "Role", wide: true, cell: ({ role }) => role },
      { label: "Health", cell: ({ healthy }) => (healthy ? "healthy" : "not healthy") },
      { label: "Raft", wide: true, cell: (node) => node.advertise_addr },
      { label: "Priority", kind: "number", wide: true, cell: (node) => count(node.priority) },
      {
        label: "Log index",
        kind: "number",
        wide: true,
        cell: ({ match_index: index }) => (index === null ? "–" : count(index)),
      },
      {
        label: "Behind",
        kind: "number",
        cell: ({ match_index: index, most }) => (index === null ? "–" : count(most - index)),
      },
      { label: "", cell: (node) => actions(node, done) },
    ],
  });
}

function consoleLink({ node_id: id, http_addr: address }: Member): Element {
  const known = /:[1-9]\d*$/.test(address);
  if (!known || address === location.host) return h("span", {}, id);
  return h("a", { href: consoleAt(address), "data-item": true }, id);
}

function actions(node: Member, done: () => void): HTMLElement {
  const { node_id: id } = node;
  const act = (label: string, text: string, request: ReturnType<typeof changeMember>) =>
    button(label, () => actDialog(`${label.replace("…", "")} ${id}`, text, request, done));
  const remove = () =>
    confirmDestruction({
      title: "Remove this node",
      warning: "It leaves the cluster. Its data remains on its disk.",
      name: id,
      request: changeMember("remove", id),
      done,
    });
  return row(
    node.is_learner
      ? act("Promote…", "It becomes a voter, once it has caught up.", changeMember("promote", id))
      : null,
    node.is_voter && node.role !== "leader"
      ? act(
          "Make leader…",
          "The current leader transfers leadership to it.",
          transferLeadership(id),
        )
      : null,
    node.role === "leader" ? null : button("Remove…", remove),
  );
}

function actDialog(
  title: string,
  text: string,
  request: ReturnType<typeof changeMember>,
  done: () => void,
): void {
  const submit = async () => {
    await send(request);
    dialog.close();
    note(`${title}: done`);
    done();
  };
  const dialog = openDialog(
    title,
    form(
      title,
      submit,
      h("p", {}, text),
      row(
        submitButton("Do it"),
        button("Cancel", () => dialog.close()),
        curlButton(() => request),
      ),
    ),
  );
}

function addDialog(done: () => void): void {
  const id = textField("Name", { placeholder: "node4" });
  const raft = textField("Raft address", { placeholder: "host:port" });
  const http = textField("HTTP address", { placeholder: "host:port" }, "Empty: Raft port + 1.");
  const request = () =>
    addMember(
      requiredText(id.control, "The name"),
      requiredText(raft.control, "The Raft address"),
      http.control.value || null,
    );
  const submit = async () => {
    await send(request());
    dialog.close();
    note(`${id.control.value} learns`);
    done();
  };
  const dialog = openDialog(
    "Add a node",
    form(
      "Add a node",
      submit,
      h("p", {}, "The node starts as a learner; promote it when it has caught up."),
      id.element,
      raft.element,
      http.element,
      row(
        submitButton("Add"),
        button("Cancel", () => dialog.close()),
        curlButton(request),
      ),
    ),
  );
  id.control.focus();
}

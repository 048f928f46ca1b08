/** Starts the console: signs in, then shows the shell with the page of the address. */
import { onUnauthorized } from "./api.ts";
import { samples } from "./app.ts";
import { clusterPage } from "./pages/cluster.ts";
import { exportsPage } from "./pages/exports.ts";
import { groupsPage } from "./pages/groups.ts";
import { keysPage } from "./pages/keys.ts";
import { metricsPage } from "./pages/metrics.ts";
import { queryPage } from "./pages/query.ts";
import { queuesPage } from "./pages/queues.ts";
import { streamsPage } from "./pages/streams.ts";
import { topicsPage } from "./pages/topics.ts";
import { go, type Pages, Router } from "./router.ts";
import { signOut as forgetToken, token } from "./session.ts";
import { Shell } from "./shell.ts";
import { startShortcuts } from "./shortcuts.ts";
import { signInPage } from "./sign-in.ts";
import { announcers } from "./ui/announce.ts";
import { h } from "./ui/dom.ts";
import { applyTheme } from "./ui/theme.ts";

const PAGES: Pages = new Map([
  ["topics", topicsPage],
  ["groups", groupsPage],
  ["queues", queuesPage],
  ["streams", streamsPage],
  ["exports", exportsPage],
  ["keys", keysPage],
  ["query", queryPage],
  ["cluster", clusterPage],
  ["metrics", metricsPage],
]);
const HOME = "topics";

const root = h("div", { id: "root" });
let session = new AbortController();
let shell: Shell | null = null;

const router = new Router(PAGES, HOME, (name, page, moved) => shell?.show(name, page, moved));

function enter(): void {
  session = new AbortController();
  shell = new Shell(() => leave());
  root.replaceChildren(shell.element);
  shell.watchState(session.signal);
  samples.start(session.signal);
  router.open();
}

function leave(reason = ""): void {
  forgetToken();
  session.abort();
  router.close();
  shell = null;
  root.replaceChildren(signInPage(enter, reason));
  root.querySelector("input")?.focus();
}

applyTheme();
document.body.append(root, ...announcers());
onUnauthorized(() => {
  if (shell !== null) leave("The server does not accept the token any more");
});
startShortcuts((place) => {
  if (shell !== null) go([place]);
});
if (token() === null) leave();
else enter();

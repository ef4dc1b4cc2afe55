// The page as a whole: what the server tells goes to its parts, and what people do goes to the server.

import { byId, h, keep, setText } from "./dom.js";
import { age, bytes, clock } from "./format.js";
import { Connections } from "./connections.js";
import { Conversation } from "./conversation.js";
import { Errors } from "./errors.js";
import { Feed, post } from "./feed.js";
import { Services } from "./services.js";
import { Sockets } from "./sockets.js";
import { Tabs } from "./tabs.js";
import { Workers } from "./workers.js";

let columns = [];
let ahead = 0; // how far the server's clock is before ours, in milliseconds
let heardAt = null; // the server's time in its last event
const now = () => Date.now() + ahead;

// ── closing a connection ─────────────────────────────────────────────────────────────────────────────────────────────

const dialog = byId("confirm");
let leaving = null;

function askToClose(connection) {
  if (document.body.dataset.link !== "live") return;
  leaving = connection;
  setText(byId("confirm-text"), `${connection.peer} is talking to ${connection.service}. It is ended at once, in the middle of whatever is said.`);
  dialog.returnValue = "keep";
  dialog.showModal();
}

dialog.addEventListener("close", async () => {
  const connection = leaving;
  leaving = null;
  if (dialog.returnValue !== "close" || !connection) return;
  try {
    await post(`./api/connections/${encodeURIComponent(connection.id)}/close`, {});
    toast(`The connection from ${connection.peer} is closed.`);
  } catch (error) {
    toast(`It is not closed: ${error.message}`);
  }
});

let toastTimer = 0;
function toast(sentence) {
  const node = byId("toast");
  setText(node, sentence);
  node.classList.add("is-shown");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => {
    node.classList.remove("is-shown");
    setText(node, "");
  }, 5000);
}

// ── the parts ────────────────────────────────────────────────────────────────────────────────────────────────────────

let opener = null;
const open = (connection) => {
  opener = document.activeElement;
  conversation.open(connection);
};
const connections = new Connections({ now, onOpen: open, onClose: askToClose });
const conversation = new Conversation({
  now,
  find: (id) => connections.get(id),
  want: (id) => feed?.want({ conversation: id }),
  onClose: askToClose,
  onHide: () => opener?.focus(),
});
const services = new Services({ onChoose: (name) => {
  tabs.choose(byId("tab-connections"));
  connections.showService(name);
} });
connections.onClear = () => services.chosen !== null && services.choose(services.chosen);
const workers = new Workers();
const sockets = new Sockets();
const errors = new Errors({ onOpen: open });
const tabs = new Tabs(document.querySelector("[role=tablist]"), (name) => {
  feed.want({ sockets: name === "sockets" });
  if (name === "connections") connections.show();
});

// ── the server ───────────────────────────────────────────────────────────────────────────────────────────────────────

function showLink(state, sentence) {
  document.body.dataset.link = state;
  setText(byId("link"), { live: "Live", lost: "Lost", waiting: "Connecting…", silent: "Silent" }[state]);
  const banner = byId("banner");
  banner.hidden = !sentence;
  if (sentence) setText(banner, sentence);
}

function showLost() {
  const since = heardAt === null ? "" : ` What you see is from ${clock(new Date(heardAt))}.`;
  showLink("lost", `The server does not answer.${since} Trying again…`);
}

function takeServer(event) {
  if (event.silent) {
    showLink("silent", `The server does not say how it is: ${event.silent}.`);
    return;
  }
  const at = Date.parse(event.now);
  ahead = at - Date.now();
  heardAt = at;
  const draining = event.server.state === "stopping";
  showLink("live", draining ? "The server is stopping: it lets its connections end." : "");
  const shown = event.services.filter(({ builtin }) => !builtin);
  connections.suggestion = suggestion(shown);
  services.take(shown, at);
  workers.take(event, at);
  showFacts(event.server);
  connections.tick(event);
  conversation.show();
}

function suggestion(shown) {
  const url = shown.flatMap(({ listen }) => listen).find((one) => /^(tcp|unix):/.test(one));
  if (!url) return "";
  return `portside connect ${url.replace("[::]", "[::1]").replace("0.0.0.0", "127.0.0.1")}`;
}

function showFacts(server) {
  const facts = [
    ["up", age(server.up_s)],
    ["version", server.version],
    ["process", String(server.pid)],
    ["memory", bytes(server.rss_bytes)],
  ];
  keep(byId("facts"), facts, ([name]) => name, ([name]) => {
    const value = h("dd");
    return Object.assign(h("div", {}, h("dt", {}, name), value), { value });
  }, (node, [, value]) => setText(node.value, value));
}

const feed = new Feed({
  hello: (data) => {
    columns = data.columns;
    conversation.restart();
  },
  link: (state) => state === "lost" && showLost(),
  server: takeServer,
  connections: (event) => {
    connections.take(event, columns);
    conversation.show();
  },
  errors: (event) => errors.take(event),
  conversation: (event) => conversation.take(event),
  sockets: (event) => sockets.take(event),
});

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input, select, textarea");
  if (event.key === "/" && !isTyping && !dialog.open) {
    event.preventDefault();
    tabs.choose(byId("tab-connections"));
    byId("filter").focus();
  } else if (event.key === "Escape" && event.target === byId("filter")) connections.clear();
});

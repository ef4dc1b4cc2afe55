// The live connections: kept by the changes that the server tells of, filtered, sorted, closed.

import { byId, h, setText } from "./dom.js";
import { address, age, bytes, number, plural } from "./format.js";
import { Grid } from "./grid.js";

const OLD_S = 4;

export class Connections {
  /** `now()` is the server's time; `onOpen` and `onClose` get a connection. */
  constructor({ now, onOpen, onClose }) {
    this.byName = new Map();
    this.now = now;
    this.service = null;
    this.suggestion = "";
    this.some = "";
    this.filter = byId("filter");
    this.order = byId("sort");
    const columns = [
      { name: "service", title: "Service", text: (row) => row.service, order: (row) => row.service },
      { name: "protocol", title: "Protocol", text: (row) => row.protocol, order: (row) => row.protocol },
      { name: "peer", title: "Peer", text: (row) => row.peer, order: (row) => row.peerOrder },
      { name: "local", title: "Local", text: (row) => row.local, order: (row) => row.local },
      { name: "age", title: "Age", right: true, text: (row) => age((this.now() - row.startedAt) / 1000), order: (row) => -row.startedAt },
      { name: "in", title: "In", right: true, text: (row) => bytes(row.bytesIn), order: (row) => row.bytesIn },
      { name: "out", title: "Out", right: true, text: (row) => bytes(row.bytesOut), order: (row) => row.bytesOut },
      { name: "state", title: "State", text: (row) => row.state, order: (row) => row.state },
      { name: "worker", title: "Worker", right: true, text: (row) => String(row.worker), order: (row) => row.worker },
    ];
    this.grid = new Grid(byId("connections"), {
      label: "Live connections",
      kind: "connection",
      columns,
      keyOf: (row) => row.id,
      sort: "age",
      onOpen,
      onRemove: onClose,
      removeLabel: (row) => `Close the connection from ${row.peer}`,
      onSort: () => {
        this.order.value = this.grid.sort;
      },
    });
    this.order.append(...columns.map(({ name, title }) => h("option", { value: name }, `Sort by ${title.toLowerCase()}`)));
    this.order.value = "age";
    this.order.addEventListener("change", () => this.grid.sortBy(this.order.value));
    this.filter.addEventListener("input", () => this.show());
  }

  get(id) {
    return this.byName.get(id);
  }

  take({ anew, new: come, moved, gone }, columns) {
    if (anew) this.byName.clear();
    for (const values of come) {
      const row = shaped(Object.fromEntries(columns.map((name, at) => [name, values[at]])));
      this.byName.set(row.id, row);
    }
    for (const [id, bytesIn, bytesOut, state] of moved) {
      const row = this.byName.get(id);
      if (row) Object.assign(row, { bytesIn, bytesOut, state });
    }
    for (const id of gone) this.byName.delete(id);
    this.show();
  }

  showService(name) {
    this.service = name;
    this.show();
  }

  /** Show what fits the filter, at the browser's next chance to draw. */
  show() {
    if (this.isDue) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      this.showNow();
    });
  }

  showNow() {
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let rows = [...this.byName.values()];
    if (this.service !== null) rows = rows.filter((row) => row.service === this.service);
    if (words.length) rows = rows.filter((row) => words.every((word) => `${row.search} ${row.state}`.includes(word)));
    if (!rows.length) this.showEmpty(words.length > 0 || this.service !== null);
    this.grid.show(rows);
    const all = this.byName.size;
    this.some = rows.length === all ? plural(all, "connection") : `${number(rows.length)} of ${plural(all, "connection")}`;
    this.showCount();
    setText(byId("count-connections"), number(all));
  }

  showEmpty(isFiltered) {
    const { empty } = this.grid;
    const reason = isFiltered && this.byName.size ? "filter" : `nobody ${this.suggestion}`;
    if (empty.reason === reason) return;
    empty.reason = reason;
    empty.replaceChildren(
      ...(reason === "filter"
        ? [h("p", {}, "No connection fits."), h("button", { class: "quiet", type: "button", onclick: () => this.clear() }, "Show all")]
        : [h("p", {}, "Nobody is connected."), this.suggestion ? h("p", { class: "soft" }, "Try ", h("code", {}, this.suggestion)) : null].filter(Boolean)),
    );
  }

  clear() {
    this.filter.value = "";
    this.onClear?.();
    this.showService(null);
    this.filter.focus();
  }

  /** Say how many there are, and how old that is where it is not of now: a busy server is not asked each second. */
  showCount() {
    const old = this.lookedAt ? (this.now() - this.lookedAt) / 1000 : 0;
    setText(byId("shown"), `${this.some}${this.isCut ? ", the first of many" : ""}${old > OLD_S ? `, ${age(old)} ago` : ""}`);
  }

  /** A second has passed: ages are shown anew. */
  tick(event) {
    this.lookedAt = event.looked_at ? Date.parse(event.looked_at) : null;
    this.isCut = event.cut;
    this.showCount();
    this.grid.draw();
  }
}

function shaped(one) {
  const peer = address(one.peer);
  const local = address(one.local);
  const protocol = (one.local.path !== undefined ? "unix" : "tcp") + (one.tls ? ` · ${one.tls}` : "");
  return {
    id: one.id,
    service: one.service,
    worker: one.worker,
    peer,
    local,
    protocol,
    peerOrder: one.peer.host === undefined ? peer : `${one.peer.host} ${one.peer.port}`.replace(/\d+/g, (digits) => digits.padStart(5, "0")),
    startedAt: Date.parse(one.started_at),
    bytesIn: one.bytes_in,
    bytesOut: one.bytes_out,
    state: one.state,
    search: `${one.id} ${one.service} ${peer} ${local} ${protocol} ${one.worker}`.toLowerCase(),
  };
}

// The services with a minute of each, and all of them together.

import { byId, h, keep, setAttribute, setText } from "./dom.js";
import { byteRate, number, plural } from "./format.js";
import { POINTS, Rate, Spark } from "./spark.js";

const STATES = {
  ready: "ready",
  degraded: "some workers are missing",
  down: "no worker serves",
  retiring: "its last connections",
  draining: "stopping",
};
const LIMITS = {
  connections: "in total",
  per_ip: "per address",
  accept_rate: "accept rate",
  datagrams: "datagram rate",
  denied: "denied",
  amplification: "amplification",
  proxy: "PROXY header",
};

class History {
  constructor() {
    this.open = [];
    this.opened = new Rate();
    this.in = new Rate();
    this.out = new Rate();
  }

  add(facts, at) {
    this.open.push(facts.open);
    if (this.open.length > POINTS) this.open.shift();
    this.opened.add(facts.opened + facts.datagrams, at);
    this.in.add(facts.bytes_in, at);
    this.out.add(facts.bytes_out, at);
  }
}

export class Services {
  /** `onChoose(name)` when only the connections of one service are wanted, or of all with null. */
  constructor({ onChoose }) {
    this.onChoose = onChoose;
    this.chosen = null;
    this.histories = new Map();
    this.total = new History();
    this.table = byId("services");
    const titles = [["Service"], ["State"], ["Open", "right"], ["New", "right"], ["In", "right"], ["Out", "right"], ["Turned away", "right"], ["Failed", "right"]];
    this.table.append(h("thead", {}, h("tr", {}, ...titles.map(([title, right]) => h("th", { scope: "col", class: right }, title)))));
    this.body = h("tbody");
    this.table.append(this.body);
    this.tiles = [
      tile("Connections", "", (total) => [number(total.open.at(-1) ?? 0), total.open]),
      tile("New", "", (total) => [rate(total.opened.now), total.opened.values]),
      tile("In", "in", (total) => [byteRate(total.in.now), total.in.values]),
      tile("Out", "out", (total) => [byteRate(total.out.now), total.out.values]),
    ];
    byId("totals").append(...this.tiles.map(({ node }) => node));
  }

  take(services, at) {
    const sum = { open: 0, opened: 0, datagrams: 0, bytes_in: 0, bytes_out: 0 };
    for (const service of services) {
      for (const name of Object.keys(sum)) sum[name] += service[name];
      if (!this.histories.has(service.service)) this.histories.set(service.service, new History());
      this.histories.get(service.service).add(service, at);
    }
    this.total.add(sum, at);
    for (const one of this.tiles) one.draw(this.total);
    keep(this.body, services, (service) => service.service, (service) => this.make(service), (row, service) => this.update(row, service));
  }

  make({ service }) {
    const part = (name, kind) => {
      const spark = new Spark(kind);
      const value = h("span", { class: "value" });
      return { spark, value, cell: h("td", { class: `right ${name}`, "data-title": name }, h("span", { class: "with-spark" }, spark.node, value)) };
    };
    const button = h("button", { class: "name", type: "button", "aria-pressed": "false", onclick: () => this.choose(service) }, service);
    const about = h("span", { class: "soft about" });
    const state = h("span", { class: "state" });
    const parts = { open: part("open", ""), opened: part("new", ""), in: part("in", "in"), out: part("out", "out") };
    const refused = h("td", { class: "right refused", "data-title": "turned away" });
    const failed = h("td", { class: "right failed", "data-title": "failed" });
    const row = h("tr", {}, h("th", { scope: "row" }, button, about), h("td", { class: "state-cell" }, state), ...Object.values(parts).map(({ cell }) => cell), refused, failed);
    Object.assign(row, { button, about, state, parts, refused, failed });
    return row;
  }

  update(row, service) {
    const history = this.histories.get(service.service);
    const { parts } = row;
    setText(row.about, `${service.what === service.service ? "" : `${service.what} · `}${service.model} · ${service.listen.join(" ") || "listens no more"}`);
    setText(row.state, STATES[service.state] ?? service.state);
    setAttribute(row.state, "data-state", service.state);
    setAttribute(row.button, "aria-pressed", String(this.chosen === service.service));
    setText(parts.open.value, number(service.open));
    setText(parts.opened.value, rate(history.opened.now));
    setText(parts.in.value, byteRate(history.in.now));
    setText(parts.out.value, byteRate(history.out.now));
    parts.open.spark.draw(history.open);
    parts.opened.spark.draw(history.opened.values);
    parts.in.spark.draw(history.in.values);
    parts.out.spark.draw(history.out.values);
    const hits = Object.entries(service.limits_hit).filter(([, count]) => count);
    const refused = hits.reduce((sum, [, count]) => sum + count, 0);
    setText(row.refused, number(refused));
    setAttribute(row.refused, "title", hits.map(([name, count]) => `${LIMITS[name] ?? name}: ${number(count)}`).join("\n") || null);
    setAttribute(row.refused, "data-mark", refused ? "warn" : null);
    setText(row.failed, number(service.handler_failed));
    setAttribute(row.failed, "data-mark", service.handler_failed ? "bad" : null);
    setAttribute(row.failed, "title", service.handler_failed ? plural(service.handler_failed, "handler failure") : null);
  }

  choose(name) {
    this.chosen = this.chosen === name ? null : name;
    for (const [other, row] of this.body.kept) setAttribute(row.button, "aria-pressed", String(other === this.chosen));
    this.onChoose(this.chosen);
  }
}

const rate = (value) => (value === null ? "–" : `${value < 10 ? value.toFixed(value && value < 1 ? 1 : 0) : number(Math.round(value))}/s`);

function tile(title, kind, read) {
  const spark = new Spark(kind);
  const value = h("strong", {}, "–");
  const node = h("div", { class: "tile" }, h("span", { class: "soft" }, title), value, spark.node);
  return {
    node,
    draw(total) {
      const [text, values] = read(total);
      setText(value, text);
      spark.draw(values);
    },
  };
}

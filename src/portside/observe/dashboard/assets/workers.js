// The processes: the supervisor, the workers of each service, and the one that shows this page.

import { byId, h, keep, setAttribute, setText } from "./dom.js";
import { age, bytes, number, percent } from "./format.js";
import { Rate, Spark } from "./spark.js";

const TITLES = [["Process", "right"], ["Serves"], ["State"], ["CPU", "right"], ["Memory", "right"], ["Threads", "right"], ["Age", "right"]];

export class Workers {
  constructor() {
    const table = byId("workers");
    table.append(h("thead", {}, h("tr", {}, ...TITLES.map(([title, right]) => h("th", { scope: "col", class: right }, title)))));
    this.body = h("tbody");
    table.append(this.body);
    this.rates = new Map();
  }

  take({ server, services, busy }, at) {
    const supervisor = { pid: server.pid, serves: "supervisor", state: server.state, age_s: server.up_s, cpu_s: server.cpu_s, rss_bytes: server.rss_bytes, threads: server.threads };
    const workers = services.flatMap(({ service, builtin, workers: theirs }) =>
      theirs.map((worker) => ({ ...worker, serves: service, builtin, state: busy.includes(worker.pid) ? "busy" : worker.state })),
    );
    workers.sort((a, b) => a.builtin - b.builtin);
    const all = [supervisor, ...workers];
    for (const { pid, cpu_s: cpu } of all) {
      if (!this.rates.has(pid)) this.rates.set(pid, new Rate());
      if (cpu !== null) this.rates.get(pid).add(cpu, at);
    }
    for (const pid of this.rates.keys()) if (!all.some((one) => one.pid === pid)) this.rates.delete(pid);
    setText(byId("count-workers"), number(workers.filter(({ builtin }) => !builtin).length));
    keep(this.body, all, ({ pid }) => pid, (one) => this.make(one), (row, one) => this.update(row, one));
  }

  make({ pid, serves, builtin }) {
    const spark = new Spark("");
    const value = h("span", { class: "value" });
    const cells = { state: h("span", { class: "state" }), memory: h("td", { class: "right" }), threads: h("td", { class: "right" }), age: h("td", { class: "right" }) };
    const name = builtin ? `${serves} (shows this)` : serves;
    const row = h("tr", { class: builtin ? "apart" : null }, h("td", { class: "right mono" }, String(pid)), h("th", { scope: "row" }, name), h("td", {}, cells.state), h("td", { class: "right" }, h("span", { class: "with-spark" }, spark.node, value)), cells.memory, cells.threads, cells.age);
    return Object.assign(row, { spark, value, parts: cells });
  }

  update(row, one) {
    const rate = this.rates.get(one.pid);
    setText(row.parts.state, one.state === "busy" ? "busy: does not answer" : one.state);
    setAttribute(row.parts.state, "data-state", one.state === "running" ? "ready" : one.state);
    setText(row.value, percent(rate.now));
    row.spark.draw(rate.values);
    setText(row.parts.memory, bytes(one.rss_bytes));
    setText(row.parts.threads, number(one.threads));
    setText(row.parts.age, age(one.age_s));
  }
}

// The failures of handlers, the latest first, each with its traceback folded.

import { byId, h, setText } from "./dom.js";
import { address, clock, number } from "./format.js";

const KEPT = 100;

export class Errors {
  constructor({ onOpen }) {
    this.onOpen = onOpen;
    this.list = h("ol", { class: "errors" });
    this.empty = h("div", { class: "empty" }, h("p", {}, "No handler has failed."));
    this.seen = new Set();
    byId("errors").append(this.list, this.empty);
  }

  take({ errors }) {
    for (const error of errors) {
      if (this.seen.has(error.seq)) continue;
      this.seen.add(error.seq);
      this.list.prepend(this.make(error));
    }
    while (this.list.children.length > KEPT) this.list.lastElementChild.remove();
    this.empty.hidden = this.list.children.length > 0;
    const count = this.list.children.length;
    setText(byId("count-errors"), count ? number(count) : "");
  }

  make({ time, service, worker, connection, peer, error, traceback }) {
    const when = new Date(time);
    const about = `${service} · worker ${worker}${peer ? ` · from ${address(peer)}` : ""}`;
    const open = connection ? h("button", { class: "quiet", type: "button", onclick: () => this.onOpen({ id: connection, service, peer: address(peer) }) }, "Its conversation") : null;
    return h("li", {}, h("details", {}, h("summary", {}, h("time", { datetime: time, title: when.toLocaleString() }, clock(when)), h("span", { class: "what" }, error), h("span", { class: "soft" }, about)), h("pre", { tabindex: "0", "aria-label": "Traceback" }, traceback), open));
  }
}

// A conversation as a message sequence diagram: time goes down, an arrow is a message, and new ones are added below.

import { h, s } from "./dom.js";
import { bytes, exactClock } from "./format.js";

const GUTTER = 84; // for the times
const STEP = 40;
const HEAD = 30;
const CHARACTER = 6.9; // of the words' font, at its size
const KEPT = 500;

export class Diagram {
  constructor(box) {
    this.box = box;
    this.head = s("svg", { class: "lanes", height: HEAD, "aria-hidden": "true" });
    this.body = s("svg", { class: "messages", role: "list", "aria-label": "Messages in the order of time" });
    box.replaceChildren(h("div", { class: "lanes-head" }, this.head), this.body);
    this.clear(["peer", "server"]);
    new ResizeObserver(() => {
      if (box.clientWidth !== this.width) this.redraw();
    }).observe(box);
  }

  /** Begin anew, between these two. */
  clear(names) {
    this.names = names;
    this.lanes = [];
    this.messages = [];
    this.redraw();
  }

  add(messages) {
    const before = this.lanes.length;
    const wasAtEnd = this.box.scrollTop + this.box.clientHeight >= this.box.scrollHeight - STEP;
    for (const message of messages) {
      if (message.lane && !this.lanes.includes(message.lane)) this.lanes.push(message.lane);
      this.messages.push(message);
    }
    const isLong = this.messages.length > KEPT;
    if (isLong) this.messages.splice(0, this.messages.length - KEPT);
    if (this.lanes.length !== before || isLong) this.redraw();
    else {
      const from = this.messages.length - messages.length;
      messages.forEach((message, at) => this.body.append(this.arrow(message, from + at, true)));
      this.stretch();
    }
    if (wasAtEnd) this.box.scrollTop = this.box.scrollHeight;
  }

  get participants() {
    return [...this.names, ...this.lanes];
  }

  place(at) {
    const room = this.width - GUTTER - 56;
    return GUTTER + 24 + (room * at) / (this.participants.length - 1);
  }

  redraw() {
    this.width = this.box.clientWidth;
    if (!this.width) return;
    for (const svg of [this.head, this.body]) svg.setAttribute("width", this.width);
    const last = this.participants.length - 1;
    this.head.replaceChildren(
      ...this.participants.map((name, at) => {
        const anchor = at === 0 ? "start" : at === last ? "end" : "middle";
        const x = at === 0 ? this.place(at) - 14 : at === last ? this.place(at) + 20 : this.place(at);
        return s("text", { x, y: 19, "text-anchor": anchor, class: "lane-name" }, cut(name, (this.width - GUTTER) / (last + 1) / CHARACTER));
      }),
    );
    this.lines = this.participants.map((_, at) => s("line", { class: "lane", x1: this.place(at), x2: this.place(at), y1: 0 }));
    this.body.replaceChildren(...this.lines, ...this.messages.map((message, at) => this.arrow(message, at, false)));
    this.stretch();
  }

  stretch() {
    const height = Math.max(this.messages.length * STEP + 16, 60);
    this.body.setAttribute("height", height);
    for (const line of this.lines) line.setAttribute("y2", height);
  }

  arrow({ time, direction, lane, words, bytes: size }, at, isNew) {
    const other = this.participants.indexOf(lane || this.names[1], 1);
    const [from, to] = direction === "in" ? [0, other] : [other, 0];
    const [x1, x2] = [this.place(from), this.place(to)];
    const y = at * STEP + 30;
    const tip = x2 > x1 ? -1 : 1;
    const sized = bytes(size);
    const when = exactClock(new Date(time));
    const room = Math.max(4, Math.floor((Math.abs(x2 - x1) - 16) / CHARACTER) - sized.length - 2);
    const sentence = `${when}, ${this.participants[from]} to ${this.participants[to]}: ${words}, ${sized}`;
    return s(
      "g",
      { class: `message ${direction}${isNew ? " is-new" : ""}`, role: "listitem", "aria-label": sentence },
      s("title", {}, sentence),
      s("text", { class: "time", x: 6, y: y + 4 }, when),
      s("text", { class: "words", x: Math.min(x1, x2) + 8, y: y - 7 }, cut(words, room)),
      s("text", { class: "size", x: Math.max(x1, x2) - 8, y: y - 7, "text-anchor": "end" }, sized),
      s("line", { x1, x2: x2 + tip * 2, y1: y, y2: y }),
      s("path", { d: `M${x2 + tip * 8} ${y - 4.5}L${x2} ${y}L${x2 + tip * 8} ${y + 4.5}` }),
    );
  }
}

const cut = (text, room) => (text.length > room ? `${text.slice(0, Math.max(1, Math.floor(room) - 1))}…` : text);

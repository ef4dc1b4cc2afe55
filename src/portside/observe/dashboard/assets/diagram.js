// A conversation as a message sequence diagram: time goes down, an arrow is a message, and new ones are added below.

import { h, s } from "./dom.js";
import { bytes, exactClock } from "./format.js";

const GUTTER = 84; // for the times
const NARROW = 520; // below this width the hours are left out
const STEP = 44;
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

  get gutter() {
    return this.width < NARROW ? GUTTER - 21 : GUTTER;
  }

  /** Where the lifeline stands: most of the words are between the first two. */
  place(at) {
    const last = this.participants.length - 1;
    const room = this.width - this.gutter - 40;
    const share = at === 0 ? 0 : last === 1 ? 1 : 0.74 + (0.26 * (at - 1)) / (last - 1);
    return this.gutter + 14 + room * share;
  }

  redraw() {
    this.width = this.box.clientWidth;
    if (!this.width) return;
    for (const svg of [this.head, this.body]) svg.setAttribute("width", this.width);
    const last = this.participants.length - 1;
    this.head.replaceChildren(
      ...this.participants.map((name, at) => {
        const [x, before] = [this.place(at), at ? this.place(at - 1) : 0];
        const anchor = at === 0 ? "start" : at === last ? "end" : "middle";
        const room = at === 0 ? this.place(1) - x - 40 : last === 1 ? 0.4 * (x - before) : x - before;
        return s("text", { x: anchor === "end" ? x + 16 : anchor === "start" ? x - 8 : x, y: 19, "text-anchor": anchor, class: "lane-name" }, cut(name, room / 7.3));
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
    const y = at * STEP + 28;
    const tip = x2 > x1 ? -1 : 1;
    const sized = size ? bytes(size) : "";
    const when = exactClock(new Date(time));
    const room = Math.floor((Math.abs(x2 - x1) - 20) / CHARACTER);
    const sentence = `${when}, ${this.participants[from]} to ${this.participants[to]}: ${words}${sized && `, ${sized}`}`;
    return s(
      "g",
      { class: `message ${direction}${isNew ? " is-new" : ""}`, role: "listitem", "aria-label": sentence },
      s("title", {}, sentence),
      s("text", { class: "time", x: 6, y: y + 4 }, this.width < NARROW ? when.slice(3) : when),
      s("text", { class: "words", x: Math.min(x1, x2) + 12, y: y - 7 }, cut(words, room)),
      s("text", { class: "size", x: Math.min(x1, x2) + 12, y: y + 13 }, sized),
      s("line", { x1, x2: x2 + tip * 2, y1: y, y2: y }),
      s("path", { d: `M${x2 + tip * 8} ${y - 4.5}L${x2} ${y}L${x2 + tip * 8} ${y + 4.5}` }),
    );
  }
}

const cut = (text, room) => (text.length > room ? `${text.slice(0, Math.max(1, Math.floor(room) - 1))}…` : text);

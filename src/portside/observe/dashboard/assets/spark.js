// A minute of something as a small line: its last value is the number beside it, so the line itself has no words.

import { s } from "./dom.js";

const WIDTH = 96;
const HEIGHT = 24;
export const POINTS = 60;

export class Spark {
  constructor(kind = "") {
    this.line = s("polyline", { class: "spark-line" });
    this.area = s("polygon", { class: "spark-area" });
    const base = s("line", { class: "spark-base", x1: 0, x2: WIDTH, y1: HEIGHT - 0.5, y2: HEIGHT - 0.5 });
    const box = { class: `spark ${kind}`, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none" };
    this.node = s("svg", { ...box, "aria-hidden": "true" }, base, this.area, this.line);
  }

  /** Draw the values, the newest last; the scale begins at nothing, and is at least `least` high. */
  draw(values, least = 1) {
    const top = Math.max(least, ...values);
    const step = WIDTH / (POINTS - 1);
    const left = WIDTH - (values.length - 1) * step;
    const points = values.map((value, at) => `${(left + at * step).toFixed(1)},${(HEIGHT - 1.5 - (value / top) * (HEIGHT - 4)).toFixed(1)}`);
    this.line.setAttribute("points", points.join(" "));
    this.area.setAttribute("points", values.length ? `${left.toFixed(1)},${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}` : "");
  }
}

/** The last minute of a value that only grows, as what it grew by each second. */
export class Rate {
  constructor() {
    this.values = [];
    this.last = null;
    this.now = null;
  }

  add(value, at) {
    if (this.last !== null && at > this.last.at) {
      this.now = Math.max(0, ((value - this.last.value) * 1000) / (at - this.last.at));
      this.values.push(this.now);
      if (this.values.length > POINTS) this.values.shift();
    }
    this.last = { value, at };
  }
}

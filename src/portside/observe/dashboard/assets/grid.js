// A table of any length: only the rows in sight exist. Sorted by its headings, walked through by keyboard.

import { h, setAttribute, setText } from "./dom.js";

const MORE = 6; // rows beyond the edges of what is in sight

export class Grid {
  /**
   * `columns`: {name, title, text(row), order(row), right, cls}; `keyOf(row)` tells rows apart.
   * `onOpen(row)` by click or Enter, `onRemove(row)` by its button or Delete; `onSort()` when another order is wanted.
   */
  constructor(parent, { label, kind, columns, keyOf, sort, down = false, onOpen, onRemove, onSort, removeLabel }) {
    Object.assign(this, { columns, keyOf, sort, down, onOpen, onRemove, onSort, removeLabel });
    this.kind = kind;
    this.rows = [];
    this.places = new Map();
    this.pool = [];
    this.active = null;
    this.head = h("div", { class: `grid-row grid-head ${kind}`, role: "row", "aria-rowindex": "1" });
    this.body = h("div", { class: "grid-body", role: "rowgroup" });
    this.box = h("div", { class: "grid", role: "grid", tabindex: "0", "aria-label": label }, h("div", { role: "rowgroup", class: "grid-top" }, this.head), this.body);
    this.empty = h("div", { class: "empty", hidden: true });
    parent.append(this.box, this.empty);
    this.prefix = `${kind}-row-`;
    for (const column of columns) this.head.append(this.heading(column));
    if (onRemove) this.head.append(h("div", { role: "columnheader", class: "cell remove" }, h("span", { class: "unseen" }, "Close")));
    this.box.addEventListener("scroll", () => this.draw(), { passive: true });
    this.box.addEventListener("keydown", (event) => this.onKey(event));
    this.box.addEventListener("focus", () => this.onFocus());
    new ResizeObserver(() => this.measure()).observe(this.box);
  }

  heading(column) {
    const button = h("button", { type: "button", onclick: () => this.sortBy(column.name) }, column.title);
    column.head = h("div", { role: "columnheader", class: `cell ${column.name}${column.right ? " right" : ""}` }, button);
    return column.head;
  }

  sortBy(name, down) {
    if (down !== undefined) this.down = down;
    else if (this.sort === name) this.down = !this.down;
    else this.down = Boolean(this.columns.find((column) => column.name === name).right);
    this.sort = name;
    this.onSort?.();
    this.show(this.rows);
  }

  /** Show these rows, in the order of the heading that was chosen. */
  show(rows) {
    const order = this.columns.find((column) => column.name === this.sort).order;
    const sign = this.down ? -1 : 1;
    const keyed = rows.map((row) => ({ row, key: order(row) }));
    keyed.sort((a, b) => (a.key < b.key ? -sign : a.key > b.key ? sign : 0));
    this.rows = keyed.map(({ row }) => row);
    for (const { name, head } of this.columns) {
      setAttribute(head, "aria-sort", name !== this.sort ? "none" : this.down ? "descending" : "ascending");
    }
    this.box.setAttribute("aria-rowcount", String(rows.length + 1));
    this.box.hidden = rows.length === 0;
    this.empty.hidden = rows.length > 0;
    if (this.active !== null) this.activeAt = this.rows.findIndex((row) => this.keyOf(row) === this.active);
    this.measure();
  }

  measure() {
    if (!this.box.clientHeight) return;
    this.height = Number.parseFloat(getComputedStyle(this.box).getPropertyValue("--row")) || 34;
    this.body.style.height = `${this.rows.length * this.height}px`;
    this.draw();
  }

  draw() {
    if (!this.height) return;
    const from = Math.max(0, Math.floor(this.box.scrollTop / this.height) - MORE);
    const to = Math.min(this.rows.length, Math.ceil((this.box.scrollTop + this.box.clientHeight) / this.height) + MORE);
    while (this.pool.length < to - from) this.pool.push(this.makeRow());
    const size = this.pool.length;
    const used = new Set();
    for (let at = from; at < to; at += 1) {
      const slot = at % size;
      used.add(slot);
      this.fillRow(this.pool[slot], at);
    }
    this.pool.forEach((row, slot) => {
      row.node.hidden = !used.has(slot);
    });
    const active = this.active !== null && this.activeAt >= from && this.activeAt < to;
    setAttribute(this.box, "aria-activedescendant", active ? this.pool[this.activeAt % size].node.id : null);
  }

  makeRow() {
    const cells = this.columns.map(({ name, right }) => h("div", { role: "gridcell", class: `cell ${name}${right ? " right" : ""}` }));
    const id = `${this.prefix}${this.pool.length}`;
    const node = h("div", { class: `grid-row ${this.kind}`, role: "row", id }, ...cells);
    const made = { node, cells, row: null };
    if (this.onOpen) node.addEventListener("click", () => this.open(made.row));
    if (this.onRemove) {
      made.remove = h("button", { class: "quiet icon", type: "button", tabindex: "-1", onclick: (event) => {
        event.stopPropagation();
        this.onRemove(made.row);
      } }, "✕");
      node.append(h("div", { role: "gridcell", class: "cell remove" }, made.remove));
    }
    this.body.append(node);
    return made;
  }

  fillRow(made, at) {
    const row = this.rows[at];
    const { node, cells } = made;
    if (made.at !== at) {
      made.at = at;
      node.style.transform = `translateY(${at * this.height}px)`;
      node.setAttribute("aria-rowindex", String(at + 2));
    } else if (made.height !== this.height) node.style.transform = `translateY(${at * this.height}px)`;
    made.height = this.height;
    if (made.row !== row) {
      made.row = row;
      node.dataset.key = this.keyOf(row);
      if (made.remove) made.remove.setAttribute("aria-label", this.removeLabel(row));
    }
    this.columns.forEach(({ text, mark }, place) => {
      setText(cells[place], text(row));
      if (mark) setAttribute(cells[place], "data-mark", mark(row));
    });
    setAttribute(node, "aria-selected", this.keyOf(row) === this.active ? "true" : "false");
  }

  // ── by keyboard ──────────────────────────────────────────────────────────────────────────────────────────────────

  activate(at) {
    if (!this.rows.length) return;
    this.activeAt = Math.min(Math.max(at, 0), this.rows.length - 1);
    this.active = this.keyOf(this.rows[this.activeAt]);
    const top = this.activeAt * this.height;
    const room = this.box.clientHeight - this.head.offsetHeight - this.height;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top > this.box.scrollTop + room) this.box.scrollTop = top - room;
    this.draw();
  }

  open(row) {
    if (!row) return;
    this.active = this.keyOf(row);
    this.activeAt = this.rows.indexOf(row);
    this.draw();
    this.onOpen(row);
  }

  onFocus() {
    if (this.box.matches(":focus-visible") && (this.active === null || this.activeAt < 0)) {
      this.activate(Math.ceil(this.box.scrollTop / this.height));
    }
  }

  onKey(event) {
    if (event.target !== this.box || event.altKey || event.ctrlKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(this.box.clientHeight / this.height) - 2);
    const now = this.active === null || this.activeAt < 0 ? -1 : this.activeAt;
    const steps = { ArrowDown: now + 1, ArrowUp: now - 1, PageDown: now + page, PageUp: now - page, Home: 0, End: this.rows.length - 1 };
    if (event.key in steps) this.activate(steps[event.key]);
    else if ((event.key === "Enter" || event.key === " ") && now >= 0 && this.onOpen) this.open(this.rows[now]);
    else if (event.key === "Delete" && now >= 0 && this.onRemove) this.onRemove(this.rows[now]);
    else return;
    event.preventDefault();
  }
}

// Open files of the processes, as the lectures' table has them: a number in the process, and what stands behind it.

import { byId, h, setText } from "./dom.js";
import { address, number, plural } from "./format.js";
import { Grid } from "./grid.js";

export class Sockets {
  constructor() {
    this.rows = [];
    this.all = byId("all-files");
    this.grid = new Grid(byId("sockets"), {
      label: "Open sockets by process and descriptor",
      kind: "socket",
      columns: [
        { name: "process", title: "Process", right: true, text: (row) => String(row.pid), order: (row) => row.pid * 1e6 + row.fd },
        { name: "fd", title: "fd", right: true, text: (row) => String(row.fd), order: (row) => row.fd },
        { name: "service", title: "Service", text: (row) => row.service, order: (row) => row.service },
        { name: "protocol", title: "Kind", text: (row) => row.what, order: (row) => row.what },
        { name: "local", title: "Local", text: (row) => row.local, order: (row) => row.local },
        { name: "peer", title: "Peer", text: (row) => row.peer, order: (row) => row.peer },
        { name: "state", title: "State", text: (row) => row.state, order: (row) => row.state },
        { name: "in", title: "Recv-Q", right: true, text: (row) => number(row.queuedIn), order: (row) => row.queuedIn ?? -1 },
        { name: "out", title: "Send-Q", right: true, text: (row) => number(row.queuedOut), order: (row) => row.queuedOut ?? -1 },
      ],
      keyOf: (row) => row.key,
      sort: "process",
    });
    this.grid.empty.append(h("p", {}, "Looking…"));
    this.all.addEventListener("change", () => this.show());
  }

  take({ workers }) {
    this.isCut = workers.some(({ after }) => after !== null);
    this.rows = workers.flatMap(({ pid, service, sockets }) => sockets.map((one) => shaped(pid, service, one)));
    this.show();
  }

  show() {
    const rows = this.all.checked ? this.rows : this.rows.filter(({ isSocket }) => isSocket);
    this.grid.show(rows);
    const more = this.isCut ? ", and there are more: the first of each worker are shown" : "";
    setText(byId("sockets-shown"), `${plural(rows.length, this.all.checked ? "open file" : "socket")}${more}`);
  }
}

function shaped(pid, service, one) {
  return {
    key: `${pid}/${one.fd}`,
    pid,
    service,
    fd: one.fd,
    isSocket: one.kind === "socket",
    what: one.kind === "socket" ? (one.protocol ?? "socket") : one.kind,
    local: one.local ? address(one.local) : one.kind === "socket" ? "" : one.target,
    peer: one.peer ? address(one.peer) : "",
    state: one.state ?? "",
    queuedIn: one.queued_in ?? null,
    queuedOut: one.queued_out ?? null,
  };
}

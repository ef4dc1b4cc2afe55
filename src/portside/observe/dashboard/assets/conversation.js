// The panel of one connection: who it is with, its numbers, and the diagram of what is said.

import { byId, setText } from "./dom.js";
import { age, bytes, plural } from "./format.js";
import { Diagram } from "./diagram.js";

const ENDS = {
  done: "done",
  peer: "the peer broke it off",
  idle: "it was idle",
  life: "it was old",
  stopped: "an operator ended it",
  drained: "the server stopped",
  handler: "the handler failed",
  tls: "the TLS handshake failed",
  timeout: "a time limit passed",
};

export class Conversation {
  /** `want(id)` asks the server for a conversation, null for none; `find(id)` is the live connection, if it is one. */
  constructor({ want, find, now, onClose, onHide }) {
    Object.assign(this, { want, find, now, onHide });
    this.panel = byId("conversation");
    this.diagram = new Diagram(byId("diagram"));
    this.id = null;
    byId("conversation-hide").addEventListener("click", () => this.hide());
    byId("conversation-close").addEventListener("click", () => onClose(this.find(this.id) ?? this.about));
    this.panel.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.hide();
    });
  }

  open(about) {
    this.id = about.id;
    this.about = about;
    this.ended = null;
    this.isAnswered = false;
    this.count = 0;
    this.lost = 0;
    this.panel.hidden = false;
    document.body.dataset.conversation = "open";
    setText(byId("conversation-title"), `${about.peer} with ${about.service}`);
    this.diagram.clear([about.peer, about.service]);
    this.show();
    this.want(about.id);
    this.panel.focus({ preventScroll: true });
  }

  hide() {
    this.panel.hidden = true;
    delete document.body.dataset.conversation;
    this.id = null;
    this.want(null);
    this.onHide();
  }

  /** The stream is another one now: what is told begins anew. */
  restart() {
    if (this.id === null || this.ended) return;
    this.diagram.clear([this.about.peer, this.about.service]);
    this.count = 0;
  }

  take({ connection, messages = [], ended, lost = 0, missing }) {
    if (connection !== this.id || this.ended) return;
    this.isAnswered = true;
    this.count += messages.length;
    this.lost += lost;
    if (ended) this.ended = ended;
    if (missing) this.ended ??= { reason: null };
    if (messages.length) this.diagram.add(messages);
    this.show();
  }

  show() {
    if (this.id === null) return;
    const live = this.find(this.id);
    const parts = [];
    if (live) {
      parts.push(live.protocol, live.state, `for ${age((this.now() - live.startedAt) / 1000)}`, `${bytes(live.bytesIn)} in`, `${bytes(live.bytesOut)} out`);
    } else if (this.ended?.reason) {
      const { reason, duration_s: took, bytes_in: came, bytes_out: went } = this.ended;
      parts.push(`ended: ${ENDS[reason] ?? reason}`, `after ${age(took)}`, `${bytes(came)} in`, `${bytes(went)} out`);
    } else if (this.ended) parts.push("ended");
    setText(byId("conversation-facts"), parts.map((part) => part.replaceAll(" ", "\u00a0")).join(" · "));
    byId("conversation-close").hidden = !live;
    setText(byId("conversation-note"), this.note(live));
  }

  note(live) {
    if (!this.isAnswered) return "Looking…";
    const before = this.lost ? `${plural(this.lost, "earlier message")} not kept. ` : "";
    if (this.count) return before + (this.ended ? `It is over${this.ended.detail ? `: ${this.ended.detail}` : "."}` : "");
    if (!live && this.ended) return "It is over, and nothing that was said is kept.";
    return "Nothing was said so far. A handler without words of its own is shown by its bytes, from now on.";
  }
}

// The one stream of events from the server: opened anew when it breaks, and taken for broken when it is silent.

const SILENCE_MS = 6000; // the server says something each second
const AGAIN_MS = [500, 1000, 2000, 4000];

export class Feed {
  /** `on` has a function for each kind of event, and `link(state)` for waiting, live and lost. */
  constructor(on) {
    this.on = on;
    this.page = null;
    this.wish = { conversation: null, sockets: false };
    this.tries = 0;
    this.open();
    setInterval(() => this.listen(), 1000);
    // A page that the browser keeps for the way back holds no stream meanwhile.
    addEventListener("pagehide", () => this.pause());
    addEventListener("pageshow", (event) => event.persisted && this.open());
  }

  pause() {
    this.source?.close();
    this.source = null;
    this.page = null;
  }

  open() {
    this.heard = performance.now();
    const source = new EventSource("./events");
    this.source = source;
    for (const name of ["hello", "server", "connections", "errors", "conversation", "sockets"]) {
      source.addEventListener(name, (event) => {
        if (source !== this.source) return;
        this.heard = performance.now();
        const data = JSON.parse(event.data);
        if (name === "hello") this.greet(data);
        else this.on[name](data);
      });
    }
    source.addEventListener("error", () => {
      if (source === this.source) this.lose();
    });
  }

  greet(data) {
    this.page = data.page;
    this.tries = 0;
    this.on.hello(data);
    if (this.wish.conversation || this.wish.sockets) this.tell();
  }

  /** Whether the server has been silent for too long: a broken network closes nothing. */
  listen() {
    if (this.source && performance.now() - this.heard > SILENCE_MS) this.lose();
  }

  lose() {
    this.pause();
    this.on.link("lost");
    const wait = AGAIN_MS[Math.min(this.tries, AGAIN_MS.length - 1)];
    this.tries += 1;
    setTimeout(() => this.retry(), wait);
  }

  async retry() {
    try {
      const answer = await fetch("./api/session", { signal: AbortSignal.timeout(3000) });
      if (answer.status === 401) location.reload(); // the token is another now
    } catch {
      // not there: opening the stream says so too
    }
    this.open();
  }

  /** Say what this page wants to see beside the common news. */
  want(wish) {
    this.wish = { ...this.wish, ...wish };
    if (this.page) this.tell();
  }

  async tell() {
    try {
      await post(`./api/pages/${this.page}`, this.wish);
    } catch {
      // the stream breaks as well, and it is said again when it is back
    }
  }
}

/** Do something. Rejects with the server's sentence. */
export async function post(address, value) {
  const answer = await fetch(address, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(value),
    signal: AbortSignal.timeout(10000),
  });
  if (!answer.ok) {
    const { error } = await answer.json().catch(() => ({ error: `status ${answer.status}` }));
    throw new Error(error);
  }
}

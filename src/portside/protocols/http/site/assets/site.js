// Makes the page of a folder pleasant: dates of the reader's own place, finding while one types, moving by keys, and
// uploads with progress. Everything works without it too, with a page for each step.
"use strict";

const byId = (id) => document.getElementById(id);
const make = (name, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
};

// ── dates ──

const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

function tellDates() {
  for (const time of document.querySelectorAll("td time")) {
    const date = new Date(time.dateTime);
    if (!isNaN(date)) {
      time.textContent = day.format(date);
      time.title = time.dateTime;
    }
  }
}

// ── the list, anew ──

let asked = null; // the request on its way: a newer one makes it useless

async function refresh(url) {
  asked?.abort();
  asked = new AbortController();
  const answer = await fetch(url, { headers: { accept: "text/html" }, signal: asked.signal });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  byId("contents").replaceWith(page.getElementById("contents"));
  tellDates();
}

const search = byId("search");
let pause;

search.addEventListener("input", () => {
  clearTimeout(pause);
  pause = setTimeout(find, 150);
});
search.addEventListener("submit", (event) => {
  event.preventDefault();
  find();
});

async function find() {
  clearTimeout(pause);
  const query = new URLSearchParams(new FormData(search));
  if (!query.get("q")) query.delete("q");
  const url = `?${query}`;
  try {
    await refresh(url);
    history.replaceState(null, "", url);
    say(document.querySelector("#contents .summary").textContent);
  } catch (error) {
    if (error.name !== "AbortError") location.search = url;
  }
}

function say(words) {
  const said = byId("found") ?? document.body.appendChild(make("p", { id: "found", className: "unseen", role: "status" }));
  said.textContent = words;
}

// ── keys ──

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  const sought = byId("q");
  const isTyping = event.target.matches("input:not([type=checkbox]):not([type=file])");
  if (event.key === "/" && !isTyping) {
    event.preventDefault();
    sought.focus();
  } else if (event.key === "Escape" && event.target === sought && sought.value) {
    event.preventDefault();
    sought.value = "";
    find();
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    const links = [...document.querySelectorAll("tbody a")];
    const here = links.indexOf(document.activeElement);
    if (here < 0 && !(event.target === sought && event.key === "ArrowDown")) return;
    event.preventDefault();
    const there = event.key === "ArrowDown" ? here + 1 : here - 1;
    (there < 0 ? sought : links[Math.min(there, links.length - 1)])?.focus();
  }
});

// ── uploads ──

const UPLOADS_AT_ONCE = 3; // a browser has six connections to a host, and pages want some too

const panel = byId("upload");
const queue = byId("queue");
const waiting = [];
let running = 0;

function addFiles(files) {
  for (const { file, folder } of files) {
    const upload = { file, path: [...folder, file.name] };
    upload.item = make("li");
    queue.append(upload.item);
    queue.hidden = false;
    waiting.push(upload);
    show(upload, "", "waits for its turn", [["Cancel", () => cancel(upload)]]);
  }
  next();
}

function show(upload, state, words, acts, fraction) {
  upload.item.className = state;
  const buttons = acts.map(([text, act]) => {
    const button = make("button", { type: "button", className: "button", textContent: text, onclick: act });
    button.setAttribute("aria-label", `${text} ${upload.file.name}`);
    return button;
  });
  const bar = fraction === undefined ? [] : [make("progress", { max: 1, value: fraction })];
  bar[0]?.setAttribute("aria-label", upload.file.name);
  upload.item.replaceChildren(make("span", { textContent: upload.path.join("/") }), make("small", { textContent: words }), ...bar);
  if (buttons.length) upload.item.append(make("div", {}, ...buttons));
}

function next() {
  while (running < UPLOADS_AT_ONCE && waiting.length) {
    running += 1;
    send(waiting.shift());
  }
  if (!running && !waiting.length) refresh(location.href).catch(() => {});
}

function done(upload, state, words, acts) {
  running -= 1;
  upload.request = null;
  show(upload, state, words, acts);
  byId("said").textContent = `${upload.file.name}: ${words}`;
  next();
}

function cancel(upload) {
  const place = waiting.indexOf(upload);
  if (place >= 0) waiting.splice(place, 1);
  if (upload.request) upload.request.abort();
  else upload.item.remove();
}

const again = (upload, replaces) => () => {
  upload.replaces = replaces;
  waiting.push(upload);
  show(upload, "", "waits for its turn", [["Cancel", () => cancel(upload)]]);
  next();
};

function send(upload) {
  const request = (upload.request = new XMLHttpRequest());
  request.open("PUT", upload.path.map(encodeURIComponent).join("/"));
  if (!upload.replaces) request.setRequestHeader("If-None-Match", "*");
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.setRequestHeader("Accept", "application/json");
  show(upload, "", "begins", [["Cancel", () => cancel(upload)]], 0);
  // Only the numbers change on the way: a button that is replaced while it is pressed is never clicked.
  const [words, bar] = upload.item.querySelectorAll("small, progress");
  request.upload.onprogress = ({ loaded, total }) => {
    bar.value = total ? loaded / total : 1;
    words.textContent = loaded < total ? `${Math.floor((100 * loaded) / total)} % of ${size(total)}` : "is being stored";
  };
  request.onload = () => {
    const retry = ["Try again", again(upload, upload.replaces)];
    if (request.status < 300) done(upload, "good", `stored, ${size(upload.file.size)}`, []);
    else if (request.status === 412) done(upload, "bad", "There is a file of that name.", [["Replace", again(upload, true)], ["Keep", () => upload.item.remove()]]);
    else done(upload, "bad", why(request), [retry]);
  };
  request.onerror = () => done(upload, "bad", "The connection broke.", [["Try again", again(upload, upload.replaces)]]);
  request.onabort = () => done(upload, "bad", "cancelled", [["Try again", again(upload, upload.replaces)]]);
  request.send(upload.file);
}

function why(request) {
  try {
    return JSON.parse(request.responseText).why;
  } catch {
    return `The server said ${request.status}.`;
  }
}

function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 999.5 && unit < units.length - 1) {
    bytes /= 1000;
    unit += 1;
  }
  return `${bytes.toFixed(unit && bytes < 9.95 ? 1 : 0)} ${units[unit]}`;
}

// What is dropped may be folders: these are made first, each after the one that it is in.
async function* filesIn(entry, folder) {
  if (entry.isFile) {
    yield { file: await new Promise((found, failed) => entry.file(found, failed)), folder };
    return;
  }
  const inner = [...folder, entry.name];
  await fetch(inner.map(encodeURIComponent).join("/"), { method: "MKCOL" }); // 405 where it is there already
  const reader = entry.createReader();
  for (;;) {
    const batch = await new Promise((found, failed) => reader.readEntries(found, failed));
    if (!batch.length) return;
    for (const one of batch) yield* filesIn(one, inner);
  }
}

async function drop(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return addFiles([...transfer.files].map((file) => ({ file, folder: [] })));
  for (const entry of entries) {
    for await (const found of filesIn(entry, [])) addFiles([found]);
  }
}

const pick = byId("pick");
if (pick) {
  pick.addEventListener("change", () => {
    addFiles([...pick.files].map((file) => ({ file, folder: [] })));
    pick.value = "";
  });
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  let depth = 0; // entering a part of the page comes before leaving the one around it
  addEventListener("dragenter", (event) => hasFiles(event) && panel.classList.toggle("over", ++depth > 0));
  addEventListener("dragleave", (event) => hasFiles(event) && panel.classList.toggle("over", --depth > 0));
  addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    panel.classList.remove("over");
    depth = 0;
    drop(event.dataTransfer).catch(() => say("Not everything that was dropped could be read."));
  });
  addEventListener("beforeunload", (event) => (running || waiting.length) && event.preventDefault());
}

tellDates();

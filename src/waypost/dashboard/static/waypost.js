// What makes Waypost's pages move. Each page reads without it: forms post, live parts can be loaded anew by hand, and
// a countdown says its instant. No framework; htmx, where it is there, reloads what says so itself.
"use strict";

const root = document.documentElement;
root.classList.add("has-script");

const words = JSON.parse(document.body.dataset.words || "{}");
const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

/** A sentence of the page's language, with its values put in by name. */
function say(name, values = {}) {
  return (words[name] || "").replace(/%\((\w+)\)s/g, (_, key) => String(values[key]));
}

const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));

/** Call `act(element, event)` for events on what matches, now and later. */
function on(kind, selector, act) {
  document.addEventListener(kind, (event) => {
    const found = event.target instanceof Element && event.target.closest(selector);
    if (found) act(found, event);
  });
}

// ---- the viewer's time zone, for the next page ------------------------------------------------------------------------

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone) document.cookie = `waypost_zone=${encodeURIComponent(zone)}; path=/; max-age=31536000; samesite=lax`;

// ---- toasts -----------------------------------------------------------------------------------------------------------

const TOAST_MS = 6000;

function icon(name, size = 16) {
  const from = document.querySelector("use[href*='icons.svg']");
  const drawn = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  for (const [key, value] of Object.entries({ class: "icon", width: size, height: size, "aria-hidden": "true" })) {
    drawn.setAttribute(key, value);
  }
  if (from) use.setAttribute("href", `${from.getAttribute("href").split("#")[0]}#i-${name}`);
  drawn.append(use);
  return drawn;
}

function toast({ text, href, link }) {
  const place = document.getElementById("toasts");
  if (!place || !text) return;
  const made = document.createElement("div");
  made.className = "toast";
  const said = document.createElement("span");
  said.textContent = text;
  made.append(icon("check"), said);
  if (href && link) {
    const led = document.createElement("a");
    Object.assign(led, { href, textContent: link });
    made.append(led);
  }
  place.append(made);
  leaveLater(made);
}

/** Take a toast away after a while, but not from under a pointer or the focus. */
function leaveLater(made) {
  const leave = () => {
    if (made.matches(":hover, :focus-within")) setTimeout(leave, 1000);
    else made.remove();
  };
  setTimeout(leave, TOAST_MS);
}

document.addEventListener("toast", (event) => toast(event.detail || {}));

{
  // What the page before wanted to be said here.
  const found = document.cookie.match(/(?:^|; )waypost_said=([^;]*)/);
  if (found) {
    document.cookie = "waypost_said=; path=/; max-age=0; samesite=lax";
    toast({ text: decodeURIComponent(found[1].replace(/^"|"$/g, "")) });
  }
}

// ---- copying ----------------------------------------------------------------------------------------------------------

async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea"); // the clipboard is only for encrypted pages
  area.value = text;
  area.className = "hidden";
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

on("click", "[data-copy], [data-copy-of]", async (button) => {
  const of = button.dataset.copyOf && document.querySelector(button.dataset.copyOf);
  await copy(of ? (of.value ?? of.textContent) : button.dataset.copy);
  const said = button.querySelector("span");
  if (!said) return toast({ text: say("copied") });
  const before = button.dataset.before || said.textContent;
  button.dataset.before = before;
  said.textContent = say("copied") || before;
  setTimeout(() => (said.textContent = before), 1500);
});

// ---- dialogs, menus ---------------------------------------------------------------------------------------------------

const INVOKES = "commandForElement" in HTMLButtonElement.prototype;

on("click", "button[commandfor]", (button) => {
  const dialog = document.getElementById(button.getAttribute("commandfor"));
  if (INVOKES || !(dialog instanceof HTMLDialogElement)) return;
  if (button.getAttribute("command") === "close") dialog.close();
  else dialog.showModal();
});

document.addEventListener("click", (event) => {
  if (event.target instanceof HTMLDialogElement && event.target.open) {
    const box = event.target.getBoundingClientRect();
    const outside =
      event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom;
    if (outside && event.detail) event.target.close();
  }
  for (const menu of all("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});

document.addEventListener("focusin", (event) => {
  for (const menu of all("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});

document.addEventListener("keydown", (event) => {
  const menu = event.target instanceof Element && event.target.closest("details.menu[open]");
  if (!menu) return;
  const items = all("a.menu-item, button.menu-item", menu);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (event.key === "Escape") {
    menu.open = false;
    menu.querySelector("summary").focus();
    event.preventDefault();
  } else if (step && items.length) {
    const at = items.indexOf(document.activeElement);
    items[(at + step + items.length + (at < 0 && step < 0 ? 1 : 0)) % items.length].focus();
    event.preventDefault();
  }
});

// ---- busy buttons -----------------------------------------------------------------------------------------------------

function busy(button) {
  if (!button || button.classList.contains("is-busy")) return;
  button.classList.add("is-busy");
  button.setAttribute("aria-disabled", "true");
  const said = button.querySelector("span");
  if (!button.dataset.busy || !said) return;
  button.style.minWidth = `${button.offsetWidth}px`; // its neighbours stay where they are
  button.dataset.rest = said.textContent;
  said.textContent = button.dataset.busy;
}

function rested(button) {
  button.classList.remove("is-busy");
  button.removeAttribute("aria-disabled");
  if (button.dataset.rest) button.querySelector("span").textContent = button.dataset.rest;
}

document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (button && button.classList.contains("is-busy")) return event.preventDefault(); // once is enough
  if (!event.defaultPrevented && event.target.method === "post") busy(button);
});
document.addEventListener("htmx:beforeRequest", (event) => busy(buttonOf(event)));
document.addEventListener("htmx:afterRequest", () => all(".is-busy").forEach(rested));
window.addEventListener("pageshow", () => all(".is-busy[data-busy]").forEach(rested));

function buttonOf(event) {
  const by = event.detail.requestConfig?.triggeringEvent?.submitter || event.detail.elt;
  return by instanceof HTMLButtonElement ? by : null;
}

document.addEventListener("htmx:responseError", () => toast({ text: say("failed") }));
document.addEventListener("htmx:sendError", () => toast({ text: say("offline") }));

// ---- tabs within a page -----------------------------------------------------------------------------------------------

function makeTabs(set) {
  if (set.classList.contains("is-tabs")) return;
  const panels = all(":scope > [data-tab]", set);
  const list = document.createElement("ul");
  list.setAttribute("role", "tablist");
  if (set.dataset.label) list.setAttribute("aria-label", set.dataset.label);
  const tabs = panels.map((panel, index) => {
    const tab = document.createElement("button");
    Object.assign(tab, { type: "button", id: `${panel.id}-tab`, textContent: panel.dataset.tab });
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", panel.id);
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", tab.id);
    tab.addEventListener("click", () => choose(index));
    const item = document.createElement("li");
    item.setAttribute("role", "presentation");
    item.append(tab);
    list.append(item);
    return tab;
  });
  const choose = (chosen) => {
    tabs.forEach((tab, index) => {
      tab.setAttribute("aria-selected", String(index === chosen));
      tab.tabIndex = index === chosen ? 0 : -1;
      panels[index].hidden = index !== chosen;
    });
  };
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = (tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length;
    choose(next);
    tabs[next].focus();
  });
  const bar = document.createElement("div");
  bar.className = "tabs";
  bar.append(list);
  set.prepend(bar);
  set.classList.add("is-tabs");
  choose(0);
}

// ---- countdowns -------------------------------------------------------------------------------------------------------

const opened = Date.now();

/** "15:05", from an hour "1 h 45 min", from a day "2 d 3 h". */
function spanInWords(seconds) {
  if (seconds < 3600) return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  const minutes = Math.floor(seconds / 60);
  if (seconds < 86400) return say("hours", { h: Math.floor(minutes / 60), m: minutes % 60 });
  return say("days", { d: Math.floor(minutes / 1440), h: Math.floor(minutes / 60) % 24 });
}

function tick() {
  for (const part of all("[data-countdown]")) {
    const due = Date.parse(part.dataset.countdown);
    const since = part.dataset.since ? Date.parse(part.dataset.since) : Math.min(opened, due - 1);
    const left = Math.max(0, Math.ceil((due - Date.now()) / 1000));
    const said = part.querySelector(".countdown-words");
    const next = left ? say("in", { time: spanInWords(left) }) || spanInWords(left) : part.dataset.late;
    if (said.textContent !== next) said.textContent = next;
    const ring = part.querySelector(".ring-done");
    if (ring && (!calm.matches || left % 60 === 0 || !ring.dataset.set)) {
      const share = Math.max(0, Math.min(1, (due - Date.now()) / (due - since)));
      ring.setAttribute("stroke-dasharray", `${(100 * share).toFixed(1)} 100`);
      ring.dataset.set = "yes";
    }
  }
}
setInterval(tick, 1000);

// ---- keys -------------------------------------------------------------------------------------------------------------

const KEYS = "waypost-single-keys"; // "off" in this browser's storage: single keys do nothing

/** Whether single keys do something: unless switched off in this browser, or by the person everywhere. */
const keysAreOn = () => localStorage.getItem(KEYS) !== "off" && !("keysOff" in document.body.dataset);

function showKeys() {
  for (const box of all("[data-single-keys]")) box.checked = keysAreOn();
  for (const hint of all("[data-key-hint]")) hint.hidden = !keysAreOn();
}

on("change", "[data-single-keys]", (box) => {
  if (box.checked) localStorage.removeItem(KEYS);
  else localStorage.setItem(KEYS, "off");
  showKeys();
});

const isTyping = (element) => element instanceof Element && element.matches("input, textarea, select, [contenteditable]");

function moveRow(step) {
  const rows = all("main tr.opens, main [data-row]").filter((row) => row.offsetParent && row.querySelector("a[href]"));
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const next = rows[Math.max(0, Math.min(rows.length - 1, at < 0 ? (step > 0 ? 0 : rows.length - 1) : at + step))];
  if (!next) return;
  for (const row of rows) row.classList.toggle("is-here", row === next);
  (next.querySelector("a.name") || next.querySelector("a[href]")).focus(); // Enter opens what has the focus
  next.scrollIntoView({ block: "nearest" });
}

document.addEventListener("focusout", () => all(".is-here").forEach((row) => row.classList.remove("is-here")));

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || !keysAreOn()) return;
  if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
  const keys = document.getElementById("keys");
  const acts = {
    "/": () => (document.querySelector("main [data-search]") || document.getElementById("search"))?.focus(),
    j: () => moveRow(1),
    k: () => moveRow(-1),
    "?": () => keys?.showModal(),
  };
  if (!acts[event.key]) return;
  event.preventDefault();
  acts[event.key]();
});

// ---- live parts -------------------------------------------------------------------------------------------------------

// <section id="deliveries" data-live="endpoint:ep_…" hx-get="/…">: its content is fetched anew when what it names has changed:
// `log` (anything in the account's log), `endpoints` (any endpoint), `endpoint:ep_…` (one), `every` (anything). The answer, a page
// or a part of one, holds the section again: by its id, else by its hx-select. Without hx-get it is the page's own address.
// Rows are told apart by their data-key, else by where they lead: new ones fade in, and are counted while they are held
// back.

const REFRESH_MS_MIN = 1000; // of one part
const LOST_AFTER_MS = 4000; // a connection that comes back before that was never missed
const HIDDEN_MS_MAX = 5000; // a browser keeps six connections to one host, for all its tabs

class Part {
  constructor(section) {
    this.section = section;
    // For htmx an address on a section would mean that a click anywhere in it fetches.
    this.address = section.getAttribute("hx-get");
    section.removeAttribute("hx-get");
    this.isStale = false;
    this.waiting = null; // what was fetched and is held back
    this.isBusy = false;
    this.isHeld = false; // by "Hold still"
    this.fetchedAt = 0;
    const release = () => setTimeout(() => this.settle(), 150);
    section.addEventListener("pointerleave", release);
    section.addEventListener("focusout", release);
    section.addEventListener("toggle", release, true);
    section.addEventListener("click", (event) => this.clicked(event));
  }

  get names() {
    return this.section.dataset.live.split(/\s+/).map((name) => name.replace(/^endpoint:/, ""));
  }

  concerns(changed) {
    return this.names.some(
      (name) => name === "every" || changed.has(name) || (name === "endpoints" && changed.has("some endpoint")),
    );
  }

  /** Whether its rows must stay where they are, and what is being typed or pressed. */
  get isInUse() {
    const { section } = this;
    // A button that is replaced between press and release is never clicked.
    if (section.querySelector("details.menu[open], dialog[open], :active")) return true;
    const rows = ["[data-rows]", "tbody", "ol", "ul"].map((kind) => section.querySelector(kind)).find(Boolean);
    const focused = section.contains(document.activeElement) ? document.activeElement : null;
    if (focused?.matches("input, select, textarea") || (focused && rows?.contains(focused))) return true;
    return Boolean(rows) && (rows.matches(":hover") || section.getBoundingClientRect().top < -80);
  }

  clicked(event) {
    if (!(event.target instanceof Element)) return;
    if (event.target.closest("[data-show-new]")) {
      document.activeElement?.blur();
      this.show();
    }
    if (event.target.closest("[data-hold]")) {
      this.isHeld = !this.isHeld;
      this.mark();
      this.settle();
    }
  }

  changed() {
    this.isStale = true;
    this.settle();
  }

  /** Fetch what is stale, and show what may be shown. */
  async settle() {
    if (this.isHeld || document.hidden) return;
    if (this.isStale && !this.isBusy) await this.fetch();
    if (this.waiting && !this.isInUse) this.show();
    else if (this.waiting) this.tellNew();
  }

  async fetch() {
    const wait = this.fetchedAt + REFRESH_MS_MIN - Date.now();
    this.isBusy = true;
    if (wait > 0) await new Promise((done) => setTimeout(done, wait));
    this.isStale = false;
    try {
      const headers = { "hx-request": "true", "hx-target": this.section.id };
      const answer = await fetch(this.address || location.href, { headers });
      if (answer.headers.get("hx-redirect")) return location.reload();
      if (answer.ok) {
        const made = new DOMParser().parseFromString(await answer.text(), "text/html");
        this.waiting = this.foundIn(made);
      }
    } catch {
      this.isStale = true; // the stream says when the connection is back
    } finally {
      this.fetchedAt = Date.now();
      this.isBusy = false;
    }
    if (this.isStale && !connection.isLost) setTimeout(() => this.settle(), REFRESH_MS_MIN);
  }

  foundIn(made) {
    const { section } = this;
    const select = section.id ? `#${CSS.escape(section.id)}` : section.getAttribute("hx-select");
    return (select && made.querySelector(select)) || made.querySelector("[data-live]") || made.body;
  }

  show() {
    if (!this.waiting) return;
    const { section } = this;
    const known = keysOf(section);
    const scrolled = section.querySelector(".table-box")?.scrollLeft;
    const focused = section.contains(document.activeElement) ? document.activeElement : null;
    const folds = new Map(foldsOf(section).map(([name, fold]) => [name, fold.open]));
    section.replaceChildren(...document.adoptNode(this.waiting).childNodes);
    for (const [name, fold] of foldsOf(section)) if (folds.has(name)) fold.open = folds.get(name);
    this.waiting = null;
    for (const row of rowsOf(section)) {
      if (known.size && !known.has(keyOf(row))) row.classList.add("is-new");
    }
    if (scrolled) section.querySelector(".table-box").scrollLeft = scrolled;
    window.htmx?.process(section);
    prepare(section);
    this.mark();
    if (focused) counterpartOf(focused, section)?.focus({ preventScroll: true });
  }

  /** Say how many rows wait to be shown. */
  tellNew() {
    const place = this.section.querySelector("[data-show-new]");
    if (!place) return;
    const known = keysOf(this.section);
    const n = Array.from(keysOf(this.waiting)).filter((key) => !known.has(key)).length;
    place.hidden = n === 0;
    place.textContent = say("new", { n });
  }

  mark() {
    const still = this.isHeld || connection.isLost;
    for (const mark of all("[data-live-mark]", this.section)) {
      mark.classList.toggle("is-still", still);
      mark.querySelector("[data-live-word]").textContent = still ? say("held") : say("live");
    }
    for (const button of all("[data-hold]", this.section)) {
      button.setAttribute("aria-pressed", String(this.isHeld));
      button.querySelector("span").textContent = this.isHeld ? say("on") : say("hold");
    }
  }
}

/** What can be opened and closed, by the words on it and its place among those of the same words, counted from the end:
    new rows come at the top. */
function foldsOf(within) {
  const seen = new Map();
  return all("details:not(.menu)", within).reverse().map((fold) => {
    const said = fold.querySelector("summary")?.textContent.trim() || "";
    seen.set(said, (seen.get(said) || 0) + 1);
    return [`${seen.get(said)} ${said}`, fold];
  });
}

/** The control of new content that stands for one of the content before. */
function counterpartOf(before, within) {
  const same = (one) => one.id === before.id && one.textContent === before.textContent && one.name === before.name;
  return all(before.localName, within).find(same);
}

const rowsOf = (within) => all("[data-key], tbody tr", within);
/** What tells a row from others: its data-key, else where it leads. */
const keyOf = (row) => row.dataset.key || (row.querySelector("a.name") || row.querySelector("a"))?.getAttribute("href");
const keysOf = (within) => new Set(rowsOf(within).map(keyOf).filter(Boolean));

const connection = {
  source: null,
  isLost: false,
  lastAt: Date.now(),
  retryMs: 2000,
  parts: [],

  open() {
    this.close();
    this.source = new EventSource("/live");
    this.source.addEventListener("open", () => this.found());
    this.source.addEventListener("error", () => this.failed());
    this.source.addEventListener("beat", () => (this.lastAt = Date.now()));
    this.source.addEventListener("ended", () => location.reload());
    this.source.addEventListener("changed", (event) => {
      this.lastAt = Date.now();
      const changed = new Set(event.data.split(" "));
      if (event.data.includes("ep_")) changed.add("some endpoint");
      for (const part of this.parts) if (part.concerns(changed)) part.changed();
    });
  },

  close() {
    this.source?.close();
    this.source = null;
  },

  found() {
    this.lastAt = Date.now();
    this.retryMs = 2000;
    clearTimeout(this.losing);
    this.losing = null;
    const isFirst = !this.hasMet;
    this.hasMet = true;
    if (this.isLost) {
      this.isLost = false;
      this.tell();
      toast({ text: say("back") });
    } else if (!isFirst) return;
    // Nobody told us what moved since the page was made, or since the connection was lost.
    for (const part of this.parts) part.changed();
  },

  failed() {
    this.losing ??= setTimeout(() => {
      this.isLost = true;
      this.tell();
    }, LOST_AFTER_MS);
    if (this.source?.readyState !== EventSource.CLOSED) return; // it tries again by itself
    clearTimeout(this.retrying);
    this.retrying = setTimeout(() => this.open(), this.retryMs);
    this.retryMs = Math.min(this.retryMs * 2, 30000);
  },

  tell() {
    const place = document.querySelector("[data-lost]");
    if (place) {
      const time = new Date(this.lastAt).toLocaleTimeString(root.lang, { hour12: false });
      place.hidden = !this.isLost;
      place.textContent = this.isLost ? say("lost", { time }) : "";
    }
    for (const part of this.parts) part.mark();
  },
};

/** Follow the live parts that have come to the page. */
function follow(within) {
  const known = new Set(connection.parts.map((part) => part.section));
  const sections = all("[data-live]", within).filter((section) => !known.has(section));
  if (within instanceof Element && within.matches("[data-live]") && !known.has(within)) sections.push(within);
  connection.parts = connection.parts.filter((part) => part.section.isConnected);
  connection.parts.push(...sections.map((section) => new Part(section)));
  if (connection.parts.length && !connection.source) connection.open();
}

function keepUp() {
  document.addEventListener("scroll", () => connection.parts.forEach((part) => part.waiting && part.settle()), {
    passive: true,
  });
  document.addEventListener("visibilitychange", () => {
    clearTimeout(connection.leaving);
    if (document.hidden) {
      connection.leaving = setTimeout(() => connection.close(), HIDDEN_MS_MAX);
      return;
    }
    if (connection.parts.length && !connection.source) {
      connection.open();
      for (const part of connection.parts) part.isStale = true;
    }
    for (const part of connection.parts) part.settle();
  });
  window.addEventListener("pagehide", () => connection.close());
  window.addEventListener("pageshow", (event) => event.persisted && follow(document));
}

// ---- begin ------------------------------------------------------------------------------------------------------------

/** Make what has just come to the page work. */
function prepare(within) {
  all("[data-tabset]", within).forEach(makeTabs);
  for (const box of all("[data-indeterminate]", within)) box.indeterminate = true;
  follow(within);
  tick();
}

document.addEventListener("htmx:load", (event) => prepare(event.detail.elt));
prepare(document);
showKeys();
keepUp();

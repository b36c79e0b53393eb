"use strict";
// Everything works without this file; with it lists filter as one types, keys move about, labels are
// kept, and what is in progress updates by itself.
const $ = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

function parsed(html) {
  return new DOMParser().parseFromString(html, "text/html");
}

async function asked(url) {
  const answer = await fetch(url, { headers: { accept: "text/html" } });
  if (!answer.ok) throw new Error(`${answer.status}`);
  return answer.text();
}

// --- lists -------------------------------------------------------------------------------------
const filter = $("#filter");
let latest = 0, seen = location.search;

function query(form) {
  const told = new URLSearchParams(new FormData(form));
  for (const [name, value] of [...told]) {
    if (value === "" || (name === "order" && value === "up") || (name === "sort" && value === "problem")) told.delete(name);
  }
  return told;
}

// A page that is turned is one to come back to; what is typed into the filter replaces what was.
async function show(url, note) {
  const mine = ++latest;
  const list = $("#list");
  list.classList.add("waiting");
  const part = new URL(url, location.href);
  part.searchParams.set("part", "table");
  try {
    const html = await asked(part);
    if (mine !== latest) return;
    list.replaceChildren(...parsed(html).body.childNodes);
    if (note) note.call(history, null, "", url);
    seen = location.search;
    here = -1;
    soon();
  } finally {
    if (mine === latest) list.classList.remove("waiting");
  }
}

if (filter) {
  let timer = 0;
  const go = (delay) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const told = query(filter).toString();
      show(filter.getAttribute("action") + (told ? `?${told}` : ""), history.replaceState);
    }, delay);
  };
  filter.addEventListener("input", (event) => go(event.target.matches("input") ? 120 : 0));
  filter.addEventListener("submit", (event) => { event.preventDefault(); go(0); });
  $("button[type=submit]", filter).hidden = true;
  document.addEventListener("click", (event) => {
    const link = event.target.closest("#list nav.pages a");
    if (!link || event.metaKey || event.ctrlKey) return;
    event.preventDefault();
    show(link.href, history.pushState).then(() => scrollTo({ top: 0 }));
  });
  addEventListener("popstate", () => { if (location.search !== seen) location.reload(); });
}

function soon() {  // the texts are still being read: look again
  if ($("#indexing") || (filter && $("#list [role=status]:not(#total)"))) {
    setTimeout(() => show(location.href), 700);
  }
}
if (filter) soon();

const local = $("[data-local]");
function sift() {
  const words = local.value.toLowerCase().split(/\s+/);
  for (const row of all("[data-row]")) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
}
if (local) {
  local.addEventListener("input", sift);
  addEventListener("pageshow", sift); // a browser keeps what was typed
}

// --- runs --------------------------------------------------------------------------------------
const choose = $("#choose");
function chosen() {
  const button = $("#compare");
  if (!button) return;
  const count = all("input[name=run]:checked").length;
  button.disabled = count !== 2;
  $("#chosen").textContent = count === 2 ? "The earlier run is the baseline." :
    count > 2 ? `${count} runs are ticked; untick ${count - 2}.` : "Tick two runs to compare them.";
}
if (choose) {
  choose.addEventListener("change", chosen);
  addEventListener("pageshow", chosen);
  chosen();
}

// --- what is in progress -----------------------------------------------------------------------
const live = $("#live");
if (live && live.dataset.active) {
  let stamp = null;
  const look = async () => {
    try {
      const told = await (await fetch(`${live.dataset.url}/live`)).json();
      live.replaceChildren(...told.benchmarks.map(bar));
      const state = $("#state");
      if (state && told.state) state.textContent = told.state;
      if (stamp !== null && stamp !== told.stamp) {
        const report = await asked(`${live.dataset.url}?part=report`);
        $("#report").replaceChildren(...parsed(report).body.childNodes);
      }
      stamp = told.stamp;
      if (!told.active) return location.reload();
    } catch { /* the server is gone, or comes back */ }
    setTimeout(look, 2000);
  };
  setTimeout(look, 500);
}
function bar(told) {
  const line = document.createElement("div");
  line.className = "doing";
  const name = document.createElement("b");
  name.textContent = told.name;
  const progress = document.createElement("progress");
  progress.max = 1;
  progress.value = told.total ? told.done / told.total : 0;
  progress.setAttribute("aria-label", told.name);
  const counts = document.createElement("span");
  counts.textContent = `${told.done.toLocaleString("en")} of ${told.total.toLocaleString("en")}`;
  const rest = document.createElement("span");
  rest.className = "soft";
  rest.textContent = [told.score, told.note].filter(Boolean).join(" · ");
  line.append(name, " ", progress, " ", counts, " ", rest);
  return line;
}
const runs = $("table.runs");
if (runs && runs.dataset.live) {
  const again = async () => {
    try {
      const ticked = new Set(all("input[name=run]:checked").map((box) => box.value));
      const fresh = $("table.runs", parsed(await asked("/?part=list")));
      $("table.runs").replaceWith(document.importNode(fresh, true));
      for (const box of all("input[name=run]")) box.checked = ticked.has(box.value);
      sift();
      if (!fresh.dataset.live) return;
    } catch { /* see above */ }
    setTimeout(again, 4000);
  };
  setTimeout(again, 4000);
}

// --- one rollout -------------------------------------------------------------------------------
const label = $("#label");
if (label) {
  let timer = 0;
  const save = async () => {
    const told = new FormData(label);
    const saved = $("#saved");
    try {
      const answer = await fetch(label.dataset.url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ label: told.get("label") || "", note: told.get("note") || "" }),
      });
      saved.textContent = answer.ok ? "saved" : "not saved";
      if (answer.ok) saved.title = (await answer.json()).file;
    } catch {
      saved.textContent = "not saved";
    }
  };
  label.addEventListener("change", save);
  label.addEventListener("input", (event) => {
    if (event.target.name !== "note") return;
    clearTimeout(timer);
    timer = setTimeout(save, 600);
  });
  label.addEventListener("submit", (event) => { event.preventDefault(); save(); });
}

document.addEventListener("click", async (event) => {
  const whole = event.target.closest("[data-whole]");
  if (whole) {
    const answer = await fetch(whole.dataset.whole);
    if (!answer.ok) return;
    $(`#${whole.dataset.into}`).textContent = await answer.text();
    whole.closest("p").remove();
  }
  const step = event.target.closest("[data-step]");
  if (step && !event.metaKey && !event.ctrlKey) {
    event.preventDefault();
    steps(step.dataset.step);
  }
});
document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-steps]")) return;
  event.preventDefault();
  steps(new FormData(event.target).get("step"));
});
async function steps(number) {
  const list = $("#steps-list");
  const base = $("[data-steps]").dataset.steps;
  const html = await asked(`${base}?step=${encodeURIComponent(number)}`);
  list.replaceChildren(...parsed(html).body.childNodes);
  const url = new URL(location.href);
  url.searchParams.set("step", number);
  history.replaceState(null, "", url);
  $("#steps").scrollIntoView();
}

// --- keys --------------------------------------------------------------------------------------
let here = -1;
function move(by) {
  const rows = all("[data-row]").filter((row) => !row.hidden);
  if (!rows.length) {
    const link = $(by > 0 ? "a[rel=next]" : "a[rel=prev]");
    if (link) link.click();
    return;
  }
  here = Math.min(rows.length - 1, Math.max(0, here + by));
  for (const row of rows) row.classList.toggle("here", row === rows[here]);
  rows[here].scrollIntoView({ block: "nearest" });
  $("th a", rows[here])?.focus({ preventScroll: true });
}
const help = $("#help");
$("#keys")?.addEventListener("click", () => help.showModal());
document.addEventListener("keydown", (event) => {
  if (event.metaKey || event.ctrlKey || event.altKey) return;
  if (event.target.matches("input:not([type=checkbox]):not([type=radio]), select, textarea")) {
    if (event.key === "Escape") {
      event.preventDefault(); // it would empty the search
      event.target.blur();
    }
    return;
  }
  const press = {
    "/": () => ($("#q") || $("[data-local]"))?.focus(),
    j: () => move(1),
    k: () => move(-1),
    b: () => $("#back")?.click(),
    "?": () => help?.showModal(),
    r: () => mark("right"),
    w: () => mark("wrong"),
    u: () => mark("unclear"),
  }[event.key];
  if (press) {
    event.preventDefault();
    press();
  }
});
function mark(word) {
  const box = $(`#label input[value=${word}]`);
  if (box) box.click();
}

// Keeps what the server says, and draws it when the browser is ready to.

import { colour, drawTimeline } from "./timeline.js";
import { amount, drawCloud, drawServices, figures } from "./panels.js";

const RATES_MBIT = [null, 20, 5, 2, 1, 0.5, 0.2];
const TRIPS_MS = [0, 3, 13, 50, 153, 300, 600, 1000];
const RETRY_MS = 500;
const SILENCE_MS = 3000;
const SOURCES = ["local", "fused", "remote"];
const SAID = { local: "edge", fused: "fused with the cloud", remote: "cloud", corrected: "corrected by the cloud" };

const state = { names: [], columns: [], labels: [], theta: 0.5, capacity: 600, streams: new Map(), services: {}, link: null };
const cards = new Map();
let heard = 0;
let dirty = true;

function connect() {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`);
  socket.binaryType = "arraybuffer";
  socket.onmessage = (event) => read(event.data);
  socket.onclose = (event) => {
    heard = 0;
    status("bad", event.reason || "the graph is away; trying again …");
    setTimeout(connect, RETRY_MS);
  };
}

function status(kind, text) {
  const element = document.getElementById("state");
  if (element.textContent === text) return;
  element.className = `state ${kind}`;
  element.textContent = text;
}

function read(data) {
  heard = performance.now();
  const view = new DataView(data);
  const length = view.getUint32(0, true);
  take(JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length))));
  for (let at = 4 + length; at < data.byteLength; ) {
    const size = view.getUint32(at + 2, true);
    show(state.names[view.getUint16(at, true)], new Uint8Array(data, at + 6, size));
    at += 6 + size;
  }
  dirty = true;
}

function take(said) {
  for (const key of ["graph", "names", "columns", "labels", "theta", "capacity", "cloud", "link"]) {
    if (key in said) state[key] = said[key];
  }
  if ("names" in said) begin();
  if ("link" in said) drawLink();
  for (const [name, service] of Object.entries(said.services ?? {})) {
    const before = state.services[name];
    state.services[name] = service;
    if (before) delete before.before;
    service.before = before ?? null;
  }
  for (const [name, news] of Object.entries(said.streams ?? {})) takeRows(name, news);
}

/** A server that is new, or that this page was cut off from: what it had is drawn anew. */
function begin() {
  document.getElementById("graph").textContent = state.graph;
  state.streams.clear();
  state.services = {};
  document.getElementById("streams").replaceChildren();
  cards.clear();
  for (const name of state.names) {
    state.streams.set(name, { rows: new Map(), flashes: new Map(), ended: null });
    const card = document.getElementById("stream").content.firstElementChild.cloneNode(true);
    card.querySelector(".name").textContent = name;
    document.getElementById("streams").append(card);
    cards.set(name, card);
  }
}

function takeRows(name, { fresh, ended, rows }) {
  const stream = state.streams.get(name);
  if (!stream) return;
  const whole = fresh && rows.length > 1;
  if (fresh) {
    stream.rows.clear();
    stream.flashes.clear();
  }
  stream.ended = ended;
  for (const values of rows) {
    const row = Object.fromEntries(state.columns.map((column, at) => [column, values[at]]));
    const before = stream.rows.get(row.t);
    if (!whole && before && before.now !== null && before.now !== row.now) stream.flashes.set(row.t, performance.now());
    stream.rows.set(row.t, row);
  }
  const newest = Math.max(...stream.rows.keys());
  for (const t of stream.rows.keys()) {
    if (t <= newest - state.capacity) {
      stream.rows.delete(t);
      stream.flashes.delete(t);
    }
  }
}

async function show(name, jpeg) {
  const canvas = cards.get(name)?.querySelector(".video");
  if (!canvas) return;
  const bitmap = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  canvas.dataset.pictures = Number(canvas.dataset.pictures ?? 0) + 1;
}

function draw(now) {
  if (now - heard > SILENCE_MS && heard) status("wait", "nothing comes from the graph");
  else if (heard) drawState();
  const flashing = [...state.streams.values()].some((stream) => [...stream.flashes.values()].some((at) => now - at < 1600));
  if (dirty || flashing) {
    dirty = false;
    for (const [name, stream] of state.streams) drawStream(name, stream, now);
    document.getElementById("uplink").hidden = !state.cloud && !Object.keys(state.services).some((name) => name.startsWith("worker"));
    drawCloud(document.getElementById("figures"), document.getElementById("workers"), state.services);
    if (document.querySelector("details").open) drawServices(document.getElementById("services"), state.services);
  }
  requestAnimationFrame(draw);
}

function drawState() {
  const uplink = state.services.uplink;
  if (state.link?.cut) status("bad", "the link is cut: the edge answers alone");
  else if (!state.cloud) status("good", "live, without a cloud");
  else if (uplink && uplink.text !== "connected") status("wait", `live; cloud: ${uplink.text || uplink.state}`);
  else status("good", "live, cloud connected");
}

function drawStream(name, stream, now) {
  const card = cards.get(name);
  const labels = drawTimeline(card.querySelector(".timeline"), stream.rows, stream.flashes, state.labels, state.theta, now);
  const newest = [...stream.rows.values()].filter((row) => row.now !== null).reduce((a, b) => (a && a.t > b.t ? a : b), null);
  if (newest) {
    const source = newest.now !== newest.live ? "corrected" : SOURCES[newest.now_source];
    card.querySelector(".label").textContent = state.labels[newest.now];
    const badge = card.querySelector(".badge");
    badge.textContent = SAID[source];
    badge.className = `badge ${source}`;
    badge.dataset.t = newest.t;
  }
  card.querySelector(".end").textContent = stream.ended === null ? "" : `ended: ${stream.ended}`;
  const list = card.querySelector(".legend");
  const shown = [...labels].sort((a, b) => a - b);
  if (list.dataset.shown !== shown.join()) {
    list.dataset.shown = shown.join();
    list.replaceChildren(
      ...shown.map((label) => {
        const item = document.createElement("li");
        const box = document.createElement("i");
        box.style.background = colour(label, state.labels[label]);
        item.append(box, state.labels[label]);
        return item;
      }),
    );
  }
  const rows = [...stream.rows.values()];
  const answered = rows.filter((row) => row.remote !== null);
  const corrected = rows.filter((row) => row.now !== null && row.live !== null && row.now !== row.live);
  const scored = rows.filter((row) => row.truth !== null && row.now !== null);
  const right = (key) => (scored.length ? `${amount((100 * scored.filter((row) => row[key] === row.truth).length) / scored.length)} %` : null);
  const lag = answered.filter((row) => row.lag !== null).at(-1)?.lag;
  figures(card.querySelector(".figures"), [
    ["sure", newest ? amount(newest.p, 2) : null],
    ["ρ", amount(newest?.rho, 2)],
    ["β", amount(newest?.beta, 2)],
    ["lag of the last answer", lag ?? null],
    ["asked the cloud", `${answered.length} of ${rows.length}`],
    ["corrected since", corrected.length],
    ["right: edge alone", right("local")],
    ["at once", right("live")],
    ["now", right("now")],
  ]);
}

function drawLink() {
  const panel = document.getElementById("link");
  panel.hidden = !state.link;
  if (!state.link) return;
  const { rate_mbit: rate, delay_ms: delay, cut } = state.link;
  const button = document.getElementById("cut");
  button.setAttribute("aria-pressed", String(cut));
  button.textContent = cut ? "Mend the link" : "Cut the link";
  nearest("rate", RATES_MBIT, rate, rate === null ? "no cap" : `${rate} Mbit/s`);
  nearest("delay", TRIPS_MS, 2 * delay, `${2 * delay} ms`);
}

function nearest(id, steps, value, said) {
  const at = steps.reduce((best, step, index) => (Math.abs((step ?? 1e9) - (value ?? 1e9)) < Math.abs((steps[best] ?? 1e9) - (value ?? 1e9)) ? index : best), 0);
  document.getElementById(id).value = at;
  document.getElementById(`${id}-said`).textContent = said;
  document.getElementById(id).setAttribute("aria-valuetext", said);
}

async function steer(change) {
  const answer = await fetch("link", { method: "POST", body: JSON.stringify(change) });
  if (!answer.ok) status("bad", await answer.text());
}

document.getElementById("cut").onclick = () => steer({ cut: !state.link.cut });
document.getElementById("rate").oninput = (event) => steer({ rate_mbit: RATES_MBIT[event.target.value] });
document.getElementById("delay").oninput = (event) => steer({ delay_ms: TRIPS_MS[event.target.value] / 2 });
window.addEventListener("resize", () => (dirty = true));
connect();
requestAnimationFrame(draw);

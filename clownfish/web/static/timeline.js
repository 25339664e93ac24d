// Draws one stream's newest windows: a column a window, the newest on the right, a line for each who answers.

const LINES = [
  ["truth", "truth"],
  ["edge alone", "local"],
  ["cloud", "remote"],
  ["said at once", "live"],
  ["said now", "now"],
];
const LINE_PX = 20;
const CURVES_PX = 70;
const NAMES_PX = 84;
const WINDOW_PX = 3;
const FLASH_MS = 1500;

const NOTHING = /^(idle|background|none|nothing|no action|other)$/i;

/** A colour for each label: the same on every line, apart from its neighbours in hue; grey where nothing goes on. */
export function colour(label, name = "") {
  if (NOTHING.test(name)) return "hsl(210 9% 62%)";
  const hue = (label * 137.508 + 25) % 360;
  return `hsl(${hue.toFixed(0)} ${label % 2 ? 62 : 74}% ${[52, 62, 44][label % 3]}%)`;
}

/** `rows`: Map t → row by name. `flashes`: Map t → when its answer was last corrected, ms. Returns the labels in sight. */
export function drawTimeline(canvas, rows, flashes, names, theta, now) {
  const style = getComputedStyle(canvas);
  const ink = style.getPropertyValue("--ink");
  const soft = style.getPropertyValue("--soft");
  const rule = style.getPropertyValue("--line");
  const accent = style.getPropertyValue("--accent");
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  const draw = canvas.getContext("2d");
  draw.setTransform(ratio, 0, 0, ratio, 0, 0);
  draw.clearRect(0, 0, width, height);
  const newest = rows.size ? Math.max(...rows.keys()) : 0;
  const columns = Math.floor((width - NAMES_PX) / WINDOW_PX);
  const first = newest - columns + 1;
  const x = (t) => NAMES_PX + (t - first) * WINDOW_PX;
  const labels = new Set();
  const lines = LINES.filter(([, key]) => key !== "truth" || [...rows.values()].some((row) => row.truth !== null));

  draw.font = "11px system-ui, sans-serif";
  draw.textBaseline = "middle";
  lines.forEach(([name, key], at) => {
    const y = at * LINE_PX;
    draw.fillStyle = soft;
    draw.fillText(name, 0, y + LINE_PX / 2);
    for (const [t, row] of rows) {
      if (t < first || row[key] === null) continue;
      labels.add(row[key]);
      draw.fillStyle = colour(row[key], names[row[key]]);
      if (key === "remote") draw.fillRect(x(t) - 1, y + 2, WINDOW_PX + 2, LINE_PX - 4);
      else draw.fillRect(x(t), y + 2, WINDOW_PX, LINE_PX - 4);
      if (key === "now" && row.live !== null && row.now !== row.live) {
        draw.fillStyle = ink; // the past was rewritten here
        draw.fillRect(x(t), y + LINE_PX - 3, WINDOW_PX, 2);
      }
      const age = now - (flashes.get(t) ?? -Infinity);
      if (key === "now" && age < FLASH_MS) {
        draw.globalAlpha = 0.75 * (1 - age / FLASH_MS);
        draw.fillStyle = ink;
        draw.fillRect(x(t), y, WINDOW_PX, LINE_PX);
        draw.globalAlpha = 1;
      }
    }
  });

  const top = lines.length * LINE_PX + 8;
  const level = (share) => top + (1 - share) * CURVES_PX;
  draw.strokeStyle = rule;
  draw.lineWidth = 1;
  draw.strokeRect(NAMES_PX + 0.5, top + 0.5, width - NAMES_PX - 1, CURVES_PX - 1);
  draw.setLineDash([3, 3]);
  draw.beginPath();
  draw.moveTo(NAMES_PX, level(theta));
  draw.lineTo(width, level(theta));
  draw.stroke();
  draw.setLineDash([]);
  curve(draw, rows, first, x, level, "rho", soft);
  curve(draw, rows, first, x, level, "beta", accent);
  draw.fillStyle = soft;
  draw.fillText("ρ  alike", 0, top + 12);
  draw.fillStyle = accent;
  draw.fillText("β  cloud's say", 0, top + 28);
  draw.fillStyle = soft;
  draw.fillText(`θ  ${theta}`, 0, top + 44);
  return labels;
}

function curve(draw, rows, first, x, level, key, ink) {
  draw.strokeStyle = ink;
  draw.lineWidth = 1.3;
  draw.beginPath();
  let before = null;
  for (const t of [...rows.keys()].sort((a, b) => a - b)) {
    const share = rows.get(t)[key];
    if (t < first || share === null) continue;
    if (before === t - 1) draw.lineTo(x(t), level(share));
    else draw.moveTo(x(t), level(share));
    before = t;
  }
  draw.stroke();
}

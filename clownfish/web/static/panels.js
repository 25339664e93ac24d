// Figures of uplink, cloud and processes, from the statuses that every process publishes once a second.

/** A counter's name is `name{label="value"}`: all of that name, by the label's value. */
export function labelled(counters, name, label) {
  const found = {};
  const pattern = new RegExp(`^${name}\\{(?:.*,)?${label}="([^"]*)"`);
  for (const [key, count] of Object.entries(counters ?? {})) {
    const match = pattern.exec(key);
    if (match) found[match[1]] = (found[match[1]] ?? 0) + count;
  }
  return found;
}

/** How fast a counter of a service grows, per second, over its last two statuses; null where that is not known. */
export function rate(service, name) {
  const before = service?.before;
  if (!before || before.pid !== service.pid || service.at <= before.at) return null;
  return ((service.counters[name] ?? 0) - (before.counters[name] ?? 0)) / (service.at - before.at);
}

export function figures(list, pairs) {
  list.replaceChildren(
    ...pairs
      .filter(([, value]) => value !== null && value !== undefined && value !== "")
      .map(([name, value]) => {
        const div = document.createElement("div");
        div.append(Object.assign(document.createElement("dt"), { textContent: name }));
        div.append(Object.assign(document.createElement("dd"), { textContent: value }));
        return div;
      }),
  );
}

export function table(element, head, lines) {
  const row = (cells, tag) => {
    const tr = document.createElement("tr");
    for (const cell of cells) tr.append(Object.assign(document.createElement(tag), { textContent: cell ?? "–" }));
    return tr;
  };
  element.replaceChildren(...(lines.length ? [row(head, "th"), ...lines.map((cells) => row(cells, "td"))] : []));
}

export const amount = (value, digits = 0) => (value === null || value === undefined ? null : value.toFixed(digits));

export function drops(counters) {
  return Object.entries(labelled(counters, "dropped", "reason"))
    .filter(([, count]) => count)
    .map(([reason, count]) => `${reason.replaceAll("_", " ")} ${count}`)
    .join(", ");
}

/** The panel of uplink and cloud. */
export function drawCloud(list, workers, services) {
  const { uplink, router, fusion } = services;
  const kbit = rate(uplink, "bytes_sent");
  const lags = Object.entries(labelled(fusion?.counters, "lag", "windows")).sort((a, b) => parseInt(a[0]) - parseInt(b[0]));
  figures(list, [
    ["uplink", kbit === null ? null : `${amount((kbit * 8) / 1000)} kbit/s`],
    ["windows sent", uplink?.counters.windows_sent],
    ["answered", uplink?.counters.windows_answered],
    ["answers corrected since", fusion?.counters.revisions],
    ["on their way", uplink?.gauges.in_flight],
    ["lost", uplink ? drops(uplink.counters) || "none" : null],
    ["lag in windows", lags.map(([lag, count]) => `${lag}: ${count}`).join("  ")],
    ["waiting for a worker", router?.gauges.waiting],
    ["edges", router?.gauges.edges],
  ]);
  const lines = Object.entries(services)
    .filter(([name]) => name.startsWith("worker"))
    .map(([name, worker]) => {
      const jobs = rate(worker, "jobs_done");
      const [p50, p99] = worker.ms.job ?? [null, null];
      const load = jobs === null || p50 === null ? null : `${amount(Math.min(1, (jobs * p50) / 1000) * 100)} %`;
      const batch = worker.gauges.batch ?? worker.ms.batch?.[0] ?? 1;
      return [name, worker.state, amount(jobs, 1), load, amount(batch, 1), amount(p50, 1), amount(p99, 1), worker.text];
    });
  table(workers, ["worker", "", "windows/s", "load", "batch", "p50 ms", "p99 ms", ""], lines);
}

/** The table of all processes. */
export function drawServices(element, services) {
  const lines = Object.entries(services).map(([name, service]) => {
    const [stage, times] = Object.entries(service.ms)[0] ?? ["", []];
    return [name, service.state, service.pid, drops(service.counters) || "–", stage, amount(times[0], 1), amount(times[1], 1), service.text];
  });
  table(element, ["process", "", "pid", "dropped", "stage", "p50 ms", "p99 ms", ""], lines);
}

"""Every measure that services publish, under the name and with the words that Prometheus gets (layer 0).

A service counts `bytes_sent`; Prometheus hears `clownfish_uplink_sent_bytes_total` and what that means. A measure that
is not described here is exported all the same, without words; a test holds that a running graph has none such.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram"]


class Measure(NamedTuple):
    """One family of samples."""

    services: tuple[str, ...]
    """Who publishes it; empty: every service may."""
    name: str
    """What the service calls it, without labels."""
    kind: Kind
    metric: str
    """Without `_total`: Prometheus calls it `clownfish_SERVICE_…`, or `clownfish_…` with a label `service`."""
    labels: str
    help: str


def _measures(*rows: tuple[str, str, Kind, str, str, str]) -> tuple[Measure, ...]:
    return tuple(
        Measure(tuple(who.split()), name, kind, metric or name, labels, text)
        for who, name, kind, metric, labels, text in rows
    )


_C: Kind = "counter"
_G: Kind = "gauge"
_H: Kind = "histogram"

MEASURES = _measures(
    # every service
    ("", "sent", _C, "messages_sent", "socket", "Messages sent from this socket."),
    ("", "received", _C, "messages_received", "socket", "Messages received on this socket."),
    ("", "cut", _C, "connections_cut", "socket, reason", "Connections cut."),
    ("", "handshakes_failed", _C, "socket_handshakes_failed", "socket, reason", "Handshakes that came to nothing."),
    ("", "dropped", _C, "messages_dropped", "socket, reason", "Messages not sent: the receiver is slow or away."),
    ("", "malformed", _C, "messages_malformed", "socket", "Messages dropped because they could not be read."),
    ("", "state_lost", _C, "", "what", "Files of a process before that were found damaged: `what` began anew."),
    ("", "working_seconds", _G, "", "", "How long the working thread is at what it does now; 0: at nothing."),
    ("capture", "frames", _C, "", "stream", "Frames captured and handed on."),
    ("capture", "frames_dropped", _C, "", "reason", "Frames lost in the capturing process itself."),
    ("capture", "sources_open", _G, "", "", "Sources that may deliver frames."),
    ("capture", "stalled", _G, "", "stream", "1 while a source that should deliver is silent or away."),
    ("capture", "stalls", _C, "", "", "How often a source stopped delivering without a word."),
    ("capture", "epochs", _C, "", "reason", "Epochs begun, by what ended the one before."),
    ("capture", "frames_repeated", _C, "", "stream", "Frames given again: the source has fewer than the models want."),
    ("capture", "frames_skipped", _C, "", "stream", "Frames left out: the source has more than the models want."),
    ("capture", "readers_killed", _C, "", "", "Processes that read a source and had to be killed: they hung."),
    ("capture", "source_errors", _C, "", "", "How often a source broke off."),
    ("capture", "source_retries", _C, "", "", "How often a source was opened again."),
    ("window", "streams_open", _G, "", "", "Streams whose end has not come."),
    ("window", "frames", _C, "", "", "Frames taken."),
    ("window", "windows", _C, "", "", "Windows formed."),
    ("window", "frames_missing", _C, "", "", "Frames that never came, seen as holes in their numbers."),
    ("window", "incomplete", _C, "windows_incomplete", "", "Windows not formed because a frame was missing."),
    ("window", "duplicates", _C, "frames_duplicate", "", "Frames that came twice or went back."),
    ("window", "old_epoch", _C, "frames_old_epoch", "", "Frames of a capture that is over."),
    ("window", "resized", _C, "streams_resized", "", "Streams whose frames changed their size."),
    ("window", "evicted", _C, "streams_evicted", "", "Streams forgotten to make room for others."),
    ("local", "windows_inferred", _C, "", "", "Windows that the small model answered."),
    ("local", "windows_skipped", _C, "", "", "Windows skipped because a newer one waited."),
    ("local", "model", _H, "model_seconds", "", "The small model, for one batch."),
    ("local", "queued", _H, "queued_seconds", "", "From a window's newest frame to the start of its inference."),
    ("local", "waiting", _G, "", "", "Windows that wait for the small model."),
    ("filter", "streams_open", _G, "", "", "Streams whose end has not come."),
    ("filter", "windows", _C, "", "", "Windows the filter was asked about."),
    ("filter", "rhos", _C, "", "", "Similarities taken."),
    ("filter", "rhos_stale", _C, "", "", "Similarities that came twice, or of a stream that is over."),
    ("filter", "sent", _C, "windows_sent", "why", "Windows chosen for the cloud."),
    ("filter", "released", _C, "windows_released", "why", "Windows not chosen."),
    ("filter", "transitions_missed", _C, "", "", "Windows that the policy wanted and that were gone."),
    ("filter", "waiting", _G, "", "", "Windows that wait for their similarity."),
    ("uplink", "windows_offered", _C, "", "", "Windows that came to be sent."),
    ("uplink", "windows_sent", _C, "", "", "Windows sent to the cloud."),
    ("uplink", "windows_resent", _C, "", "", "Windows of which the router asked for frames again."),
    ("uplink", "windows_answered", _C, "", "", "Windows that the cloud answered in time."),
    ("uplink", "dropped", _C, "windows_dropped", "reason", "Windows not answered, by reason."),
    ("uplink", "ignored", _C, "answers_ignored", "reason", "Answers of no use: late, or given twice."),
    ("uplink", "bytes_sent", _C, "sent_bytes", "", "Bytes sent to the cloud, frames and requests."),
    ("uplink", "frames_sent", _C, "", "", "Frames sent to the cloud."),
    ("uplink", "sessions", _C, "", "", "Sessions begun with a router."),
    ("uplink", "refused", _C, "sessions_refused", "", "How often the cloud refused this edge."),
    ("uplink", "handshakes_failed", _C, "", "", "How often edge and cloud did not come together."),
    ("uplink", "connected", _G, "", "", "1 while the cloud grants credit."),
    ("uplink", "waiting", _G, "", "", "Windows that wait for credit."),
    ("uplink", "in_flight", _G, "", "", "Windows sent and not answered yet."),
    ("uplink", "oldest_waiting_seconds", _G, "", "", "Since the capture of the oldest window that waits for credit."),
    ("uplink", "oldest_in_flight_seconds", _G, "", "", "Since the capture of the oldest window in flight."),
    ("uplink", "encode", _H, "encode_seconds", "", "Encoding the frames of one window."),
    ("uplink", "round_trip", _H, "round_trip_seconds", "", "From a window's sending to its answer."),
    ("uplink", "cloud_model", _H, "cloud_model_seconds", "", "What of the round trip a worker decoded and inferred."),
    ("uplink", "capture_to_answer", _H, "capture_to_answer_seconds", "", "From capture to the cloud's answer."),
    ("uplink", "age_at_router", _H, "age_at_router_seconds", "", "From sending a window to all of it at the router."),
    ("uplink", "age_bound", _H, "age_bound_seconds", "", "What that may be: round trip, its transmission, one credit."),
    ("uplink", "windows_beyond_bound", _C, "", "", "Windows that were older than that when the router had them."),
    ("uplink", "setting_changes", _C, "", "", "How often the link had another quality or rate chosen for it."),
    ("uplink", "setting", _G, "", "", "Adaptive sending: the number of the ladder's rung; 0 sends least."),
    ("uplink", "link_mbit_s", _G, "", "", "What the link carries, as far as answers tell; 0: not known."),
    ("uplink", "link_rtt_ms", _G, "", "", "The link's round trip, the least of half a minute."),
    ("uplink", "month_bytes", _G, "", "", "Encoded frames sent in this calendar month, if budgeted."),
    ("fusion", "windows_answered", _C, "", "", "Windows answered in real time."),
    ("fusion", "windows_missing", _C, "", "", "Windows formed and never answered, whoever lost them."),
    ("fusion", "finals_missing", _C, "", "", "Windows answered by a process before, and closed by none."),
    ("fusion", "answers", _C, "", "source", "Real-time answers, by what they rest on."),
    ("fusion", "stream_answers", _C, "", "stream", "Real-time answers of each stream."),
    ("fusion", "remote_answers", _C, "", "stream, local",
     "Answers of the cloud that were applied: the small model says the same label for the window, or another."),
    ("fusion", "corrections", _C, "arrivals", "stream, effect",
     "Answers of the cloud that were applied: a label said before is another one since, or none is; or none was said."),
    ("fusion", "labels_corrected", _C, "", "stream", "Windows whose label a late answer changed."),
    ("fusion", "revisions", _C, "", "", "Windows whose probabilities a late answer changed."),
    ("fusion", "lag", _H, "lag_windows", "", "How many windows late an applied answer of the cloud was (16: or more)."),
    ("fusion", "last_lag", _G, "last_lag_windows", "stream", "Lag of the newest answer that was applied."),
    ("fusion", "beta", _G, "", "stream", "β of the newest answer: how much influence of the cloud is left."),
    ("fusion", "remote_applied", _C, "", "", "Answers of the cloud that became anchors."),
    ("fusion", "remote_late", _C, "", "", "Answers of the cloud for windows beyond the horizon."),
    ("fusion", "remote_duplicate", _C, "", "", "Answers of the cloud for windows that had one."),
    ("fusion", "remote_stale", _C, "", "", "Answers of the cloud for streams that are over."),
    ("fusion", "local_duplicate", _C, "", "", "Local answers for windows that were answered."),
    ("fusion", "local_stale", _C, "", "", "Local answers for streams that are over."),
    ("fusion", "refused", _C, "answers_refused", "", "Answers that are no distribution over the classes."),
    ("fusion", "streams_open", _G, "", "", "Streams that are not finished."),
    ("fusion", "capture_to_fused", _H, "capture_to_fused_seconds", "", "From a window's newest frame to its answer."),
    ("fusion", "graph_overhead", _H, "graph_overhead_seconds", "", "The same without the model's time."),
    ("sink", "written", _C, "", "", "Answers written."),
    ("sink", "dropped", _C, "answers_dropped", "reason", "Answers that could not be written."),
    ("sink", "streams_ended", _C, "", "", "Ends of streams written."),
    ("sink", "events", _C, "", "state", "Events of scenes written."),
    ("sink", "epochs_open", _G, "", "", "Streams whose events are followed."),
    ("sink", "events_not_kept", _C, "", "", "States of events that the disk did not take."),
    ("sink", "results_late", _C, "", "", "Answers for windows whose event was settled."),
    ("sink", "results_repeated", _C, "", "", "Answers that came twice."),
    ("sink", "results_stale", _C, "", "", "Answers for streams that are over."),
    ("sink", "connected", _G, "", "", "1 while the target takes messages."),
    ("sink", "spooled", _C, "", "", "Messages kept until the target has them."),
    ("sink", "acked", _C, "", "", "Messages that the target has."),
    ("sink", "spool_messages", _G, "", "", "Messages that the target has not."),
    ("sink", "spool_bytes", _G, "", "", "What they take on the disk."),
    ("sink", "spool_torn_bytes", _C, "", "", "Bytes at the end of a spool that a killed process left unfinished."),
    ("sink", "spool_disk_errors", _C, "", "", "How often the disk did not take a message."),
    ("sink", "frames_waiting", _G, "", "", "Frames that wait for their answer, to be drawn."),
    ("sink", "rows_waiting", _G, "", "", "Rows that wait to be written."),
    ("record", "notes", _C, "", "", "Notes taken down."),
    ("record", "notes_lost", _C, "", "", "Notes that never came."),
    ("record", "rows_refused", _C, "", "", "Rows of the wrong size."),
    ("record", "rows_unwritten", _C, "", "", "Rows that the disk did not take."),
    ("record", "dropped", _C, "failures", "reason", "How often the record could not be written."),
    ("router", "windows", _C, "", "", "Windows given to the pool of workers."),
    ("router", "answered", _C, "windows_answered", "", "Windows answered."),
    ("router", "requeued", _C, "windows_requeued", "", "Windows that a worker failed, and another got."),
    ("router", "dropped", _C, "windows_dropped", "reason", "Windows not answered, by reason."),
    ("router", "evicted", _C, "workers_evicted", "reason", "Workers given up."),
    ("router", "stale_results", _C, "", "", "Results for windows that the worker did not hold."),
    ("router", "limited", _C, "messages_limited", "reason", "Messages of devices over their limits."),
    ("router", "refused_keys", _C, "", "", "Handshakes refused: a key that is not authorized."),
    ("router", "sessions_replaced", _C, "", "", "Sessions ended because their device began another."),
    ("router", "edges_turned_away", _C, "", "", "Hellos refused: no worker has the edge's classes."),
    ("router", "frames_without_session", _C, "", "", "Frames of nobody."),
    ("router", "requests_without_session", _C, "", "", "Requests of nobody."),
    ("router", "requests_repeated", _C, "", "", "Requests that came twice."),
    ("router", "overdrawn", _C, "requests_overdrawn", "", "Requests beyond their credit."),
    ("router", "incomplete", _C, "requests_incomplete", "", "Requests whose frames never came."),
    ("router", "frames_missing", _C, "", "", "Frames asked for again."),
    ("router", "frames_evicted", _C, "", "", "Frames that left the cache to make room."),
    ("router", "frames_orphaned", _C, "", "", "Frames whose predecessors are missing."),
    ("router", "canary_windows", _C, "", "model", "Windows that the canary, or the others, answered."),
    ("router", "canary_failed", _C, "", "model", "Windows that a worker with this model failed."),
    ("router", "canary_compared", _C, "", "", "Windows that both models answered."),
    ("router", "canary_agreed", _C, "", "", "Of those, the ones with the same label."),
    ("router", "canary_late", _C, "", "", "Answers of the canary that nothing was left to compare with."),
    ("router", "canary_no_room", _C, "", "", "Windows that no canary had room for."),
    ("router", "canary_answer", _H, "canary_answer_seconds", "", "How long the canary took."),
    ("router", "old_answer", _H, "old_answer_seconds", "", "How long the other model took for the same."),
    ("router", "workers", _G, "", "", "Workers that are ready."),
    ("router", "edges", _G, "", "", "Edges connected."),
    ("router", "waiting", _G, "", "", "Windows that wait for a worker."),
    ("router", "held", _G, "", "", "Windows that workers hold."),
    ("router", "queued", _H, "queued_seconds", "", "How long a window waited for its worker."),
    ("router", "cache_bytes", _G, "", "", "Frames in the cache."),
    ("pool", "workers_started", _C, "", "", "Workers started."),
    ("pool", "workers_lost", _C, "", "", "Workers that ended though nobody had told them to."),
    ("pool", "scaled", _C, "", "to", "How often more workers, or fewer, were asked for."),
    ("pool", "workers_wanted", _G, "", "", "Workers that there should be."),
    ("pool", "workers_ready", _G, "", "", "Workers of the pool that do their work."),
    ("pool", "workers_starting", _G, "", "", "Workers that load their model, or wait for a place."),
    ("pool", "workers_draining", _G, "", "", "Workers that hand back what they hold."),
    ("worker", "jobs_done", _C, "", "", "Windows that the large model answered."),
    ("worker", "dropped", _C, "jobs_dropped", "reason", "Windows not answered, by reason."),
    ("worker", "handshakes_failed", _C, "", "", "How often worker and router did not come together."),
    ("worker", "batches", _C, "", "", "Batches inferred."),
    ("worker", "decoded", _G, "", "", "Windows that are decoded and wait for the model."),
    ("worker", "batch_size", _C, "batches_of", "jobs", "Batches, by how many windows shared one."),
    ("worker", "model", _H, "model_seconds", "", "The large model, for one batch."),
    ("worker", "job", _H, "job_seconds", "", "Decoding and the large model, for one window."),
    ("metrics", "scrapes", _C, "", "", "Times that /metrics was read."),
    ("metrics", "refused", _C, "requests_refused", "reason", "Requests that were not served."),
    ("trace", "events", _C, "", "", "Moments of sampled windows, as services said them."),
    ("trace", "spans", _C, "", "", "Spans exported."),
    ("trace", "spans_lost", _C, "", "reason", "Spans that the collector did not take, or whose end never came."),
    ("page", "viewers", _G, "", "", "Browsers that show the page."),
    ("page", "dropped", _C, "messages_not_shown", "reason", "What a slow browser did not get."),
    ("page", "refused", _C, "requests_refused", "reason", "Requests that were not served."),
    ("supervisor", "restarts", _C, "", "process", "How often a process had to be started again."),
    ("supervisor", "live", _G, "", "process", "0 where a process hangs: the graph should be started again."),
    ("supervisor", "ready", _G, "", "process", "1 while a process does its work."),
    ("supervisor", "silent_seconds", _G, "", "process", "Since a process's last sign of life."),
)  # fmt: skip

_FOUND = {(service, each.name): each for each in MEASURES for service in (each.services or ("",))}


def measure_of(service: str, name: str, kind: Kind, socket: bool = False) -> Measure:
    """What is known of a service's measure. `socket`: its labels name one, so that every service has the like."""
    # A service's own `sent` counts windows; a socket's counts messages.
    known = None if socket else _FOUND.get((service, name))
    general = _FOUND.get(("", name))
    if known is None and general is not None and socket == ("socket" in general.labels):
        known = general
    if known is not None and known.kind == kind:
        return known
    return Measure((service,), name, kind, f"{name}_seconds" if kind == "histogram" else name, "", "")


def markdown() -> str:
    """All of them as a table, for docs/metrics.md."""
    lines = ["| metric | kind | labels | |", "|---|---|---|---|"]
    for each in MEASURES:
        suffix = "_total" if each.kind == "counter" else ""
        name = "_".join(filter(None, ("clownfish", *each.services, each.metric))) + suffix
        own = [who for who in each.services if who in SEVERAL] if each.services else ["service"]
        labels = ", ".join(filter(None, [*own, each.labels]))
        lines.append(f"| `{name}` | {each.kind} | {labels} | {each.help} |")
    return "\n".join(lines) + "\n"


SEVERAL = ("worker", "sink")
"""Services of which there may be several processes: their name is a label."""

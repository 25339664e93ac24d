"""How Home Assistant is told of a stream: MQTT discovery (layer 1)."""

from __future__ import annotations

import re
from typing import Any

from clownfish import __version__
from clownfish.sinks.base import SinkContext


def discovery(prefix: str, base: str, context: SinkContext, stream: str) -> list[tuple[str, dict[str, Any]]]:
    """(topic, description) of each entity of a stream: what it shows, and whether it shows anything.

    `base`: the topic below which the edge's messages are. https://www.home-assistant.io/integrations/mqtt
    """
    edge = context.edge
    node = re.sub(r"[^A-Za-z0-9_-]", "_", f"{base}_{stream}")
    common = {
        "state_topic": f"{base}/{stream}/state",
        "json_attributes_topic": f"{base}/{stream}/state",
        "availability_topic": f"{base}/availability",
        "device": {
            "identifiers": [re.sub(r"[^A-Za-z0-9_-]", "_", base)],
            "name": f"Clownfish {edge}",
            "manufacturer": "Clownfish",
            "model": "edge",
            "sw_version": __version__,
        },
        "origin": {"name": "Clownfish", "sw_version": __version__},
    }
    label = {
        "name": f"{stream} activity",
        "unique_id": f"{node}_activity",
        "value_template": "{{ value_json.label }}",
        "icon": "mdi:motion-sensor",
        **common,
    }
    if context.classes:
        label |= {"device_class": "enum", "options": sorted({*context.classes, context.background} - {""})}
    active = {
        "name": f"{stream} active",
        "unique_id": f"{node}_active",
        "value_template": "{{ 'ON' if value_json.active else 'OFF' }}",
        "device_class": "occupancy",
        **common,
    }
    return [
        (f"{prefix}/sensor/{node}/activity/config", label),
        (f"{prefix}/binary_sensor/{node}/active/config", active),
    ]

"""Sinks: where answers and events go. Layer 1.

To add one: a file here with a class like `base.Sink`, a line below, and it rides tests/test_sinks.py.
"""

from clownfish.registry import Registry
from clownfish.sinks.base import Sink

SINKS: Registry[type[Sink]] = Registry(
    "sink",
    {
        "console": "clownfish.sinks.console:Console",
        "jsonl": "clownfish.sinks.jsonl:JsonLines",
        "kafka": "clownfish.sinks.kafka:Kafka",
        "mqtt": "clownfish.sinks.mqtt:Mqtt",
        "parquet": "clownfish.sinks.parquet:Parquet",
        "sqlite": "clownfish.sinks.sqlite:Sqlite",
        "video": "clownfish.sinks.video:Video",
        "webhook": "clownfish.sinks.webhook:Webhook",
    },
    extras={"kafka": "kafka", "mqtt": "mqtt", "parquet": "parquet", "video": "video"},
)

WATCHING = ("video",)
"""Sinks that are given a copy of live streams' frames (`base.Watching`)."""

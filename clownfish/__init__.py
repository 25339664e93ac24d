"""Clownfish: edge and cloud symbiosis for real-time video analytics.

The method is that of Nigade, Wang, Bal, "Clownfish: Edge and Cloud Symbiosis for Video Stream Analytics" (SEC 2020).
ARCHITECTURE.md is the way around this package; its layers are enforced by tests/test_layers.py.
"""

__version__ = "0.1.0"

"""Filter policies: which windows are worth sending to the cloud (§III-D). Layer 0.

To add one: a file here with a class like `base.FilterPolicy`, a line below, and it rides tests/test_filters.py.
"""

from clownfish.filters.base import FilterPolicy
from clownfish.registry import Registry

FILTERS: Registry[type[FilterPolicy]] = Registry(
    "filter policy",
    {
        "adaptive": "clownfish.filters.adaptive:Adaptive",
        "context_aware": "clownfish.filters.context_aware:ContextAware",
        "budget": "clownfish.filters.budget:Budget",
        "drift": "clownfish.filters.drift:Drift",
        "periodic": "clownfish.filters.periodic:Periodic",
        "always": "clownfish.filters.always:Always",
        "never": "clownfish.filters.never:Never",
    },
)

"""For all tests: what they say must not depend on how busy the machine is."""

from hypothesis import settings

settings.register_profile("clownfish", deadline=None)
settings.load_profile("clownfish")

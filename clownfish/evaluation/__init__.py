"""Offline evaluation (§VI): both models over a stream once, then any method replayed over what they said. No service
imports this."""

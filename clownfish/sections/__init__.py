"""The sections of a configuration, by what they are for (layer 1); `settings` puts them together."""

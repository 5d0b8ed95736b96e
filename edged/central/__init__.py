"""The city's central platform: topics, signed envelopes, policies."""

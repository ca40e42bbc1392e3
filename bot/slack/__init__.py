"""Kiku in Slack: what arrives goes through a durable inbox and leaves as one reply."""

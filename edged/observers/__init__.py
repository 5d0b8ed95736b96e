"""Observers see the daemon's steps and state and change neither: metrics, logs, /healthz."""

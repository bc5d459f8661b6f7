"""Listening, answering, stopping: what every server of ours does, one process or several."""

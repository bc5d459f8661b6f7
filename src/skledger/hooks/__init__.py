"""Where we listen; the only room that imports wrapt. Each module has `patch` and `unpatch`."""

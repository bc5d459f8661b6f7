"""What answers requests over HTTP: a model behind its signature."""

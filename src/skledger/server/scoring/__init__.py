"""One model behind its signature: bytes in, bytes out, and the paths that lead to it."""

"""What the interceptors that keep traffic share: request keys, the answer cache, recordings."""

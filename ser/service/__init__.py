"""The HTTP and WebSocket service, built on FastAPI."""

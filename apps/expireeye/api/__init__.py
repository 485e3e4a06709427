"""The JSON API and the WebSocket."""

"""The HTTP service: one process for curl, the chat page, OpenAI clients, MCP and Prometheus."""

"""The lake for MCP clients, at `/mcp`: the HTTP routes as tools and resources."""

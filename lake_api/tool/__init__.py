"""The tool definition that lets a model query the lake."""

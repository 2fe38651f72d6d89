"""Whether the service and its parts are up."""

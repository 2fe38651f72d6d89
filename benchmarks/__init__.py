"""Measurements of the product beside its peers and beside the bare engine."""

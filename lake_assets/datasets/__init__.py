"""Every dataset of the lake, one module per domain, each dataset declared once."""

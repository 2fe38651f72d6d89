"""What every route shares: the error shape, strict bodies, Host and Origin, docs, logs."""

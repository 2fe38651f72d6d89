"""How rows become objects in the bucket: schema, conformance, Parquet, S3. No Dagster here."""

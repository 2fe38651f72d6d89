"""`python -m tests.soak`: as many steps as asked for, on an S3 server and a Postgres of its own."""

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

from lake_api.stack.postgres import EmbeddedPostgres
from lake_api.stack.s3 import EmbeddedS3
from lake_assets.storage.bucket import ensure_bucket
from tests.conftest import boto3_client
from tests.soak.lake import Part, Soak


def main() -> None:
    """Print what was done; an invariant that does not hold ends it with its seed and step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    logging.disable()
    home = Path(tempfile.mkdtemp(prefix="soak-"))
    s3, database = EmbeddedS3(home / "s3").start(), EmbeddedPostgres(home / "postgres")
    location, server = s3.writer, database.start()
    try:
        ensure_bucket(boto3_client(location), location.bucket)
        part = Part(location=location, postgres_url=server.url, schema="soak")
        soak = Soak(part, seed=given.seed)
        for step in range(1, given.steps + 1):
            soak.step()
            if step % 20 == 0:
                sys.stderr.write(f"seed {given.seed}, {step:,} steps: {soak.counts}\n")
        sys.stdout.write(f"seed {given.seed}, {given.steps:,} steps held: {soak.counts}\n")
    finally:
        server.stop()
        database.discard()
        s3.stop()


if __name__ == "__main__":
    main()

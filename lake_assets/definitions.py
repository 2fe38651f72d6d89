"""What Dagster loads: every dataset of the catalogue, with this process's settings."""

import os

from lake_assets.catalog import load_catalog
from lake_assets.catalog.settings import check_lake_settings
from lake_assets.orchestration.build import build_defs

check_lake_settings(os.environ)
defs = build_defs(catalog=load_catalog(), env=os.environ)

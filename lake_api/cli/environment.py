"""The environment of a command, checked before the command does anything."""

import os

from lake_api.cli.failure import SettingRefused
from lake_api.settings import SettingsError, all_names, check_environment
from lake_assets.catalog import LakeLocation
from lake_assets.catalog.settings import check_names, platform_database_url


def require_known_settings() -> None:
    """Refuse an environment with a setting of the lake that nothing reads.

    Raises:
        SettingRefused: there is one; the message names it and the nearest that exists.
    """
    try:
        check_names(os.environ, all_names())
    except SettingsError as error:
        raise SettingRefused(str(error), hint="Unset it, or correct its name.") from error


def require_usable_settings() -> None:
    """Refuse what a part of the stack would end with later.

    Raises:
        SettingRefused: a value is not what its setting takes, or S3 of one's own has no reader.
    """
    try:
        check_environment(os.environ)
        platform_database_url(os.environ)
        if os.environ.get("MINIO_URL") or os.environ.get("MINIO_ENDPOINT"):
            LakeLocation.from_mapping(os.environ)
            LakeLocation.from_mapping(os.environ, reader=True)
    except SettingsError as error:
        raise SettingRefused(str(error), hint="README.md lists the settings.") from error

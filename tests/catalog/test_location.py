import pytest

from lake_assets.catalog import LakeLocation, LocationError

KEYS = {"MINIO_ACCESS_KEY": "writer", "MINIO_SECRET_KEY": "writer-secret"}


@pytest.mark.parametrize(
    ("env", "endpoint"),
    [
        ({"MINIO_URL": "https://s3.example.com"}, "https://s3.example.com"),
        ({"MINIO_URL": "https://s3.example.com/"}, "https://s3.example.com"),
        ({"MINIO_ENDPOINT": "minio:9000"}, "http://minio:9000"),
        ({"MINIO_ENDPOINT": "minio:9000", "MINIO_SECURE": "true"}, "https://minio:9000"),
        ({"MINIO_URL": "http://a:1", "MINIO_ENDPOINT": "b:2"}, "http://a:1"),
    ],
)
def test_the_endpoint_is_read_from_either_setting(env, endpoint):
    location = LakeLocation.from_mapping(env | KEYS)

    assert location.endpoint == endpoint
    assert location.is_plain_http == endpoint.startswith("http:")
    assert location.bucket == "ainative-lake"


def test_the_reader_has_keys_of_its_own_where_they_are_set():
    env = KEYS | {
        "MINIO_URL": "http://a:1",
        "LAKE_READER_ACCESS_KEY": "reader",
        "LAKE_READER_SECRET_KEY": "reader-secret",
    }

    assert LakeLocation.from_mapping(env, reader=True).access_key == "reader"
    assert LakeLocation.from_mapping(env).access_key == "writer"


@pytest.mark.parametrize(
    ("env", "names"),
    [
        (KEYS, "MINIO_URL"),
        (KEYS | {"MINIO_URL": "ftp://a"}, "MINIO_URL"),
        ({"MINIO_URL": "http://a:1"}, "MINIO_ACCESS_KEY"),
    ],
)
def test_what_is_missing_is_named(env, names):
    with pytest.raises(LocationError, match=names):
        LakeLocation.from_mapping(env)


def test_secrets_do_not_show():
    location = LakeLocation.from_mapping(KEYS | {"MINIO_URL": "http://a:1"})

    assert "writer" not in repr(location)

import os
import socket
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import httpx
import psutil
import pytest
from botocore.exceptions import ClientError

from lake_api.stack import s3 as s3_module
from lake_api.stack.certificates import Certificates, make_certificates
from lake_api.stack.ports import LOOPBACK
from lake_api.stack.s3 import EmbeddedS3, S3Server, weed_binary
from lake_assets.catalog import LakeLocation
from tests.conftest import boto3_client
from tests.stack.conftest import Eventually

KEYS = ("raw/music/plays/date=2026-11-21/data.parquet", "derived/x/_version.json", "exports/e.csv")


def refusal(call: Callable[..., Any], **arguments: Any) -> int:
    """The status that a call of the reader is refused with."""
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]
    return 200


@pytest.fixture(scope="module")
def filled(s3: S3Server) -> S3Server:
    """The server with one object below each prefix, and one outside of them."""
    writer = boto3_client(s3.writer)
    for key in (*KEYS, "private/secret.txt"):
        writer.put_object(Bucket=s3.writer.bucket, Key=key, Body=b"content")
    return s3


@pytest.mark.parametrize("key", KEYS)
def test_the_reader_gets_and_changes_nothing(filled: S3Server, key: str) -> None:
    reader, bucket = boto3_client(filled.reader), filled.reader.bucket
    assert reader.get_object(Bucket=bucket, Key=key)["Body"].read() == b"content"
    assert refusal(reader.put_object, Bucket=bucket, Key=key, Body=b"changed") == 403
    assert refusal(reader.delete_object, Bucket=bucket, Key=key) == 403
    assert refusal(reader.create_multipart_upload, Bucket=bucket, Key=key) == 403
    assert (
        refusal(reader.copy_object, Bucket=bucket, Key=f"{key}.copy", CopySource=f"{bucket}/{key}")
        == 403
    )
    many = reader.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}]})
    assert [error["Code"] for error in many["Errors"]] == ["AccessDenied"]
    assert reader.get_object(Bucket=bucket, Key=key)["Body"].read() == b"content"


def test_the_reader_lists_datasets_only(filled: S3Server) -> None:
    reader, bucket = boto3_client(filled.reader), filled.reader.bucket
    for prefix in ("raw/", "raw/music/plays/", "derived/"):
        assert reader.list_objects_v2(Bucket=bucket, Prefix=prefix)["KeyCount"] >= 1
    for prefix in ("", "exports/", "private/"):
        assert refusal(reader.list_objects_v2, Bucket=bucket, Prefix=prefix) == 403
    assert refusal(reader.get_object, Bucket=bucket, Key="private/secret.txt") == 403


def test_the_exporter_writes_below_exports_and_nowhere_else(filled: S3Server) -> None:
    exporter, bucket = boto3_client(filled.exporter), filled.exporter.bucket
    key = "exports/sql/a.csv"
    exporter.put_object(Bucket=bucket, Key=key, Body=b"rows")
    upload = exporter.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    exporter.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"x")
    exporter.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)
    assert exporter.get_object(Bucket=bucket, Key=key)["Body"].read() == b"rows"
    assert exporter.list_objects_v2(Bucket=bucket, Prefix="exports/sql/")["KeyCount"] == 1
    exporter.delete_object(Bucket=bucket, Key=key)
    for other in (KEYS[0], KEYS[1], "private/secret.txt"):
        assert refusal(exporter.get_object, Bucket=bucket, Key=other) == 403
        assert refusal(exporter.put_object, Bucket=bucket, Key=other, Body=b"changed") == 403
        assert refusal(exporter.delete_object, Bucket=bucket, Key=other) == 403
        assert refusal(exporter.create_multipart_upload, Bucket=bucket, Key=other) == 403
    for prefix in ("", "raw/", "derived/", "private/"):
        assert refusal(exporter.list_objects_v2, Bucket=bucket, Prefix=prefix) == 403
    assert refusal(exporter.delete_bucket, Bucket=bucket) == 403


def test_the_reader_changes_no_bucket(filled: S3Server) -> None:
    reader, bucket = boto3_client(filled.reader), filled.reader.bucket
    assert refusal(reader.delete_bucket_lifecycle, Bucket=bucket) == 403
    assert refusal(reader.create_bucket, Bucket="another") == 403
    assert refusal(reader.delete_bucket, Bucket=bucket) == 403


def test_nobody_else_gets_in(filled: S3Server) -> None:
    url = f"{filled.endpoint}/{filled.writer.bucket}/{KEYS[0]}"
    assert httpx.get(url, trust_env=False).status_code == 403
    stranger = boto3_client(replace(filled.writer, secret_key="guessed"))
    assert refusal(stranger.get_object, Bucket=filled.writer.bucket, Key=KEYS[0]) == 403


def test_the_bucket_has_its_lifecycle_rule(s3: S3Server) -> None:
    answer = boto3_client(s3.writer).get_bucket_lifecycle_configuration(Bucket=s3.writer.bucket)
    (rule,) = answer["Rules"]
    assert (rule["Filter"]["Prefix"], rule["Expiration"]["Days"]) == ("exports/", 7)


def test_every_port_is_on_loopback_and_none_serves_objects_without_a_key(filled: S3Server) -> None:
    listening = [
        connection.laddr
        for connection in psutil.Process(filled.child.pid).net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert {address.ip for address in listening} == {LOOPBACK}
    assert len(listening) == 10
    statuses: set[int] = set()
    for address in listening:
        for method, path in _INNER_REQUESTS:
            url = f"http://{LOOPBACK}:{address.port}{path.format(bucket=filled.writer.bucket)}"
            try:
                statuses.add(httpx.request(method, url, trust_env=False).status_code)
            except (httpx.RemoteProtocolError, httpx.ReadError):
                continue  # a gRPC port speaks no HTTP/1
    assert statuses <= {400, 401, 403, 404, 405}
    assert 404 in statuses


_INNER_REQUESTS = (
    *(("GET", f"/buckets/{{bucket}}/{KEYS[0]}"), ("GET", "/dir/assign"), ("GET", "/1,01")),
    *(("POST", "/buckets/{bucket}/new"), ("DELETE", f"/buckets/{{bucket}}/{KEYS[0]}")),
    *(("POST", "/submit"), ("POST", "/col/delete?collection={bucket}"), ("GET", "/vol/grow")),
    *(("DELETE", "/1,01"), ("POST", "/1,01"), ("GET", "/dir/lookup?volumeId=1")),
)

_GRPC_CALLS = (
    "/filer_pb.SeaweedFiler/ListEntries",
    "/filer_pb.SeaweedFiler/GetFilerConfiguration",
    "/master_pb.Seaweed/GetMasterConfiguration",
    "/volume_server_pb.VolumeServer/VolumeServerStatus",
    "/worker_pb.WorkerService/WorkerStream",
    "/iam_pb.SeaweedIdentityAccessManagement/ListUsers",
)


def grpc_codes(
    target: str, credentials: grpc.ChannelCredentials | None = None
) -> set[grpc.StatusCode]:
    """How the calls end at one port or socket."""
    codes: set[grpc.StatusCode] = set()
    # The server's sockets have no host name that its certificate could be for.
    options = (("grpc.ssl_target_name_override", "localhost"),) if credentials else ()
    with (
        grpc.secure_channel(target, credentials, options)
        if credentials
        else grpc.insecure_channel(target)
    ) as channel:
        for method in _GRPC_CALLS:
            try:
                channel.unary_unary(method)(b"", timeout=10.0)
            except grpc.RpcError as error:
                codes.add(error.code())  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType] - untyped
            else:
                codes.add(grpc.StatusCode.OK)
    return codes


def grpc_targets(server: S3Server) -> set[str]:
    """Every port and socket that the server listens on."""
    process = psutil.Process(server.child.pid)
    ports = {
        f"{LOOPBACK}:{one.laddr.port}"
        for one in process.net_connections(kind="tcp")
        if one.status == psutil.CONN_LISTEN
    }
    sockets = {
        f"unix:{server.child.launch.cwd / str(one.laddr)}"
        for one in process.net_connections(kind="unix")
        if one.laddr
    }
    assert len(sockets) >= 7
    return ports | sockets


def channel_credentials(own: Certificates, *, authority: Certificates) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        root_certificates=authority.authority.read_bytes(),
        private_key=own.key.read_bytes(),
        certificate_chain=own.certificate.read_bytes(),
    )


def test_no_grpc_port_or_socket_answers_without_the_certificate(
    filled: S3Server, tmp_path: Path
) -> None:
    directory = filled.child.launch.cwd
    own = Certificates(
        authority=directory / "inner-ca.pem",
        certificate=directory / "inner.pem",
        key=directory / "inner-key.pem",
    )
    strangers = make_certificates(tmp_path)
    targets = grpc_targets(filled)
    # Refused in the handshake: not one call reaches a service, and that none knows one is no proof.
    closed = {grpc.StatusCode.UNAVAILABLE}
    assert {target: grpc_codes(target) for target in targets} == dict.fromkeys(targets, closed)
    for credentials in (
        grpc.ssl_channel_credentials(own.authority.read_bytes()),
        channel_credentials(strangers, authority=own),
    ):
        answers = {target: grpc_codes(target, credentials) for target in targets}
        assert answers == dict.fromkeys(targets, closed)
    insider = channel_credentials(own, authority=own)
    reached = [target for target in targets if grpc.StatusCode.OK in grpc_codes(target, insider)]
    # The calls are right ones: with the certificate they answer, at ports and at sockets.
    assert len([target for target in reached if target.startswith("unix:")]) >= 3
    assert len([target for target in reached if not target.startswith("unix:")]) >= 3


def test_the_worker_that_expires_objects_is_connected(
    filled: S3Server, eventually: Eventually
) -> None:
    process = psutil.Process(filled.child.pid)

    def connected() -> bool:
        # One entry is the socket that listens; each further one is a connection.
        paths = [str(one.laddr) for one in process.net_connections(kind="unix")]
        return len([path for path in paths if "-admin-grpc-" in path]) > 1

    assert eventually(connected)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "s3"


def test_the_bucket_is_there_when_the_server_is_ready(directory: Path) -> None:
    server = EmbeddedS3(directory).start()
    try:
        assert object_keys(server.writer) == []
    finally:
        server.stop()


def object_keys(location: LakeLocation) -> list[str]:
    listed = boto3_client(location).list_objects_v2(Bucket=location.bucket)
    return [entry["Key"] for entry in listed.get("Contents", ())]


def test_objects_and_keys_survive_a_restart_on_other_ports(directory: Path, s3: S3Server) -> None:
    first = EmbeddedS3(directory).start()
    # The session's server has the preferred port, or somebody else has.
    assert first.endpoint != s3.endpoint
    try:
        writer = boto3_client(first.writer)
        body = os.urandom(9_000_000)
        writer.put_object(Bucket=first.writer.bucket, Key="raw/large", Body=body)
    finally:
        first.stop()
    assert first.child.exit_code is not None

    second = EmbeddedS3(directory).start()
    try:
        assert second.writer == replace(first.writer, endpoint=second.endpoint)
        found = boto3_client(second.reader).get_object(Bucket=second.reader.bucket, Key="raw/large")
        assert found["Body"].read() == body
    finally:
        second.stop()


def test_a_killed_server_keeps_what_it_had_answered(
    directory: Path, eventually: Eventually, is_gone: Callable[[int], bool]
) -> None:
    first = EmbeddedS3(directory).start()
    writer = boto3_client(first.writer)
    keys = [f"raw/part-{number:02}" for number in range(20)]
    for key in keys:
        writer.put_object(Bucket=first.writer.bucket, Key=key, Body=b"kept")
    psutil.Process(first.child.pid).kill()
    assert eventually(lambda: is_gone(first.child.pid))
    first.stop()

    second = EmbeddedS3(directory).start()
    try:
        assert object_keys(second.writer) == keys
    finally:
        second.stop()


def test_secrets_are_for_the_owner_only_and_a_new_directory_is_small(directory: Path) -> None:
    server = EmbeddedS3(directory).start()
    server.stop()
    private = [
        *(directory / "identities.json", directory / "inner-key.pem"),
        *(*directory.glob("*.secret"), *directory.glob("*.log")),
    ]
    assert len(private) == 10
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    used = sum(path.stat().st_blocks * 512 for path in directory.rglob("*"))
    assert used < 2_000_000
    assert not any(path.exists() for path in server.child.launch.leftovers)


def test_the_program_comes_from_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert weed_binary().name == "weed"


@pytest.mark.parametrize(("kind", "service"), [("http", "filer"), ("grpc", "master")])
def test_an_inner_port_that_somebody_took_meanwhile_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, service: str
) -> None:
    real, held = s3_module._choose_ports, list[socket.socket]()

    def choose(port: int) -> Any:
        ports = real(port)
        if not held:
            held.append(socket.create_server((LOOPBACK, getattr(ports, kind)[service])))
        return ports

    monkeypatch.setattr(s3_module, "_choose_ports", choose)
    server = EmbeddedS3(tmp_path / "s3").start()
    try:
        assert boto3_client(server.writer).list_objects_v2(Bucket=server.writer.bucket)["Name"]
    finally:
        server.stop()
        held[0].close()

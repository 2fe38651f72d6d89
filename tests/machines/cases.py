"""The cases, declared.

Belongs here: what is different in each. Does not belong here: how a visit goes (`visit`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.machines.places import (
    Place,
    bare_debian,
    behind_a_link,
    below,
    in_home_of_root,
    on_another_file_system,
    private,
    taken_ports,
)

_CHECKOUT = below("checkout")
DEAD = "http://127.0.0.1:9"
DEEP = "/".join(["a-folder-with-a-long-name-of-40-letters-"] * 5)
MARKS = "file of #1, o'clock & (co); ~x"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One machine. `wrap` stands before the commands, `env` is added, `without` is taken away.

    With `install` the installation sees the variables too; else they begin with the visit. A
    `fresh` one does not take over what the base has installed, but installs all by itself.
    With `again`, the lake is started once more and has what it had.
    """

    name: str
    place: Callable[[Path], Place] = _CHECKOUT
    env: Mapping[str, str] = field(default_factory=dict)
    without: Sequence[str] = ()
    wrap: Sequence[str] = ()
    prelude: str = ""
    owner: tuple[int, int] | None = None
    closed: bool = False
    install: bool = False
    python: str = ""
    fresh: bool = False
    needs: Sequence[str] = ()
    root_only: bool = False
    busy: int = 0
    full: bool = False
    again: bool = False


def _proxies(*names: str, value: str = DEAD, **more: str) -> dict[str, str]:
    return dict.fromkeys(names, value) | more


CASES = (
    # where it lies
    Case(name="below /root", place=in_home_of_root, root_only=True, full=True),
    Case(name="a private temp folder", place=private, again=True),
    Case(name="a path with spaces", place=below("a check out")),
    Case(name="a path with letters of others", place=below("Größe-数据-é")),
    Case(name="a path with marks", place=below(MARKS)),
    Case(name="200 characters deep", place=below(DEEP)),
    Case(name="behind a symbolic link", place=behind_a_link),
    Case(name="another file system than temp", place=on_another_file_system),
    Case(name="TMPDIR of 100 characters", env={"TMPDIR": "{long}"}),
    Case(name="TMPDIR that is not there", env={"TMPDIR": "/nowhere/at/all"}),
    Case(name="umask 077", prelude="umask 077;", closed=True),
    Case(name="HOME unset", without=("HOME",)),
    Case(name="HOME not writable", env={"HOME": "/proc"}),
    # what the environment says
    Case(
        name="proxies in capitals",
        env=_proxies("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"),
    ),
    Case(
        name="proxies in small letters",
        env=_proxies("http_proxy", "https_proxy", "all_proxy", "grpc_proxy"),
    ),
    Case(
        name="proxies, NO_PROXY for others",
        env=_proxies(
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "http_proxy",
            NO_PROXY=".corp.example,10.0.0.0/8",
            no_proxy="intranet",
            no_grpc_proxy="intranet",
        ),
    ),
    Case(name="a SOCKS proxy for all", env=_proxies("ALL_PROXY", value="socks5h://127.0.0.1:9")),
    Case(name="LANG=C", env={"LANG": "C"}, without=("LC_ALL",)),
    Case(name="LC_ALL=POSIX", env={"LC_ALL": "POSIX"}),
    Case(
        name="no locale, ASCII output",
        without=("LANG", "LC_ALL", "LC_CTYPE"),
        env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ),
    Case(name="PYTHONPATH with other modules", env={"PYTHONPATH": "{junk}"}, install=True),
    Case(
        name="odd settings of Python",
        env={
            "PYTHONSAFEPATH": "1",
            "PYTHONWARNINGS": "error",
            "PYTHONOPTIMIZE": "2",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONNOUSERSITE": "",
        },
        install=True,
    ),
    # Only make can take this one away: no Python starts with it, our command's neither.
    Case(
        name="PYTHONHOME of another Python",
        env={"PYTHONHOME": "/nowhere"},
        install=True,
        full=True,
    ),
    Case(
        name="odd settings of pip",
        env={
            "PIP_TARGET": "/nowhere",
            "PIP_USER": "1",
            "PIP_PREFIX": "/nowhere",
            "PIP_REQUIRE_VIRTUALENV": "1",
            "PIP_REQUIRE_HASHES": "1",
            "PIP_NO_BINARY": ":all:",
            "PIP_DRY_RUN": "1",
        },
        install=True,
    ),
    Case(
        name="an active conda",
        env={"CONDA_PREFIX": "{conda}", "CONDA_DEFAULT_ENV": "base", "PATH": "{conda}/bin:{PATH}"},
        install=True,
    ),
    Case(
        name="another active environment",
        env={"VIRTUAL_ENV": "{conda}", "PATH": "{conda}/bin:{PATH}"},
        install=True,
    ),
    Case(name="TZ far east", env={"TZ": "Pacific/Kiritimati"}),
    Case(name="TZ far west", env={"TZ": "Pacific/Pago_Pago"}),
    Case(name="256 open files", prelude="ulimit -Sn 256;"),
    Case(name="512 open files, and no more", prelude="ulimit -n 512;"),
    Case(
        name="somebody's AWS",
        env={
            "AWS_PROFILE": "not-there",
            "AWS_SESSION_TOKEN": "not-ours",
            "AWS_ACCESS_KEY_ID": "not-ours",
            "AWS_SECRET_ACCESS_KEY": "not-ours",
            "AWS_ENDPOINT_URL": DEAD,
            "AWS_ENDPOINT_URL_S3": DEAD,
            "AWS_REGION": "eu-central-1",
        },
    ),
    Case(name="somebody's Dagster", env={"DAGSTER_HOME": "/nowhere"}),
    Case(
        name="somebody's Postgres",
        env={
            "PGHOST": "db.corp.example",
            "PGHOSTADDR": "10.1.2.3",
            "PGPORT": "6543",
            "PGSSLMODE": "verify-full",
            "PGSERVICE": "corp",
            "PGOPTIONS": "-c search_path=corp",
            "PGDATA": "/nowhere",
            "PGSERVER_POSTGRES_VERSION": "16",
        },
    ),
    # ports
    Case(name="all ports are taken", place=taken_ports, again=True),
    Case(
        name="without IPv6",
        wrap=("unshare", "--net", "sh", "-c"),
        prelude="ip link set lo up 2>/dev/null || ifconfig lo up;"
        " echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6;"
        " echo 1 > /proc/sys/net/ipv6/conf/lo/disable_ipv6;",
        root_only=True,
    ),
    # who runs it
    Case(name="another user", owner=(54320, 54320), closed=True, root_only=True),
    Case(
        name="a user id without a name",
        owner=(54321, 54321),
        env={"HOME": "/"},
        without=("USER", "LOGNAME"),
        closed=True,
        root_only=True,
    ),
    Case(name="Python 3.12", python="python3.12", fresh=True),
    Case(name="Python 3.13", python="python3.13", fresh=True),
    Case(name="Python 3.14", python="python3.14", fresh=True),
    Case(
        name="a bare Debian",
        place=bare_debian,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"},
        without=("LANG", "LC_ALL"),
        install=True,
        fresh=True,
        needs=("debootstrap", "chroot", "unshare"),
        root_only=True,
    ),
    # what else runs
    Case(name="three busy loops beside it", busy=3, full=True),
)

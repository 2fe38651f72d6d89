"""What the environment of whoever starts the lake may say to its processes.

Belongs here: which variables reach a process of the project, and those that it always gets.
Does not belong here: the project's own settings (`lake_api.settings`, `supervisor`).

Proxies: parts find each other on the loopback interface, which no proxy can reach, so that every
process gets a `NO_PROXY` with loopback in it; outside sources still go through the proxy. Python,
AWS and libpq read variables that mean some other program of the user, and would change the
interpreter, the keys or the server of ours: those are left out.
"""

import os
import sys
import warnings
from collections.abc import Mapping, MutableMapping

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")
# gRPC prefers a name of its own, and reads the small letters only.
_NO_PROXY = ("NO_PROXY", "no_proxy")
_NO_PROXY_OF_GRPC = ("no_grpc_proxy",)
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
PROXY_NAMES = (*_PROXIES, *_NO_PROXY)
_KEPT_OF_PYTHON = frozenset({"PYTHONPYCACHEPREFIX", "PYTHONFAULTHANDLER", "PYTHONHASHSEED"})
_KEPT_OF_AWS = frozenset({"AWS_CA_BUNDLE"})
_OPEN_FILES = 65_536


def without_foreign(env: Mapping[str, str]) -> dict[str, str]:
    """`env` without what is meant for other programs than ours.

    Variables of libpq stay where `PLATFORM_DATABASE_URL` names a server of the user's own: its
    password or certificate may be among them.
    """
    has_own_server = bool(env.get("PLATFORM_DATABASE_URL", "").strip())
    return {
        name: value for name, value in env.items() if not _is_foreign(name, libpq=has_own_server)
    }


def _is_foreign(name: str, *, libpq: bool) -> bool:
    if name.startswith("PYTHON"):
        return name not in _KEPT_OF_PYTHON
    if name.startswith("AWS_"):
        return name not in _KEPT_OF_AWS
    return name.startswith("PG") and not libpq


def with_direct_loopback(env: Mapping[str, str]) -> dict[str, str]:
    """`env` with loopback in `NO_PROXY`, in both spellings."""
    return {**env, **_no_proxy(env)}


def _no_proxy(env: Mapping[str, str]) -> dict[str, str]:
    names = (*_NO_PROXY, *(name for name in _NO_PROXY_OF_GRPC if name in env))
    # One spelling alone may be set; both count for every client then.
    given = [one.strip() for name in _NO_PROXY for one in env.get(name, "").split(",")]
    known = list(dict.fromkeys(one for one in given if one))
    if "*" in known:
        return dict.fromkeys(names, "*")
    known += [one for one in LOOPBACK_NAMES if one not in known]
    return dict.fromkeys(names, ",".join(known))


def prepare_process(env: MutableMapping[str, str] = os.environ) -> None:
    """Make this process one that only the project's own settings rule, and those of the network.

    To be called before anything else of a command is imported: modules in `PYTHONPATH` would
    shadow installed ones.
    """
    search_path = env.get("PYTHONPATH", "")
    for folder in filter(None, search_path.split(os.pathsep)):
        sys.path[:] = [one for one in sys.path if os.path.abspath(one) != os.path.abspath(folder)]
    if "PYTHONWARNINGS" in env:
        warnings.resetwarnings()
        warnings.simplefilter("ignore")
    clean = with_direct_loopback(without_foreign(env))
    for name in set(env) - set(clean):
        del env[name]
    env.update(clean)
    _raise_open_files()


def _raise_open_files() -> None:
    """Take as many open files as the system allows: macOS gives 256 to who does not ask."""
    import resource  # noqa: PLC0415 - not on every system

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

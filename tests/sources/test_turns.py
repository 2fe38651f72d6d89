from pathlib import Path

import httpx
import pytest

from lake_assets.sources import config
from lake_assets.sources.client import http_source
from lake_assets.sources.http import HttpPolicy, HttpSource
from lake_assets.sources.turns import own_turns, shared_turns, turns_of


def test_a_turn_is_now_or_after_the_one_before():
    take = own_turns()

    assert [take("a", 10.0, 0.5), take("a", 10.1, 0.5), take("b", 10.1, 0.5)] == [10.0, 10.5, 10.1]
    assert take("a", 20.0, 0.5) == 20.0, "time that nobody used is not saved up"


def test_processes_that_share_a_folder_share_turns(tmp_path):
    one, other = shared_turns(tmp_path), shared_turns(tmp_path)

    turns = [one("sec", 10.0, 0.125), other("sec", 10.0, 0.125), one("sec", 10.0, 0.125)]

    assert turns == [10.0, 10.125, 10.25]
    assert one("127.0.0.1:80/x", 10.0, 1) == 10.0


@pytest.mark.parametrize("left", ["", "1.5 s", "1e9", "-7"])
def test_what_is_no_turn_of_this_boot_is_ignored(tmp_path, left):
    (tmp_path / "sec.turn").write_text(left)

    assert shared_turns(tmp_path)("sec", 10.0, 0.5) == 10.0
    assert shared_turns(tmp_path)("sec", 10.0, 0.5) == 10.5


def test_runs_of_one_instance_share_turns(tmp_path):
    env = {"DAGSTER_HOME": str(tmp_path)}

    turns_of(env)("sec", 10.0, 0.5)

    assert turns_of(env)("sec", 10.0, 0.5) == 10.5
    assert turns_of({})("sec", 10.0, 0.5) == 10.0
    assert [path.name for path in Path(tmp_path / "turns").iterdir()] == ["sec.turn"]


@pytest.mark.parametrize(("queue", "pauses"), [("", []), ("all", [0.5])])
def test_hosts_of_one_queue_wait_for_each_other(queue, pauses):
    slept: list[float] = []
    http = HttpSource(
        policy=HttpPolicy(requests_per_s=2),
        transport=httpx.MockTransport(lambda _: httpx.Response(200, json={})),
        sleep=slept.append,
        monotonic=lambda: 10.0,
        queue=queue,
    )

    for host in ("one", "two"):
        http.get_json(f"https://{host}.test/", into=dict[str, str])

    assert slept == pauses


def test_the_sec_counts_its_hosts_together_and_others_do_not():
    assert http_source(config.SEC, {"SEC_USER_AGENT": "a@b.example"}).queue == "sec"
    assert http_source(config.EDD, {}).queue == ""

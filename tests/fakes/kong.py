"""Two Kong nodes on one server, each with its metrics page under its own path."""

from collections.abc import Mapping
from datetime import date

from tests.fakes.base import TODAY, Fake, Reply, Request

TOKEN = "fakeKongAdminToken5Qz"
CONSUMER = "ann.visitor@example.com"
PER_DAY = 1_000


def page(served: int) -> str:
    """The metrics page of a node that served so many requests since it started."""
    http = 'service="mcp",route="mcp-tools"'
    who = f'workspace="default",consumer="{CONSUMER}"'
    none = 'workspace="default",consumer=""'
    node = 'node_id="849373c5-45c1-4c1d-b595-fdeaea6daed8"'
    return f"""\
# HELP kong_bandwidth_bytes Total bandwidth (ingress/egress) throughput in bytes
# TYPE kong_bandwidth_bytes counter
kong_bandwidth_bytes{{{http},direction="egress",workspace="default",consumer="agent"}} {served}000
kong_bandwidth_bytes{{{http},direction="ingress",{none}}} {served}
# HELP kong_datastore_reachable Datastore reachable from Kong, 0 is unreachable
# TYPE kong_datastore_reachable gauge
kong_datastore_reachable 1
# HELP kong_http_requests_total HTTP status codes per consumer/service/route in Kong
# TYPE kong_http_requests_total counter
kong_http_requests_total{{{http},code="200",source="service",{who}}} {served}
kong_http_requests_total{{{http},code="429",source="exit",{none}}} 3
# HELP kong_kong_latency_ms Latency added by Kong and enabled plugins
# TYPE kong_kong_latency_ms histogram
kong_kong_latency_ms_bucket{{{http},workspace="default",le="5"}} {served - 1}
kong_kong_latency_ms_bucket{{{http},workspace="default",le="+Inf"}} {served}
kong_kong_latency_ms_count{{{http},workspace="default"}} {served}
kong_kong_latency_ms_sum{{{http},workspace="default"}} {served}.5
# HELP kong_nginx_metric_errors_total Number of nginx-lua-prometheus errors
# TYPE kong_nginx_metric_errors_total counter
kong_nginx_metric_errors_total 0
# HELP kong_nginx_requests_total Total number of requests
# TYPE kong_nginx_requests_total gauge
kong_nginx_requests_total{{{node},subsystem="http"}} {served}
# HELP kong_node_info Kong Node metadata information
# TYPE kong_node_info gauge
kong_node_info{{{node},version="3.9.0"}} 1
"""


class FakeKong(Fake):
    """`served` holds what each node counted; the nodes are at `/a` and `/b`."""

    name = "kong"

    def __init__(self, today: date = TODAY) -> None:
        super().__init__(today)
        self.served = {"a": today.toordinal() % 90 * PER_DAY + 500, "b": 500}

    @property
    def env(self) -> Mapping[str, str]:
        return {
            "KONG_BASE_URL": ", ".join(f"{self.url}/{node}/" for node in self.served),
            "KONG_ADMIN_TOKEN": TOKEN,
            "KONG_REQUESTS_PER_S": "1000",
        }

    def answer(self, request: Request) -> Reply:
        node, _, rest = request.path.strip("/").partition("/")
        headers = {"content-type": "text/plain; charset=UTF-8"}
        if request.headers.get("kong-admin-token") != TOKEN:
            return Reply(status=401, headers=headers, body=b"Invalid RBAC credentials")
        if node not in self.served or rest != "metrics":
            return Reply(status=404, headers=headers, body=b"Not found")
        return Reply(headers=headers, body=page(self.served[node]).encode())

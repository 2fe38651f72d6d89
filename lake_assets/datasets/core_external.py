"""The platform's outside sources: package downloads, GitHub, Stripe and the Kong gateway.

Belongs here: members of the platform's groups that are collected through an API.
Does not belong here: members read from the platform database, or sources that tell about the
world outside the company (`external_*`).
"""

from lake_assets.catalog import Dataset, Schedule, external

_CORE = "Core Platform"

DATASETS: tuple[Dataset, ...] = (
    external(
        "package_stats",
        "npm and PyPI download counts; one row per package and day.",
        group=_CORE,
        upstream="npm-downloads+pypistats",
        pool="package-registries",
        collect="lake_assets.sources.npm_pypi:COLLECTOR",
        tasks="lake.collect_package_stats",
        watermark="metric_date",
        schedule=Schedule(cron="0 6 * * *", newest_lag_d=1, oldest_lag_d=7),
        key="registry package",
        notes=(
            "The partition is the day of the downloads. Counts arrive late, so the last 7 days are "
            "written again every day. A missing row is not known yet, or on PyPI none at all. PyPI "
            "keeps 180 days and npm 18 months: older days can't be filled. Build machines download "
            "too, and npm and PyPI count differently: compare a package with itself only."
        ),
        columns="""
            registry                string!     Where the package is published. {npm|pypi}
            package                 string!     Name of the package, with its scope on npm.
            metric_date             date!       UTC day of the downloads; the partition's day.
            downloads               int64!      Downloads of the day; on PyPI without known mirrors.
            downloads_with_mirrors  int64       PyPI only: with mirrors; contains `downloads`.
            source                  string!     The API that was asked, such as npm or pypistats.
            collected_at            timestamp!  When the count was read.
        """,
    ),
    external(
        "github_events",
        "Multi-repo GitHub activity; one row per event.",
        group=_CORE,
        upstream="github-rest",
        pool="github",
        collect="lake_assets.sources.github:COLLECTOR",
        tasks="lake.collect_github_events",
        watermark="created_at",
        schedule=Schedule(cron="0 8 * * *", newest_lag_d=1, oldest_lag_d=1, polls="20 * * * *"),
        key="event_id",
        notes=(
            "Day D is whole from 08:00 UTC of the next day on, because GitHub shows events up to 6 "
            "hours late. It shows at most 300 events and 30 days per repository, so its feed is "
            "read every hour and joined with what is there; the running day is incomplete, and so "
            "is a day with more than 300 events in an hour. Older days can't be filled. Written "
            "again, a day loses nothing. Texts of people and e-mail addresses are taken out of `payload`; logins are "
            "stored. Push events carry no commits."
        ),
        columns="""
            event_id      string!     GitHub's id of the event.
            event_type    string!     GitHub's event type, such as PushEvent or IssuesEvent.
            repo          string!     The repository, as owner/name at that time.
            repo_id       int64       GitHub's id of it; survives a rename.
            actor_login   string      Login of the account that acted.
            actor_id      int64       GitHub's id of that account; survives a rename.
            org_login     string      Organisation that owns the repository; null without one.
            action        string      What was done, such as opened or closed; null where none applies.
            ref           string      Branch or tag, as in refs/heads/main; null where none applies.
            head_sha      string      Commit that a push or pull request points at; null otherwise.
            number        int64       Number of the issue or pull request; null otherwise.
            is_public     bool!       Whether everyone can see the event.
            payload       json        The event's own object, without texts; its fields depend on `event_type`.
            created_at    timestamp!  When it happened.
            collected_at  timestamp!  When it was read.
        """,
    ),
    external(
        "stripe_events",
        "Stripe payment events; one row per event.",
        group=_CORE,
        upstream="stripe-events",
        pool="stripe",
        collect="lake_assets.sources.stripe:COLLECTOR",
        tasks="lake.export_stripe_events",
        watermark="created_at",
        schedule=Schedule(cron="30 0 * * *", newest_lag_d=1, oldest_lag_d=1),
        key="event_id",
        notes=(
            "Stripe keeps events for 30 days: older days can't be filled. Amounts are in the minor "
            "unit of the currency: cents for usd, whole yen for jpy. One payment makes several "
            "events: count one `event_type`, never sum all. Filter on `livemode`, or test payments "
            "count as well. `data_object` has the form of `api_version`. Stored of it are numbers, "
            "truths, ids and codes; names, addresses, cards, bank accounts, metadata, links and "
            "free texts are left out, also of `previous_attributes`."
        ),
        columns="""
            event_id             string!     Stripe's id, evt_...
            event_type           string!     Stripe's type, such as charge.succeeded or invoice.paid.
            api_version          string      API version that `data_object` has the form of.
            livemode             bool!       True for real money, false for test mode.
            account              string      Connected account that it happened on; null for our own.
            object_id            string      Id of the object that changed, such as ch_... or in_...
            object_type          string      Kind of that object, such as charge or invoice.
            customer_id          string      Customer that it belongs to, cus_...; null without one.
            amount_minor         int64       Main amount of the object, minor unit; null without one.
            currency             string      Lower-case ISO 4217 code of `amount_minor`.
            object_status        string      Status of the object after the change, such as succeeded.
            request_id           string      API request that caused it; null when Stripe itself did.
            idempotency_key      string      Idempotency key of that request, masked; null without one.
            pending_webhooks     int64       Webhooks that were not yet delivered when it was read.
            data_object          json        The object after the change, without personal data.
            previous_attributes  json        Former values of what changed; only on updates.
            created_at           timestamp!  When it happened.
            collected_at         timestamp!  When it was read.
        """,
    ),
    external(
        "platform/kong_metrics",
        "Kong gateway metrics; one row per sample and scrape.",
        group="Platform Intelligence Layer",
        upstream="kong-prometheus",
        pool="kong",
        collect="lake_assets.sources.kong:COLLECTOR",
        tasks="lake.export_kong_metrics",
        watermark="scraped_at",
        # Ten minutes for a late start and for nodes that answer slowly: at midnight the day is gone.
        schedule=Schedule(cron="50 23 * * *"),
        notes=(
            "One scrape at 23:50 UTC. Counters and histograms are cumulative per node and fall to "
            "0 when it restarts: a day's requests are the difference between the scrapes of two "
            "days, per `node_url`, `metric` and `labels`; after a decrease, which is a restart, it "
            "is the later value alone. The metric named up is 1 for a node that answered and 0 for "
            "one that did not, whose other rows are missing. A histogram gives `_bucket`, `_sum` "
            "and `_count` rows, and its buckets contain each other. A past day can't be scraped. "
            "Consumers named by an e-mail address are stored as its SHA-256. For single requests "
            "use `mcp_request_logs`."
        ),
        columns="""
            node_url      string!     The Kong node that was scraped.
            metric        string!     Name of the sample, such as kong_http_requests_total.
            metric_type   string!     How to read it. {counter|gauge|histogram|summary|unknown}
            service       string      Kong service; null where the sample has none.
            route         string      Kong route; null where the sample has none.
            consumer      string      Kong consumer; null where the sample has none.
            workspace     string      Kong workspace; null where the sample has none.
            status_code   string      HTTP status code of request counters; null otherwise.
            source        string      Who made the answer, as Kong labels it; null otherwise.
            direction     string      Way of the bytes in bandwidth counters; null otherwise.
            bucket_le     float64     Upper bound of a histogram bucket; null for other samples.
            sample_value  float64!    Value of the sample, as exposed.
            labels        json!       All labels of the sample, as an object.
            scraped_at    timestamp!  When the node was scraped.
        """,
    ),
)

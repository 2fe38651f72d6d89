"""The product in use: onboarding, clicks, search, coding, video, messages sent, planning.

Belongs here: the datasets of the group "Platform Extended" that are about what people do in the
product, what the product sends them, and how its makers plan.
Does not belong here: calls of models (`platform_extended_models`), what agents did
(`platform_extended_agents`).
"""

from lake_assets.catalog import Dataset, event, snapshot

_GROUP = "Platform Extended"

DATASETS: tuple[Dataset, ...] = (
    event(
        "platform/user_onboarding",
        "User onboarding funnels; one row per funnel step event.",
        group=_GROUP,
        table="user_onboarding_events",
        tasks="lake.export_user_onboarding",
        key="event_id",
        proposed=True,
        notes=(
            "For a funnel count distinct `user_id` per `step_index` over all days, since people "
            "come back later; one step may have several events."
        ),
        columns="""
            event_id         string!     One id per event.
            user_id          string!
            org_id           string      The organisation; null until the user has joined one.
            funnel           string!     Name of the funnel, such as developer_signup.
            step             string!     Name of the step, such as create_api_key.
            step_index       int64!      Place of the step in its funnel, from 1.
            step_status      string!     What happened. {started|completed|skipped|abandoned}
            time_in_step_ms  int64       Time spent in the step, ms; null when it was just started.
            source           string      Where the user came from, such as organic or referral.
            utm_campaign     string      Campaign tag of the first visit; null when none.
            properties       json
            created_at       timestamp!
        """,
    ),
    event(
        "platform/product_events",
        "Product analytics events; one row per event.",
        group=_GROUP,
        table="product_events",
        tasks="lake.export_product_events",
        key="event_id",
        proposed=True,
        notes=(
            "People before sign-in have only `anonymous_id`: count "
            "`coalesce(user_id, anonymous_id)` for visitors."
        ),
        columns="""
            event_id      string!     One id per event.
            event_name    string!     What happened, as object_verb, such as project_created.
            user_id       string      The user; null before sign-in.
            anonymous_id  string
            session_id    string      The visit that it is part of.
            org_id        string
            page_url      string      URL of the page, without the query string.
            referrer      string
            device_type   string      {desktop|mobile|tablet}
            country       string
            app_version   string      Version of the app or site that sent it.
            properties    json
            created_at    timestamp!
        """,
    ),
    event(
        "platform/search_queries",
        "Search query logs; one row per query.",
        group=_GROUP,
        table="search_queries",
        tasks="lake.export_search_queries",
        key="query_id",
        proposed=True,
        notes="Queries without a click have no `clicked_rank`; a mean of it covers clicks only.",
        columns="""
            query_id      string!     One id per query.
            user_id       string      The user; null before sign-in.
            org_id        string
            session_id    string      The visit that it is part of.
            surface       string!     Where it was asked. {web|docs|api|cli|marketplace}
            query_text    string!     What was searched for, as it was typed.
            search_type   string!     How it was searched. {keyword|semantic|hybrid}
            result_count  int64!      Results found.
            clicked_rank  int64       Place of the first result clicked, from 1; null if none was.
            latency_ms    int64
            zero_results  bool!       Whether nothing was found.
            filters       json        Filters that were set, as a JSON object; null when none.
            created_at    timestamp!
        """,
    ),
    event(
        "platform/coding_sessions",
        "Sandbox coding sessions; windowed by updated_at because a session ends later than it "
        "starts.",
        group=_GROUP,
        table="coding_sessions",
        tasks="lake.export_coding_sessions",
        key="session_id",
        watermark="updated_at",
        proposed=True,
        notes=(
            "A session appears again on each day on which it changed: take the latest "
            "`updated_at` per `session_id`, or sums count it more than once."
        ),
        columns="""
            session_id     string!     One id per coding session.
            user_id        string
            project_id     string
            agent_id       string      The agent that codes; null when the user does alone.
            sandbox_id     string      The sandbox it runs in; null until there is one.
            language       string      Main programming language, in lower case.
            status         string!     How it stands. {active|idle|completed|failed|expired}
            files_changed  int64!      Files changed so far.
            lines_added    int64!      Lines added so far.
            lines_deleted  int64!      Lines deleted so far.
            commands_run   int64!      Shell commands run so far.
            total_tokens   int64       Tokens read and written by models so far.
            cost_usd       decimal     Cost of those model calls so far, in US dollars.
            started_at     timestamp!
            ended_at       timestamp
            duration_ms    int64
            created_at     timestamp!
            updated_at     timestamp!
        """,
    ),
    event(
        "platform/project_executions",
        "Project code executions; one row per execution.",
        group=_GROUP,
        table="project_executions",
        tasks="lake.export_project_executions",
        key="run_id",
        failures="status=failed|timed_out|killed",
        proposed=True,
        notes="`run_id` is an execution of code here, not an agent run: don't join it with those.",
        columns="""
            run_id          string!     One id per execution.
            project_id      string!
            user_id         string
            session_id      string      The coding session, as in `platform/coding_sessions`.
            language        string!     Programming language, in lower case.
            entrypoint      string      File or command that was run.
            status          string!     How it ended. {succeeded|failed|timed_out|killed|cancelled}
            exit_code       int64       Exit code of the process, 0 for success; null if killed.
            duration_ms     int64       Wall-clock time in milliseconds.
            cpu_ms          int64       Processor time in milliseconds.
            memory_peak_mb  float64     Most memory in use at a time, in megabytes.
            stdout_bytes    int64!      Bytes written to standard output.
            stderr_bytes    int64!      Bytes written to standard error.
            error_message   string
            created_at      timestamp!
        """,
    ),
    event(
        "platform/video_views",
        "Video view analytics; one row per view.",
        group=_GROUP,
        table="video_views",
        tasks="lake.export_video_views",
        key="view_id",
        proposed=True,
        notes="`watch_seconds` may exceed `video_seconds` when parts are watched again.",
        columns="""
            view_id         string!     One id per view.
            video_id        string!     The video.
            user_id         string      The viewer; null before sign-in.
            anonymous_id    string
            session_id      string      The visit that it is part of.
            watch_seconds   float64!    Time spent watching, in seconds.
            video_seconds   float64     Length of the video in seconds.
            completion_pct  float64     Share of the video reached, 0 to 100.
            quality         string      Resolution played for most of it, such as 1080p.
            player          string      Player that showed it. {web|ios|android|embed|tv}
            device_type     string      {desktop|mobile|tablet|tv}
            country         string
            referrer        string
            created_at      timestamp!
        """,
    ),
    event(
        "platform/live_streams",
        "Live stream sessions; windowed by updated_at because a stream ends later than it starts.",
        group=_GROUP,
        table="live_streams",
        tasks="lake.export_live_streams",
        key="stream_id",
        watermark="updated_at",
        proposed=True,
        notes=(
            "A stream appears again on each day on which it changed: take the latest "
            "`updated_at` per `stream_id`, or sums count it more than once."
        ),
        columns="""
            stream_id      string!     One id per stream.
            host_user_id   string!     The user who streams.
            title          string      Title of the stream; null when it was given none.
            status         string!     How it stands. {scheduled|live|ended|cancelled}
            platform       string!     Where it is shown. {native|youtube|twitch|linkedin|x}
            started_at     timestamp   When it went live; null before.
            ended_at       timestamp   When it ended; null before.
            duration_s     int64       Time live in seconds; null until it ended.
            peak_viewers   int64       Most viewers at a time; null before it went live.
            total_viewers  int64       Distinct viewers so far; null before it went live.
            chat_messages  int64       Chat messages so far; null before it went live.
            recording_url  string      URL of the recording; null when there is none.
            created_at     timestamp!
            updated_at     timestamp!
        """,
    ),
    event(
        "platform/notification_logs",
        "Notification delivery logs; one row per notification to one user.",
        group=_GROUP,
        table="notification_logs",
        tasks="lake.export_notification_logs",
        key="notification_id",
        failures="status=bounced|failed",
        proposed=True,
        notes=(
            "Windowed by creation: what is opened later than the second night after is not seen "
            "here, so open rates are a lower bound."
        ),
        columns="""
            notification_id      string!     One id per notification.
            user_id              string      The user it is for; null when not an account.
            org_id               string
            channel              string!     How it is sent. {email|sms|push|in_app|slack}
            template             string!     Name of the template.
            provider             string      Who delivers it, such as sendgrid; null for in_app.
            provider_message_id  string      Id at that provider; null until it was taken.
            status               string!     State. {queued|sent|delivered|opened|bounced|failed}
            sent_at              timestamp   When it was passed on; null before.
            delivered_at         timestamp   When it arrived; null while not known to have.
            opened_at            timestamp   When it was first opened; null while not known to be.
            error_message        string
            created_at           timestamp!
        """,
    ),
    event(
        "platform/webhook_deliveries",
        "Webhook delivery logs; one row per attempt.",
        group=_GROUP,
        table="webhook_deliveries",
        tasks="lake.export_webhook_deliveries",
        key="delivery_id attempt",
        failures="success=false",
        proposed=True,
        notes=(
            "Retries share the `delivery_id`, and may fall on a later day: for the end of a "
            "delivery take its highest `attempt` over all days."
        ),
        columns="""
            delivery_id     string!     The delivery of one event to one webhook, retries included.
            webhook_id      string!     The webhook that a customer registered.
            org_id          string
            event_type      string!     Kind of event sent, as resource.verb, such as run.failed.
            event_id        string!     The event that is delivered.
            target_host     string!     Host that it is sent to, without path or query.
            attempt         int64!      Number of this attempt, from 1.
            http_status     int64
            success         bool!       Whether the target answered with a 2xx status.
            duration_ms     int64       Time until the answer or the error, in milliseconds.
            response_bytes  int64
            next_retry_at   timestamp~  When it is tried next; null when it won't be.
            error_message   string
            created_at      timestamp!
        """,
    ),
    snapshot(
        "platform/social_analytics",
        "Social media analytics; one row per account/post as of that day (cumulative counters).",
        group=_GROUP,
        table="social_analytics",
        tasks="lake.export_social_analytics",
        key="account_id post_id",
        proposed=True,
        notes=(
            "Counters are totals since publication: subtract two days for what a day added. "
            "`followers` is the account's and repeats on each of its posts."
        ),
        columns="""
            account_id       string!     The account that posts.
            platform_name    string!     The network. {x|linkedin|youtube|instagram|tiktok}
            handle           string!     Public name of the account, without the @.
            post_id          string!     The post, by its id on the network.
            post_type        string!     Kind of post. {text|image|video|link|poll}
            followers        int64       Followers of the account on that day.
            impressions      int64       Times the post was shown.
            reach            int64       Distinct people who saw it; null where not told.
            likes            int64       Likes so far.
            comments         int64       Comments so far.
            shares           int64       Shares and reposts so far.
            clicks           int64       Clicks on its links so far.
            engagement_rate  float64     Likes, comments, shares and clicks over impressions.
            published_at     timestamp!  When it was published.
            updated_at       timestamp!  When the counters were read.
        """,
    ),
    snapshot(
        "platform/sprint_plans",
        "Sprint planning data; one row per sprint item as of that day.",
        group=_GROUP,
        table="sprint_plans",
        tasks="lake.export_sprint_plans",
        key="item_id",
        proposed=True,
        notes=(
            "The same items repeat every day: filter on one `date`, or compare days for a "
            "burndown. An item that moves to another sprint has that sprint from then on."
        ),
        columns="""
            item_id       string!     One id per item.
            sprint_id     string!     The sprint that it is planned for.
            sprint_name   string!     Name of that sprint.
            project_id    string!
            title         string!     Title of the item.
            item_type     string!     Kind of item. {story|task|bug|spike|chore}
            status        string!     Where it stands. {todo|in_progress|in_review|done|cancelled}
            assignee      string      Person or agent who has it; null when nobody does.
            story_points  float64     Estimated effort in story points; null if not estimated.
            priority      string!     Urgency. {low|medium|high|critical}
            sprint_start  date!       First day of the sprint.
            sprint_end    date!       Last day of the sprint, inclusive.
            completed_at  timestamp   When it was done; null unless it is.
            created_at    timestamp!
            updated_at    timestamp!
        """,
    ),
)

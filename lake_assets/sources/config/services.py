"""Settings of services in which we have an account, or which know our packages."""

from lake_assets.sources.config.model import SourceSetting, Upstream, base_url, pace

PACKAGES = Upstream(
    name="packages",
    title="npm and PyPI downloads",
    feeds=("npm-downloads+pypistats",),
    settings=(
        SourceSetting(name="NPM_PACKAGES", sentence="npm packages to count, with their scope."),
        SourceSetting(name="PYPI_PACKAGES", sentence="PyPI packages to count."),
        base_url("NPM_BASE_URL", "https://api.npmjs.org"),
        base_url("PYPISTATS_BASE_URL", "https://pypistats.org"),
        pace("PACKAGES_REQUESTS_PER_S", "1"),
    ),
    one_of=("NPM_PACKAGES", "PYPI_PACKAGES"),
)

GITHUB = Upstream(
    name="github",
    title="GitHub",
    feeds=("github-rest",),
    settings=(
        SourceSetting(
            name="GITHUB_TOKEN",
            sentence="Token that may read the repositories (contents or metadata is enough).",
            required=True,
            secret=True,
        ),
        SourceSetting(name="GITHUB_REPOS", sentence="Repositories, as owner/name.", required=True),
        base_url("GITHUB_BASE_URL", "https://api.github.com"),
        pace("GITHUB_REQUESTS_PER_S", "1"),
        SourceSetting(
            name="GITHUB_API_VERSION",
            default="2022-11-28",
            sentence="Version of GitHub's API that is asked for.",
        ),
    ),
)

SLACK = Upstream(
    name="slack",
    title="Slack",
    feeds=("slack-web",),
    settings=(
        SourceSetting(
            name="SLACK_BOT_TOKEN",
            sentence=(
                "Token of a bot with channels:read, groups:read, channels:history and "
                "groups:history; it sees the channels that it is a member of."
            ),
            required=True,
            secret=True,
        ),
        base_url("SLACK_BASE_URL", "https://slack.com"),
        pace("SLACK_REQUESTS_PER_S", "0.8"),
        SourceSetting(
            name="SLACK_PAGE_ROWS",
            default="200",
            sentence="Channels or messages per answer; 15 is the most for some distributed apps.",
        ),
    ),
)

EMAIL = Upstream(
    name="email",
    title="E-mail provider",
    feeds=("email-provider",),
    settings=(
        SourceSetting(
            name="EMAIL_PROVIDER", sentence="Who sends the mail: resend or postmark.", required=True
        ),
        SourceSetting(
            name="EMAIL_API_KEY",
            sentence="API key of Resend with full access, or server token of Postmark.",
            required=True,
            secret=True,
        ),
        base_url("RESEND_BASE_URL", "https://api.resend.com"),
        base_url("POSTMARK_BASE_URL", "https://api.postmarkapp.com"),
        pace("EMAIL_REQUESTS_PER_S", "1.5"),
        SourceSetting(
            name="EMAIL_LOOKBACK_DAYS",
            default="3",
            sentence="Postmark: how many days after it was sent a message is asked for events.",
        ),
    ),
)

LUMA = Upstream(
    name="luma",
    title="Luma",
    settings=(
        SourceSetting(
            name="LUMA_API_KEY",
            sentence="API key of the calendar; needs Luma Plus.",
            required=True,
            secret=True,
        ),
        SourceSetting(
            name="LUMA_CALENDAR_ID",
            sentence="Calendar to read, cal-...; only a key of an organization needs it.",
        ),
        base_url("LUMA_BASE_URL", "https://public-api.luma.com"),
        pace("LUMA_REQUESTS_PER_S", "2"),
    ),
)

CHATWOOT = Upstream(
    name="chatwoot",
    title="Chatwoot",
    settings=(
        SourceSetting(
            name="CHATWOOT_API_TOKEN",
            sentence="Access token of an administrator, from the profile settings.",
            required=True,
            secret=True,
        ),
        SourceSetting(
            name="CHATWOOT_ACCOUNT_ID",
            sentence="Number of the account, as in the address of its dashboard.",
            required=True,
        ),
        SourceSetting(
            name="CHATWOOT_BASE_URL",
            sentence="Where the installation is reached, such as https://app.chatwoot.com.",
            required=True,
        ),
        pace("CHATWOOT_REQUESTS_PER_S", "5"),
    ),
)

STRIPE = Upstream(
    name="stripe",
    title="Stripe",
    feeds=("stripe-events",),
    settings=(
        SourceSetting(
            name="STRIPE_API_KEY",
            sentence="Restricted key that may read events; it decides on live or test mode.",
            required=True,
            secret=True,
        ),
        base_url("STRIPE_BASE_URL", "https://api.stripe.com"),
        pace("STRIPE_REQUESTS_PER_S", "10"),
    ),
)

KONG = Upstream(
    name="kong",
    title="Kong",
    feeds=("kong-prometheus",),
    settings=(
        SourceSetting(
            name="KONG_BASE_URL",
            sentence="Admin or Status API of every node, such as http://10.0.0.5:8001.",
            required=True,
        ),
        SourceSetting(
            name="KONG_ADMIN_TOKEN",
            sentence="Token for the Admin API, where it wants one.",
            secret=True,
        ),
        pace("KONG_REQUESTS_PER_S", "10"),
    ),
)

DEALROOM = Upstream(
    name="dealroom",
    title="Deal room",
    settings=(
        SourceSetting(
            name="DEALROOM_API_TOKEN",
            sentence="Token that may read the sessions.",
            required=True,
            secret=True,
        ),
        SourceSetting(
            name="DEALROOM_BASE_URL",
            sentence="Where the deal room's export of sessions is reached.",
            required=True,
        ),
        SourceSetting(
            name="DEALROOM_SESSIONS_PATH",
            default="/api/v1/sessions",
            sentence="Path of the export.",
        ),
        SourceSetting(name="DEALROOM_PAGE_ROWS", default="500", sentence="Sessions per answer."),
        pace("DEALROOM_REQUESTS_PER_S", "2"),
    ),
)

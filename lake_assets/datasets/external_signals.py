"""What people do around the company: chat, mail, events, the deal room and support.

Belongs here: outside services that the company itself uses to talk with people. Texts are never
stored, and addresses only as hashes.
Does not belong here: public statistics (`external_economy` and its neighbours), or the platform's
own services (`core_external`).
"""

from lake_assets.catalog import Dataset, Schedule, external

_GROUP = "External Data"

DATASETS: tuple[Dataset, ...] = (
    external(
        "external/slack",
        "Slack channel statistics; one row per channel and day.",
        group=_GROUP,
        upstream="slack-web",
        pool="slack",
        collect="lake_assets.sources.slack:COLLECTOR",
        tasks="lake.collect_slack_channel_stats",
        watermark="stat_date",
        schedule=Schedule(cron="30 1 * * *", newest_lag_d=1, oldest_lag_d=1),
        key="team_id channel_id",
        notes=(
            "Counts only: no text, no file and no name of a person is stored. Only channels that the "
            "bot is a member of. "
            "Threads are counted on the day of their first message: `thread_replies` of a past day "
            "are those it had when it was read. Filter on `history_complete`, or an unread channel "
            "looks like a quiet one. Names and members are those of the run."
        ),
        columns="""
            stat_date         date!       UTC day counted; the partition's day.
            team_id           string!     The Slack workspace.
            channel_id        string!     Slack's id of the channel; survives a rename.
            channel_name      string      Name of the channel when it was read.
            is_private        bool        Whether it is a private channel.
            is_archived       bool        Whether it was archived when it was read.
            num_members       int64       Members when it was read.
            messages          int64!      Messages of people, without replies in threads and notices.
            bot_messages      int64!      Messages of bots and apps, without replies in threads.
            thread_parents    int64!      Messages of the day that started a thread.
            thread_replies    int64!      Replies in those threads, up to the reading.
            unique_posters    int64!      People who wrote one of `messages`.
            reactions         int64!      Reactions to messages of the day, up to the reading.
            files             int64!      Files attached to messages of the day.
            first_message_at  timestamp   When the first message came; null without one.
            last_message_at   timestamp   When the last message came; null without one.
            history_complete  bool!       Whether all messages of the day could be read.
            collected_at      timestamp!  When the row was read.
        """,
    ),
    external(
        "external/email",
        "Email delivery events; one row per event of the provider.",
        group=_GROUP,
        upstream="email-provider",
        pool="email",
        collect="lake_assets.sources.email_events:COLLECTOR",
        tasks="lake.collect_email_delivery_events",
        watermark="occurred_at",
        schedule=Schedule(cron="30 1 * * *", newest_lag_d=1, oldest_lag_d=3),
        key="provider event_id",
        notes=(
            "Postmark tells every event of a message, Resend only the last one, at the time at which "
            "the message was made. The last three days are written again every day, since openings "
            "and bounces arrive late. Openings are also made by mail programs that load pictures: "
            "they are no count of readers. A rate per message needs distinct `message_id` over "
            "several days. Texts of messages are not stored, and addresses are masked, but for "
            "`from_email`."
        ),
        columns="""
            event_id          string!     The provider's id of the event, or one made from its fields.
            provider          string!     Who sent the mail, such as sendgrid, resend or postmark.
            message_id        string      The provider's id of the message.
            event_type        string!     What happened. {processed|deferred|delivered|bounced|dropped|opened|clicked|complained|unsubscribed}
            recipient_hash    string      SHA-256 of the lower-cased address.
            recipient_domain  string      Domain of the address.
            from_email        string      Our address that it was sent from.
            subject           string      Subject of the message; null where the provider gives none.
            template          string      Template of the message; null without one.
            tags              json        Array of our tags on the message.
            occurred_at       timestamp!  When it happened.
            bounce_type       string      Kind of bounce, as the provider names it; null otherwise.
            status_code       string      SMTP status such as 5.1.1; null where none is given.
            reason            string      Why it was bounced, deferred or dropped; null otherwise.
            url               string      Link that was clicked, without its query; null otherwise.
            ip                string      Address that opened or clicked; null otherwise.
            user_agent        string      Program that opened or clicked; null otherwise.
            attempt           int64       Number of the attempt to deliver; null where none is given.
            metadata          json        Further fields of the provider, as an object.
            collected_at      timestamp!  When the row was read.
        """,
    ),
    external(
        "external/luma/events",
        "Luma events; one row per event as of that day.",
        group=_GROUP,
        upstream="luma",
        pool="luma",
        collect="lake_assets.sources.luma:COLLECTOR",
        tasks="lake.collect_luma_events",
        watermark="start_at",
        schedule=Schedule(cron="0 2 * * *"),
        key="event_id",
        proposed=True,
        notes=(
            "Each day holds all events that start from 30 days before it to 365 days after it, as "
            "they stood then: the same event repeats every day, so filter on one `date`, or take "
            "the greatest `collected_at` per `event_id`. A past day can't be read again. Guests "
            "are not collected; of the hosts only the first one's name is stored, and addresses "
            "in `raw` are masked."
        ),
        columns="""
            event_id       string!     Luma's id, evt-...
            calendar_id    string      The calendar that it was read from.
            platform_name  string      Platform that hosts it: luma, or another one.
            name           string!     Name of the event.
            status         string      Status in the calendar, as Luma names it.
            access         string      Our rights on it, such as manage or view.
            url            string      Address of its page.
            start_at       timestamp!  When it starts.
            end_at         timestamp   When it ends.
            timezone       string      Zone in which it is announced, such as America/Los_Angeles.
            visibility     string      Who can see it, such as public or private.
            location_type  string      Where it takes place, such as offline or online.
            city           string      City; null when online or hidden.
            region         string      State or region; null when online or hidden.
            country        string      Country; null when online or hidden.
            full_address   string      Address in one line; null when online or hidden.
            meeting_url    string      Link to the meeting; null when offline or hidden.
            cover_url      string      Address of its picture.
            host_name      string      Name of the host; null where none is given.
            created_at     timestamp   When it was created; null where none is given.
            raw            json        The entry as Luma gave it, without people and passwords.
            collected_at   timestamp!  When the row was read.
        """,
    ),
    external(
        "external/dealroom/sessions",
        "Dealroom sessions; one row per visitor session.",
        group=_GROUP,
        upstream="dealroom",
        pool="dealroom",
        collect="lake_assets.sources.dealroom:COLLECTOR",
        tasks="lake.export_dealroom_sessions",
        watermark="created_at",
        schedule=Schedule(cron="30 0 * * *", newest_lag_d=1, oldest_lag_d=2),
        key="session_id",
        proposed=True,
        notes=(
            "A session belongs to the day on which its row was created; the day before yesterday "
            "is written once more for late rows. Visitors are known by a hash of their address; "
            "addresses and phone numbers elsewhere are masked, and of `referrer` only the page is "
            "stored. Which deal room the sessions come from is not confirmed yet."
        ),
        columns="""
            session_id          string!     One id per session.
            room_id             string!     The deal room.
            deal_id             string      The deal that the room is for; null without one.
            visitor_id          string      One id per visitor of a room.
            visitor_email_hash  string      SHA-256 of the visitor's lower-cased e-mail address.
            organization        string      Organisation of the visitor, as they gave it.
            role                string      Role of the visitor, such as investor or counsel.
            started_at          timestamp!  When the session started.
            ended_at            timestamp   When it ended; null while it goes on.
            duration_s          int64       Length in seconds; null until it ended.
            documents_viewed    int64       Documents opened.
            pages_viewed        int64       Pages looked at over all documents.
            downloads           int64       Documents downloaded.
            questions_asked     int64       Questions asked.
            referrer            string      Page that led to the room; null without one.
            country             string      Country of the visitor, ISO 3166-1 alpha-2; null where unknown.
            created_at          timestamp!
            collected_at        timestamp!  When the row was read.
        """,
    ),
    external(
        "chatwoot/conversations",
        "Support conversations; one row per conversation whose last activity was on the day.",
        group="Chatwoot",
        upstream="chatwoot",
        pool="chatwoot",
        collect="lake_assets.sources.chatwoot:COLLECTOR",
        tasks="lake.export_chatwoot_conversations lake.backfill_chatwoot_conversations",
        watermark="last_activity_at",
        schedule=Schedule(cron="30 1 * * *", newest_lag_d=1, oldest_lag_d=1),
        key="account_id conversation_id",
        proposed=True,
        notes=(
            "Chatwoot knows the current state only. A conversation that goes on appears again on a "
            "later day: take the greatest `last_activity_at` per (account_id, conversation_id). A "
            "day that is written late holds only what was quiet since; written again, it loses "
            "nothing. Message texts, mail subjects and who the contact is are not stored; "
            "addresses, phone and card numbers in `custom_attributes` are masked, and of "
            "`additional_attributes` only what says nothing about a person is kept. "
            "`last_message_type` 0 came in, 1 went out, 2 is a notice, 3 a template."
        ),
        columns="""
            conversation_id        int64!      Number of the conversation within the account.
            account_id             int64!      The Chatwoot account.
            uuid                   string      Chatwoot's global id of the conversation.
            inbox_id               int64       The inbox it came in through.
            channel                string      Kind of that inbox, such as Channel::WebWidget.
            status                 string!     State when it was read. {open|resolved|pending|snoozed}
            priority               string      Priority; null when none was set. {low|medium|high|urgent}
            labels                 json        Array of labels.
            assignee_id            int64       Person it is assigned to; null when nobody.
            assignee_name          string      Name of that person.
            team_id                int64       Team it is assigned to; null when none.
            team_name              string      Name of that team.
            contact_id             int64       The contact who wrote.
            can_reply              bool        Whether the channel still lets us answer.
            muted                  bool        Whether it is muted.
            unread_count           int64       Messages that no one of us has read.
            first_reply_at         timestamp   When we first answered; null before that.
            waiting_since          timestamp   Since when the contact waits for us; null when not.
            snoozed_until          timestamp   Until when it is snoozed; null when not.
            agent_last_seen_at     timestamp   When one of us last looked at it; null before that.
            contact_last_seen_at   timestamp   When the contact last looked at it; null before that.
            last_message_type      int64       Kind of the last message; null without one.
            created_at             timestamp!  When the conversation began.
            last_activity_at       timestamp!  When the last message or change happened.
            additional_attributes  json        What the channel tells, such as browser and page.
            custom_attributes      json        Our own fields on it.
            collected_at           timestamp!  When the row was read.
        """,
    ),
)

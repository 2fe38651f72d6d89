"""Models in use: requests, completions, audio, prompts, feedback on answers, memory.

Belongs here: the datasets of the group "Platform Extended" that are about calls of models, what
people thought of the answers, and what is kept between calls.
Does not belong here: what agents did (`platform_extended_agents`), the ledger of token costs
(`platform_intelligence`).
"""

from lake_assets.catalog import Dataset, event, snapshot

_GROUP = "Platform Extended"

DATASETS: tuple[Dataset, ...] = (
    event(
        "platform/ai_request_log",
        "AI request log; one row per provider request.",
        group=_GROUP,
        table="ai_request_logs",
        tasks="lake.export_ai_request_log",
        key="request_id",
        failures="status=error|rate_limited|timeout",
        proposed=True,
        notes=(
            "Failed and cached requests included, unlike a bill. For costs over all calls prefer "
            "`platform/llm_token_usage`, and don't add the two."
        ),
        columns="""
            request_id         string!     One id per provider request.
            user_id            string
            org_id             string
            agent_id           string      The agent that asked; null for direct API use.
            endpoint           string!     API path that was called, such as /v1/chat/completions.
            provider           string!
            model              string!
            status             string!     Outcome. {success|error|rate_limited|timeout|cancelled}
            http_status        int64
            prompt_tokens      int64
            completion_tokens  int64
            total_tokens       int64
            cost_usd           decimal
            latency_ms         int64
            streamed           bool!
            cache_hit          bool!       Whether a cache answered instead of the provider.
            error_code         string
            created_at         timestamp!
        """,
    ),
    event(
        "platform/chat_completion_usage",
        "Chat completion usage; one row per completion.",
        group=_GROUP,
        table="chat_completion_usage",
        tasks="lake.export_chat_completion_usage",
        key="completion_id",
        proposed=True,
        notes=(
            "Chats of people and API users; for costs over all calls prefer "
            "`platform/llm_token_usage`, and don't add the two."
        ),
        columns="""
            completion_id           string!     One id per completion.
            user_id                 string
            org_id                  string
            session_id              string      The chat that it belongs to; null for single calls.
            provider                string!
            model                   string!
            prompt_tokens           int64!
            completion_tokens       int64!
            total_tokens            int64!
            cost_usd                decimal!
            finish_reason           string      Reason. {stop|length|tool_calls|content_filter}
            latency_ms              int64
            time_to_first_token_ms  int64       Wait for the first token, ms; null unless streamed.
            streamed                bool!
            tool_calls              int64!      Tool calls that the model asked for.
            created_at              timestamp!
        """,
    ),
    event(
        "platform/audio_usage",
        "Audio API usage; one row per call.",
        group=_GROUP,
        table="audio_model_usage",
        tasks="lake.export_audio_model_usage lake.backfill_audio_model_usage",
        key="id",
        failures="status=error|rate_limited|timeout",
        proposed=True,
        notes=(
            "Transcription and translation read audio and have no `voice`; speech makes audio "
            "from text and has `input_chars`. `audio_seconds` is the audio's length either way."
        ),
        columns="""
            id             string!     One id per call.
            request_id     string
            user_id        string
            org_id         string
            operation      string!     What was asked for. {transcribe|translate|speech}
            provider       string!
            model          string!
            voice          string      Voice that spoke; null unless speech.
            language       string      BCP 47 tag, such as en or pt-BR; null if not known.
            audio_seconds  float64     Length of the audio read or made, in seconds.
            input_chars    int64       Length of the text in characters; null unless speech.
            output_bytes   int64
            cost_usd       decimal!
            latency_ms     int64
            status         string!     How the call ended. {success|error|rate_limited|timeout}
            created_at     timestamp!
        """,
    ),
    event(
        "platform/huggingface_usage",
        "HuggingFace model usage; one row per inference call.",
        group=_GROUP,
        table="huggingface_usage",
        tasks="lake.export_huggingface_usage",
        key="id",
        failures="status=error|rate_limited|timeout",
        proposed=True,
        notes=(
            "The `hub_*` columns are an optional daily enrichment from the Hub about the model: "
            "they repeat on every call, so never sum them."
        ),
        columns="""
            id                      string!     One id per inference call.
            request_id              string
            user_id                 string
            org_id                  string
            model_id                string!     Model on the Hub as owner/name.
            model_task              string      Pipeline tag of the model, such as text-generation.
            inference_provider      string      Who ran it, such as hf-inference or together.
            input_tokens            int64       Tokens read; null for models without tokens.
            output_tokens           int64       Tokens written; null for models without tokens.
            compute_seconds         float64     Compute time that was billed, in seconds.
            cost_usd                decimal!
            latency_ms              int64
            status                  string!     How it ended. {success|error|rate_limited|timeout}
            hub_downloads_30d       int64       Downloads in the last 30 days; null if not enriched.
            hub_downloads_all_time  int64       Downloads of all time; null if not enriched.
            hub_likes               int64       Likes on the Hub; null if not enriched.
            created_at              timestamp!
        """,
    ),
    event(
        "platform/prompt_usage",
        "Prompt template usage; one row per use of a template.",
        group=_GROUP,
        table="prompt_usage",
        tasks="lake.export_prompt_usage",
        key="id",
        failures="success=false",
        proposed=True,
        notes="Group by `prompt_id` and `prompt_version`: names change, and versions differ.",
        columns="""
            id               string!     One id per use.
            prompt_id        string!     The template, by its stable id.
            prompt_name      string!     Name of the template at that time.
            prompt_version   string!     Version of the template, such as 3 or 2.1.
            user_id          string
            org_id           string
            agent_id         string      The agent that used it; null for people.
            model            string
            variables_count  int64!      Variables that were filled in.
            total_tokens     int64
            cost_usd         decimal
            success          bool!       Whether the call with it succeeded.
            created_at       timestamp!
        """,
    ),
    event(
        "platform/ai_feedback",
        "AI feedback signals; one row per piece of feedback on an answer.",
        group=_GROUP,
        table="ai_feedback",
        tasks="lake.export_ai_feedback",
        key="feedback_id",
        proposed=True,
        notes=(
            "Join `platform/ai_request_log` on `request_id`, without `date`: feedback may come "
            "days after the answer."
        ),
        columns="""
            feedback_id  string!     One id per piece of feedback.
            request_id   string      The request it is about; null when about a feature at large.
            user_id      string
            org_id       string
            model        string
            feature      string!     Part of the product, such as chat, search or code_review.
            thumbs       int64       1 for up, -1 for down; null when neither was pressed.
            rating       float64     1 (worst) to 5; null when none was given.
            category     string      What it is about, such as accuracy, tone or speed.
            comment      string
            created_at   timestamp!
        """,
    ),
    event(
        "platform/zerodb_rlhf",
        "ZeroDB RLHF signals; one row per judged interaction.",
        group=_GROUP,
        table="zerodb_rlhf",
        tasks="lake.export_zerodb_rlhf",
        key="id",
        proposed=True,
        notes=(
            "Collected in customers' ZeroDB projects; the platform's own signals are in "
            "`rlhf_signals`. `prompt` and `response` are most of the bytes."
        ),
        columns="""
            id                string!     One id per judged interaction.
            project_id        string!     The ZeroDB project.
            session_id        string
            interaction_type  string!     What was judged. {chat|completion|search|agent_action}
            prompt            string      What the model was asked; null when it was not kept.
            response          string      What it answered; null when it was not kept.
            feedback_type     string!     Form of the judgement. {thumbs|rating|correction|implicit}
            rating            float64     1 (worst) to 5; thumbs are -1 or 1; else null.
            model             string
            agent_id          string      The agent that answered; null for bare models.
            metadata          json
            created_at        timestamp!
        """,
    ),
    snapshot(
        "platform/zeromemory_stats",
        "ZeroMemory usage statistics; one row per project/namespace as of that day.",
        group=_GROUP,
        table="zeromemory_stats",
        tasks="lake.export_zeromemory_stats",
        key="project_id namespace",
        proposed=True,
        notes=(
            "Counts and sizes are totals on that day: filter on one `date`. The `*_24h` columns "
            "look back from `updated_at`."
        ),
        columns="""
            project_id     string!
            org_id         string
            agent_id       string      The agent whose memory it is; null when shared.
            namespace      string!     Name of the memory space within the project.
            memory_count   int64!      Memories kept.
            vector_count   int64!      Vectors kept for them.
            storage_bytes  int64!      Size of all of it in bytes.
            writes_24h     int64!      Memories written within the last 24 hours.
            reads_24h      int64!      Memories read by id within the last 24 hours.
            searches_24h   int64!      Searches within the last 24 hours.
            avg_search_ms  float64     Mean time of those, milliseconds; null without any.
            updated_at     timestamp!  When these numbers were computed.
        """,
    ),
)

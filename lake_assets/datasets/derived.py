"""What the lake computes from its own datasets: forecasts, anomalies, scores and velocity.

Belongs here: the declarations, with the formula of every score, over columns of the same row.
Does not belong here: how a forecast or a score is computed (`lake_assets.models`).

Partition D uses only what was known by the end of UTC day D, so that a past day can be computed
again and gives what it would have given then.
"""

from inspect import cleandoc

from lake_assets.catalog import Dataset, Schedule, derived

_PREDICTIONS = "Predictions"
_METRICS = "Derived Metrics"

_FORECAST = (
    "The partition is the day of the forecast, `target_date` the day forecast: each target day is "
    "forecast once from each of the 14 days before it. Take one `date`, or the row with the "
    "smallest `horizon_days` per target day. The series `total` is the sum of its parts, so never "
    "add rows of different kinds of series; `agent=(none)` is what names no agent, and `agent=(other)` "
    "what is too small to be forecast by itself. `is_fallback` says that the series was too short "
    "or too sparse for a model."
)

_PROJECTION = (
    "`projected_cost_usd` is the mean and adds up over the parts of a kind. The three quantiles come "
    "from sums of simulated days and do not add up: those of `total` are for the whole. Days of the "
    "month that the lake lacks count with what is usual for their weekday. The budget is the setting "
    "`LAKE_MONTHLY_BUDGET_USD`. On the last day of a month the projection is what it cost."
)

_ACCURACY = (
    "Partition D has what the forecasts of the 14 days before D said of D. Group by `series_key` "
    "and `horizon_days`; errors of `total` are no sum of those of its parts. A day whose requests or "
    "calls the lake lacks has no rows of that measure."
)

_SCORE_FORMULAS = cleandoc("""
    Every score is 0 to 100 and follows from columns of its row:

    - `reliability_score` = 100 * (runs_succeeded + 5 * fleet_success_rate)
      / (runs_succeeded + runs_failed + 5). Five runs of an average agent steady the score of one
      that ran little. Null without a run that succeeded or failed.
    - `quality_score` = 100 * (ratings * rating_mean + 10 * quality_trend) / (ratings + 10). Where
      one of the two is missing, 100 times the other; null without both. Ratings are those of
      `rlhf_signals`: a rating r of 1 to 5 counts as (r - 1) / 4, a thumb t as (t + 1) / 2.
    - `run_cost_usd` = cost_usd / runs_succeeded. Null without a succeeded run.
    - `cost_efficiency_score` = 100 * fleet_run_cost_usd / (fleet_run_cost_usd + run_cost_usd). 50
      costs what is usual. 0 when money was spent and no run succeeded; null when nothing was spent.
    - `activity_score` = 100 * least(1, ln(1 + runs) / ln(1 + fleet_runs_p95)). Null when
      fleet_runs_p95 is 0.
    - `intelligence_score` = the sum of each score times its weight. Weights are 0.35 quality, 0.35
      reliability, 0.15 cost efficiency and 0.15 activity; the weight of a score that is null is 0,
      and the others are scaled to a sum of 1.

    Fleet figures are over all agents and the 28 days that end on the day. Agents with different
    work have different costs per run: compare an agent with its own past before others.
""")

_VELOCITY_FORMULAS = cleandoc("""
    Partition D covers the full UTC days D-7 to D-1, as the `platform/sprint_plans` of D shows them,
    so the rows of neighbouring partitions overlap: for weeks from Monday to Sunday, each once,
    filter on `is_calendar_week`. Work without a project is left out.

    Indices are 100 when all is as usual or as planned, more is better, and 200 is the cap:

    - `throughput_index` = 100 * points_completed / usual_points. An item without points counts 1.
    - `lead_time_index` = 100 * usual_lead_time_h / lead_time_median_h.
    - `completion_rate` = items_planned_completed / items_planned. Cancelled items are not planned.
    - `completion_index` = 100 * completion_rate / sprint_elapsed.
    - `velocity_index` = the mean of those of the three that are not null.

    Usual is the same project over the four weeks before. An index is null when its divisor is null
    or 0. A day without a snapshot of the plans has no rows and can't be computed later. Coding
    sessions and executions are those that the lake's days D-7 to D-1 tell of.
""")

DATASETS: tuple[Dataset, ...] = (
    derived(
        "derived/predictions/request_volume_forecast",
        "Request volume forecasts; one row per series and target day, 14 days ahead.",
        group=_PREDICTIONS,
        upstreams="mcp_request_logs",
        compute="lake_assets.models.request_volume:DERIVATION",
        tasks="lake.predict_request_volume_forecast",
        key="series_key target_date",
        notes=f"{_FORECAST} Series: `total`, `service=NAME` and `agent=ID`.",
        columns="""
            forecast_id         string!     One id per series, forecast day and target day.
            generated_at        timestamp!  When the forecast was computed.
            model_name          string!     WeightedMean of several models, RecentMean or SeasonalNaive.
            model_version       string!     Version of the forecasting code and its library.
            series_key          string!     The series: `total`, `service=NAME` or `agent=ID`.
            target_date         date!       The UTC day that is forecast.
            horizon_days        int64!      Days from the forecast to the target day, 1 to 14.
            predicted_requests  float64!    Expected requests on the target day; never below 0.
            lower_bound         float64     Lower end of the interval at `confidence_level`.
            upper_bound         float64     Upper end of the interval at `confidence_level`.
            confidence_level    float64     Nominal coverage of that interval: 0.8.
            training_start      date        First day of the training window.
            training_end        date        Last day of the training window.
            training_points     int64       Days in the training window.
            mape                float64     Backtest error in percent; null where a day had 0.
            lower_bound_95      float64     Lower end of the 95 % interval.
            upper_bound_95      float64     Upper end of the 95 % interval.
            mase                float64     Backtest error over the mean change to a week before, in training.
            naive_mase          float64     The same of seasonal naive; the model's is to be below it.
            backtest_windows    int64       Forecasts that the backtest errors are a mean of.
            is_fallback         bool!       Whether a recent mean replaces the models.
            explanation         string!     Why this model, or why the fallback, in one sentence.
            unreconciled_requests float64   The forecast before total and parts were made to agree.
            status              string      How far to rely on it. {ok|fallback|stale|damaged}
            stale_days          int64       Days before the forecast of which the lake has nothing.
            expected_mase       float64     Scaled error to expect; ranks series by how wrong they will be.
        """,
    ),
    derived(
        "derived/predictions/agent_anomalies",
        "Agent anomaly detection; one row per agent and metric scored on the day.",
        group=_PREDICTIONS,
        upstreams="agent_run_log platform/llm_token_usage mcp_request_logs",
        compute="lake_assets.models.anomalies:DERIVATION",
        tasks="lake.predict_agent_anomalies",
        key="agent_id metric",
        notes=(
            "Most rows are ordinary days: filter on `is_anomaly`. An anomaly that lasts keeps its "
            "`episode_start`, so count distinct (agent_id, metric, episode_start) for incidents. "
            "Of metrics that are off together, such as tokens and their cost, one is the alarm; "
            "the others have a `severity` and name it in `merged_into`. The agent (all) is all "
            "agents together: never add its rows to those of agents. Where they are off together, "
            "as on a day that is not complete or a public holiday, its row is the one alarm. "
            "Metrics with slow in their name are of the slowest tenth of runs or calls; what is "
            "per call or per million tokens is a geometric mean over calls. `false_alarm_rate` is what "
            "to expect of the threshold on ordinary days, per row. Days before a week of history "
            "are not judged."
        ),
        columns="""
            anomaly_id        string!     One id per agent, metric and day.
            generated_at      timestamp!  When the score was computed.
            model_name        string!     The detector.
            model_version     string!     Version of the detector and its thresholds.
            agent_id          string!
            metric            string!     Metric. {runs|error_rate|timeout_rate|cancelled_rate|unfinished_rate|duration_ms|slow_duration_ms|calls|tokens|tokens_per_call|cost_usd|usd_per_million_tokens|call_error_rate|latency_ms|slow_latency_ms|requests|request_error_rate}
            observed_date     date!       The day observed; the partition's day.
            observed_value    float64!    Value of the metric; error rates are 0 to 1.
            expected_value    float64     From trend and weekday; null without a baseline.
            z_score           float64     Robust standard deviations above the expected value.
            severity          string!     How far outside. {none|low|medium|high|critical}
            is_anomaly        bool!       Whether it is an alarm: off, and not merged into another.
            direction         string      Side of the expected value; null when equal. {above|below}
            baseline_start    date        First day of the baseline; null without one.
            baseline_end      date        Last day of the baseline, before the observed day.
            details           json        Further figures of the detector, as an object.
            lower_bound       float64     Lower end of the range that is no alarm for one day.
            upper_bound       float64     Upper end of the range that is no alarm for one day.
            rank              int64       Place among the day's alarms, 1 worst; else null.
            episode_start     date        First day of the run of alarms; null for no alarm.
            false_alarm_rate  float64     Share of ordinary rows that the threshold flags, 0 to 1.
            merged_into       string      The alarm that stands for this row, as agent and metric.
            explanation       string!     What is unusual, in one sentence with figures.
            detected_by       string      What is off; null if nothing is. {day|lasting|all_agents}
            changed_on        date        About when a lasting change began; null for others.
            excess_value      float64     Sums: value beyond the expected since it began; else null.
        """,
    ),
    derived(
        "derived/predictions/token_cost_forecast",
        "Token cost projections; one row per series and target day, 14 days ahead.",
        group=_PREDICTIONS,
        upstreams="platform/llm_token_usage",
        compute="lake_assets.models.token_cost:DERIVATION",
        tasks="lake.predict_token_cost_forecast",
        key="series_key target_date",
        notes=f"{_FORECAST} Series: `total`, `model=PROVIDER/MODEL` and `agent=ID`.",
        columns="""
            forecast_id         string!     One id per series, forecast day and target day.
            generated_at        timestamp!  When the forecast was computed.
            model_name          string!     WeightedMean of several models, RecentMean or SeasonalNaive.
            model_version       string!     Version of the forecasting code and its library.
            provider            string      Provider of the model; null unless a `model` series.
            llm_model           string      The language model; null unless a `model` series.
            target_date         date!       The UTC day that is forecast.
            horizon_days        int64!      Days from the forecast to the target day, 1 to 14.
            predicted_tokens    float64!    Expected tokens on the target day.
            predicted_cost_usd  decimal!    Expected cost of the target day in US dollars.
            lower_cost_usd      decimal     Lower end of the cost interval at `confidence_level`.
            upper_cost_usd      decimal     Upper end of the cost interval at `confidence_level`.
            confidence_level    float64     Nominal coverage of that interval: 0.8.
            training_start      date        First day of the training window.
            training_end        date        Last day of the training window.
            training_points     int64       Days in the training window.
            series_key          string!     `total`, `model=PROVIDER/MODEL` or `agent=ID`.
            lower_cost_95_usd   decimal     Lower end of the 95 % cost interval.
            upper_cost_95_usd   decimal     Upper end of the 95 % cost interval.
            mape                float64     Backtest cost error in percent; null if a day had 0.
            mase                float64     Backtest error over the mean change to a week before, in training.
            naive_mase          float64     The same of seasonal naive; the model's is to be below it.
            backtest_windows    int64       Forecasts that the backtest errors are a mean of.
            is_fallback         bool!       Whether a recent mean replaces the models.
            explanation         string!     Why this model, or why the fallback, in one sentence.
            unreconciled_cost_usd decimal   The cost before total and parts were made to agree.
            unreconciled_tokens float64     The tokens before total and parts were made to agree.
            predicted_calls     float64     Expected calls: predicted_tokens / tokens_per_call.
            tokens_per_call     float64     Tokens per call in the last four weeks; null without calls.
            usd_per_million_tokens float64  Price: predicted cost over predicted tokens, times a million.
            status              string      How far to rely on it. {ok|fallback|stale|damaged}
            stale_days          int64       Days before the forecast of which the lake has nothing.
            expected_mase       float64     Scaled error to expect; ranks series by how wrong they will be.
        """,
    ),
    derived(
        "derived/predictions/month_end_projection",
        "Token cost by the end of the month; one row per series.",
        group=_PREDICTIONS,
        upstreams="platform/llm_token_usage",
        compute="lake_assets.models.month_end:DERIVATION",
        tasks="lake.predict_month_end_projection",
        key="series_key",
        notes=_PROJECTION,
        columns="""
            projection_id            string!     One id per series and day of the projection.
            generated_at             timestamp!  When the projection was computed.
            model_name               string!     WeightedMean of several models, RecentMean or SeasonalNaive.
            model_version            string!     Version of the forecasting code and its library.
            series_key               string!     `total`, `model=PROVIDER/MODEL` or `agent=ID`.
            provider                 string      Provider of the model; null unless a `model` series.
            llm_model                string      The language model; null unless a `model` series.
            month_start              date!       First day of the month of the partition's day.
            month_end                date!       Last day of that month.
            days_left                int64!      Days of the month after the partition's day.
            days_missing             int64!      Days of the month so far that the lake lacks.
            month_to_date_usd        decimal!    Cost of the month's days that the lake has, in US dollars.
            projected_cost_usd       decimal!    Expected cost of the whole month.
            projected_10_usd         decimal!    Cost of the month that is exceeded with 90 % probability.
            projected_50_usd         decimal!    Cost of the month that is exceeded with 50 % probability.
            projected_90_usd         decimal!    Cost of the month that is exceeded with 10 % probability.
            budget_usd               decimal     The monthly budget; null where none is set, and for parts.
            budget_used_up_on        date        Day on which it is used up; null where it is not.
            over_budget_probability  float64     How likely the month costs more than it, 0 to 1.
            is_fallback              bool!       Whether a recent mean replaces the models.
            status                   string!     How far to rely on it. {ok|fallback|stale|damaged}
            explanation              string!     What the month comes to, the budget, and why this model.
        """,
    ),
    derived(
        "derived/predictions/forecast_accuracy",
        "Forecasts against what came; one row per series and forecast of the day.",
        group=_PREDICTIONS,
        upstreams=(
            "derived/predictions/request_volume_forecast derived/predictions/token_cost_forecast "
            "mcp_request_logs platform/llm_token_usage"
        ),
        compute="lake_assets.models.forecast_accuracy:DERIVATION",
        tasks="lake.measure_forecast_accuracy",
        key="measure series_key horizon_days",
        notes=_ACCURACY,
        columns="""
            accuracy_id     string!     One id per measure, series, target day and age of the forecast.
            generated_at    timestamp!  When the row was computed.
            measure         string!     What was forecast. {requests|cost_usd}
            series_key      string!     The series, as in the forecast.
            target_date     date!       The day that was forecast; the partition's day.
            forecast_date   date!       The day that the forecast was made on.
            horizon_days    int64!      Age of the forecast: days from then to the target day.
            model_name      string      What the forecast was made with.
            predicted       float64!    The forecast.
            actual          float64!    What came.
            error           float64!    actual - predicted.
            absolute_error  float64!    The size of the error.
            in_80           bool        Whether what came was within the 80 % interval.
            in_95           bool        Whether what came was within the 95 % interval.
            expected_mase   float64     The scaled error that the forecast expected.
        """,
    ),
    derived(
        "derived/intelligence_scores",
        "Scores of agents; one row per agent that ran or called a model on the day.",
        group=_METRICS,
        upstreams=(
            "agent_run_log platform/llm_token_usage rlhf_signals platform/agent_quality_trends"
        ),
        compute="lake_assets.models.scores:DERIVATION",
        tasks="lake.score_intelligence",
        key="agent_id",
        proposed=True,
        notes=_SCORE_FORMULAS,
        columns="""
            score_date              date!       The day scored; the partition's day.
            agent_id                string!
            generated_at            timestamp!  When the scores were computed.
            score_version           string!     Version of the formulas.
            runs                    int64!      Runs of the day in `agent_run_log`, in any state.
            runs_succeeded          int64!      Those that succeeded.
            runs_failed             int64!      Those that failed or timed out; not cancelled ones.
            fleet_success_rate      float64     Succeeded share of such runs of all agents, 0 to 1.
            reliability_score       float64     How dependably it finishes, 0 to 100.
            ratings                 int64!      Ratings and thumbs in the 7 days to the day.
            rating_mean             float64     Their mean, rescaled to 0 to 1; null without one.
            quality_trend           float64     Newest quality score of the 14 days to the day, 0 to 1.
            quality_trend_date      date        The day that it is about; null without one.
            quality_score           float64     How good its work is judged, 0 to 100.
            llm_calls               int64!      Calls of the day in `platform/llm_token_usage`.
            total_tokens            int64!      Tokens of those calls.
            cost_usd                decimal!    Cost of those calls in US dollars.
            run_cost_usd            float64     Cost of a succeeded run; null when none succeeded.
            fleet_run_cost_usd      float64     Median of that figure over agents and days that spent.
            cost_efficiency_score   float64     How cheap a succeeded run is, 0 to 100; 50 is usual.
            fleet_runs_p95          float64     95th percentile of runs per agent and day.
            activity_score          float64     How much it ran, 0 to 100, logarithmic.
            quality_weight          float64!    Weight of quality_score in this row.
            reliability_weight      float64!    Weight of reliability_score in this row.
            cost_efficiency_weight  float64!    Weight of cost_efficiency_score in this row.
            activity_weight         float64!    Weight of activity_score in this row.
            intelligence_score      float64     The weighted total, 0 to 100, or null.
            rank                    int64       Place among the day's agents, 1 for the highest.
        """,
    ),
    derived(
        "derived/velocity_metrics",
        "Delivery speed of projects; one row per project for the seven days before the day.",
        group=_METRICS,
        upstreams="platform/sprint_plans platform/coding_sessions platform/project_executions",
        compute="lake_assets.models.velocity:DERIVATION",
        schedule=Schedule(cron="0 3 * * *"),  # the plans of a day are there as it begins
        tasks="lake.measure_velocity",
        key="project_id",
        proposed=True,
        notes=_VELOCITY_FORMULAS,
        columns="""
            project_id               string!     The project.
            week_start               date!       First day covered: 7 days before the partition's.
            week_end                 date!       Last day covered: the day before the partition's.
            is_calendar_week         bool!       Whether the week runs from Monday to Sunday.
            generated_at             timestamp!  When the row was computed.
            metric_version           string!     Version of the formulas.
            items_completed          int64!      Sprint items completed in the week.
            points_completed         float64!    Story points of those items.
            usual_points             float64     Points per week in the four weeks before.
            throughput_index         float64     Throughput against the usual; 100 is as usual.
            lead_time_mean_h         float64     Mean hours from creation to completion.
            lead_time_median_h       float64     Median of those hours; null without an item.
            lead_time_p90_h          float64     90th percentile of those hours.
            usual_lead_time_h        float64     Median hours in the four weeks before.
            lead_time_index          float64     Lead time against the usual; above 100 is faster.
            items_planned            int64!      Items of the sprints that overlap the week.
            items_planned_completed  int64!      Those completed by the end of the week.
            completion_rate          float64     Completed over planned, 0 to 1, or null.
            sprint_elapsed           float64     Share of sprint days gone by, mean over the items.
            completion_index         float64     Completion against elapsed time; 100 is on plan.
            velocity_index           float64     Mean of the three indices; null when all are null.
            coding_sessions          int64!      Coding sessions that ended in the week.
            coding_hours             float64!    Hours of those sessions.
            lines_added              int64!      Lines added in those sessions.
            lines_deleted            int64!      Lines deleted in those sessions.
            executions               int64!      Code executions in the week.
            executions_succeeded     int64!      Those that succeeded.
        """,
    ),
)

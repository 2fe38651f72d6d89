-- Scores of agents on $day. The formulas and their words are in the declaration of
-- derived/intelligence_scores; each step here is a column there.
WITH runs_per_day AS (
    SELECT
        agent_id,
        date,
        count(*) AS runs,
        count(*) FILTER (status = 'succeeded') AS runs_succeeded,
        count(*) FILTER (status IN ('failed', 'timed_out')) AS runs_failed
    FROM agent_run_log
    GROUP BY agent_id, date
),
calls_per_day AS (
    SELECT
        agent_id,
        date,
        count(*) AS llm_calls,
        sum(total_tokens)::BIGINT AS total_tokens,
        sum(cost_usd)::DECIMAL(18, 6) AS cost_usd
    FROM platform_llm_token_usage
    WHERE agent_id IS NOT NULL
    GROUP BY agent_id, date
),
agent_days AS (
    SELECT
        agent_id,
        date,
        coalesce(runs, 0) AS runs,
        coalesce(runs_succeeded, 0) AS runs_succeeded,
        coalesce(runs_failed, 0) AS runs_failed,
        coalesce(llm_calls, 0) AS llm_calls,
        coalesce(total_tokens, 0) AS total_tokens,
        coalesce(calls.cost_usd, 0)::DECIMAL(18, 6) AS cost_usd,
        coalesce(calls.cost_usd, 0)::DOUBLE / nullif(runs_succeeded, 0) AS run_cost_usd
    FROM runs_per_day
    FULL JOIN calls_per_day AS calls USING (agent_id, date)
),
fleet AS (
    SELECT
        sum(runs_succeeded)::DOUBLE
        / nullif(sum(runs_succeeded) + sum(runs_failed), 0) AS fleet_success_rate,
        median(run_cost_usd) FILTER (cost_usd > 0) AS fleet_run_cost_usd,
        quantile_cont(runs, 0.95) FILTER (runs > 0) AS fleet_runs_p95
    FROM agent_days
),
judged AS (
    SELECT
        agent_id,
        count(*) AS ratings,
        avg(CASE signal_type WHEN 'rating' THEN (rating - 1) / 4 ELSE (rating + 1) / 2 END)
            AS rating_mean
    FROM rlhf_signals
    WHERE agent_id IS NOT NULL AND rating IS NOT NULL AND signal_type IN ('rating', 'thumbs')
    GROUP BY agent_id
),
trends AS (
    SELECT
        agent_id,
        quality_score AS quality_trend,
        trend_date AS quality_trend_date
    FROM platform_agent_quality_trends
    -- A score of this day that was written early is not about the past.
    WHERE trend_date <= $day
    QUALIFY row_number() OVER (
        PARTITION BY agent_id ORDER BY trend_date DESC, created_at DESC, id DESC
    ) = 1
),
components AS (
    SELECT
        agent_days.* EXCLUDE (date),
        fleet.*,
        coalesce(ratings, 0) AS ratings,
        rating_mean,
        quality_trend,
        quality_trend_date
    FROM agent_days
    CROSS JOIN fleet
    LEFT JOIN judged USING (agent_id)
    LEFT JOIN trends USING (agent_id)
    WHERE agent_days.date = $day
),
scored AS (
    SELECT
        *,
        100 * (runs_succeeded + 5 * fleet_success_rate)
        / (nullif(runs_succeeded + runs_failed, 0) + 5) AS reliability_score,
        CASE
            WHEN rating_mean IS NULL THEN 100 * quality_trend
            WHEN quality_trend IS NULL THEN 100 * rating_mean
            ELSE 100 * (ratings * rating_mean + 10 * quality_trend) / (ratings + 10)
        END AS quality_score,
        CASE
            WHEN cost_usd = 0 THEN NULL
            WHEN runs_succeeded = 0 THEN 0
            ELSE 100 * fleet_run_cost_usd / (fleet_run_cost_usd + run_cost_usd)
        END AS cost_efficiency_score,
        CASE WHEN fleet_runs_p95 > 0 THEN
            100 * least(1, ln(1 + runs) / ln(1 + fleet_runs_p95))
        END AS activity_score
    FROM components
),
shares AS (
    SELECT
        *,
        CASE WHEN quality_score IS NULL THEN 0 ELSE 0.35::DOUBLE END AS quality_share,
        CASE WHEN reliability_score IS NULL THEN 0 ELSE 0.35::DOUBLE END AS reliability_share,
        CASE WHEN cost_efficiency_score IS NULL THEN 0 ELSE 0.15::DOUBLE END AS cost_share,
        CASE WHEN activity_score IS NULL THEN 0 ELSE 0.15::DOUBLE END AS activity_share,
        nullif(quality_share + reliability_share + cost_share + activity_share, 0) AS all_shares
    FROM scored
),
weighted AS (
    SELECT
        *,
        coalesce(quality_share / all_shares, 0) AS quality_weight,
        coalesce(reliability_share / all_shares, 0) AS reliability_weight,
        coalesce(cost_share / all_shares, 0) AS cost_efficiency_weight,
        coalesce(activity_share / all_shares, 0) AS activity_weight,
        CASE WHEN all_shares IS NOT NULL THEN
            quality_weight * coalesce(quality_score, 0)
            + reliability_weight * coalesce(reliability_score, 0)
            + cost_efficiency_weight * coalesce(cost_efficiency_score, 0)
            + activity_weight * coalesce(activity_score, 0)
        END AS intelligence_score
    FROM shares
)
SELECT
    $day AS score_date,
    agent_id,
    $version AS score_version,
    runs,
    runs_succeeded,
    runs_failed,
    fleet_success_rate,
    reliability_score,
    ratings,
    rating_mean,
    quality_trend,
    quality_trend_date,
    quality_score,
    llm_calls,
    total_tokens,
    cost_usd,
    run_cost_usd,
    fleet_run_cost_usd,
    cost_efficiency_score,
    fleet_runs_p95,
    activity_score,
    quality_weight,
    reliability_weight,
    cost_efficiency_weight,
    activity_weight,
    intelligence_score,
    CASE WHEN intelligence_score IS NOT NULL THEN
        rank() OVER (ORDER BY intelligence_score DESC NULLS LAST)
    END AS rank
FROM weighted
ORDER BY agent_id

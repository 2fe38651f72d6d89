-- Delivery speed of projects in the seven days before $day. The formulas and their words are in the
-- declaration of derived/velocity_metrics; each step here is a column there.
WITH week AS (
    SELECT
        $day::DATE - 7 AS week_start,
        $day::DATE - 1 AS week_end,
        $day::DATE - 35 AS usual_start
),
items AS (
    SELECT
        project_id,
        coalesce(story_points, 1) AS points,
        completed_at::DATE AS completed_on,
        date_diff('millisecond', created_at, completed_at) / 3600000.0 AS lead_time_h,
        sprint_start,
        sprint_end,
        status <> 'cancelled' AND sprint_start <= week_end AND sprint_end >= week_start AS planned,
        status <> 'cancelled' AND completed_on BETWEEN week_start AND week_end AS done,
        status <> 'cancelled'
        AND completed_on BETWEEN usual_start AND week_start - 1 AS done_before,
        week_start,
        week_end
    FROM platform_sprint_plans
    CROSS JOIN week
),
delivered AS (
    SELECT
        project_id,
        count(*) FILTER (done) AS items_completed,
        coalesce(sum(points) FILTER (done), 0)::DOUBLE AS points_completed,
        coalesce(sum(points) FILTER (done_before), 0) / 4 AS usual_points,
        avg(lead_time_h) FILTER (done) AS lead_time_mean_h,
        median(lead_time_h) FILTER (done) AS lead_time_median_h,
        quantile_cont(lead_time_h, 0.9) FILTER (done) AS lead_time_p90_h,
        median(lead_time_h) FILTER (done_before) AS usual_lead_time_h,
        count(*) FILTER (planned) AS items_planned,
        count(*) FILTER (planned AND completed_on <= week_end) AS items_planned_completed,
        avg(
            (least(week_end, sprint_end) - sprint_start + 1) / (sprint_end - sprint_start + 1)
        ) FILTER (planned) AS sprint_elapsed
    FROM items
    GROUP BY project_id
    HAVING count(*) FILTER (planned OR done) > 0
),
sessions AS (
    SELECT
        project_id,
        count(*) AS coding_sessions,
        sum(coalesce(duration_ms, 0)) / 3600000.0 AS coding_hours,
        sum(coalesce(lines_added, 0))::BIGINT AS lines_added,
        sum(coalesce(lines_deleted, 0))::BIGINT AS lines_deleted
    FROM (
        FROM platform_coding_sessions
        -- A session is written again on each day on which it changed.
        QUALIFY row_number() OVER (PARTITION BY session_id ORDER BY updated_at DESC) = 1
    )
    CROSS JOIN week
    WHERE project_id IS NOT NULL AND ended_at::DATE BETWEEN week_start AND week_end
    GROUP BY project_id
),
executed AS (
    SELECT
        project_id,
        count(*) AS executions,
        count(*) FILTER (status = 'succeeded') AS executions_succeeded
    FROM platform_project_executions
    GROUP BY project_id
),
projects AS (
    SELECT
        project_id,
        week_start,
        week_end,
        isodow(week_start) = 1 AS is_calendar_week,
        coalesce(items_completed, 0) AS items_completed,
        coalesce(points_completed, 0) AS points_completed,
        usual_points,
        100 * points_completed / nullif(usual_points, 0) AS throughput,
        lead_time_mean_h,
        lead_time_median_h,
        lead_time_p90_h,
        usual_lead_time_h,
        100 * usual_lead_time_h / nullif(lead_time_median_h, 0) AS lead_time,
        coalesce(items_planned, 0) AS items_planned,
        coalesce(items_planned_completed, 0) AS items_planned_completed,
        items_planned_completed / nullif(items_planned, 0) AS completion_rate,
        sprint_elapsed,
        100 * completion_rate / nullif(sprint_elapsed, 0) AS completion,
        coalesce(coding_sessions, 0) AS coding_sessions,
        coalesce(coding_hours, 0) AS coding_hours,
        coalesce(lines_added, 0) AS lines_added,
        coalesce(lines_deleted, 0) AS lines_deleted,
        coalesce(executions, 0) AS executions,
        coalesce(executions_succeeded, 0) AS executions_succeeded
    FROM delivered
    FULL JOIN sessions USING (project_id)
    FULL JOIN executed USING (project_id)
    CROSS JOIN week
    -- Without the plans of the day, a project's work says nothing of its plan.
    WHERE EXISTS (FROM platform_sprint_plans)
)
SELECT
    * EXCLUDE (throughput, lead_time, completion),
    -- Not least(): it passes over nulls.
    if(throughput > 200, 200, throughput) AS throughput_index,
    if(lead_time > 200, 200, lead_time) AS lead_time_index,
    if(completion > 200, 200, completion) AS completion_index,
    list_avg([throughput_index, lead_time_index, completion_index]) AS velocity_index,
    $version AS metric_version
FROM projects
ORDER BY project_id

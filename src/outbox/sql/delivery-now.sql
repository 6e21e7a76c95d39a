-- How a delivery looks to people: every list, `why` and count reads it here.

-- The status of a delivery is that of its task.
create or replace function pawl.delivery_status(p_state text, p_attempt smallint) returns text
language sql immutable
return case p_state
    when 'running' then 'processing'
    when 'done' then 'published'
    when 'dead' then 'dead'
    when 'ready' then case when p_attempt > 0 then 'failed' else 'pending' end
    when 'scheduled' then case when p_attempt > 0 then 'failed' else 'pending' end
    when 'arrived' then 'pending'
    when 'waiting' then 'pending'
    when 'limited' then case when p_attempt > 0 then 'failed' else 'pending' end
    else 'cancelled' end;

-- The status of an event aggregates those of its deliveries: processing > failed > pending > dead > published.
create or replace function pawl.event_status(p_deliveries text[]) returns text
language sql immutable
return case
    when 'processing' = any (p_deliveries) then 'processing'
    when 'failed' = any (p_deliveries) then 'failed'
    when 'pending' = any (p_deliveries) then 'pending'
    when 'dead' = any (p_deliveries) then 'dead'
    when 'published' = any (p_deliveries) then 'published'
    else 'cancelled' end;

-- A row a delivery whose task is not forgotten yet; its id is that of its task. event_name: null when retention has removed the
-- event. offset: each task is looked up by its id.
create or replace view pawl.delivery_now_v1 as
  select v.task_id as id, v.event_id, e.name as event_name, d.name as destination, d.type,
         pawl.delivery_status(t.state, t.attempt) as status, t.attempt, t.max_attempts, t.run_at, t.ended_at, t.error, t.result, v.replay
    from pawl.delivery v
    join pawl.destination d on d.id = v.destination_id
    left join pawl.event e on e.id = v.event_id
    cross join lateral (
      select k.state, k.attempt, k.max_attempts, k.run_at, k.ended_at, k.error, k.result
        from pawl.task_v1 k where k.id = v.task_id offset 0) t;

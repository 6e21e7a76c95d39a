-- Pawl's own events are ordinary ones, recorded where a route wants them. None is recorded about a delivery of one, nor
-- about a job that one caused: alarms do not alarm about themselves.
-- Their names are put together, so that they stay when another schema's name takes the place of ours.

create or replace function pawl.is_wanted(p_name text) returns boolean
language sql stable as $$ select exists (select 1 from pawl.routes_for(array[p_name])) $$;

create or replace function pawl.announce_unrouted_v1(p_ids uuid[]) returns void
language plpgsql volatile as $$
begin
  if not pawl.is_wanted('pawl' || '.event.unrouted') then return; end if;
  insert into pawl.event (name, aggregate_type, aggregate_id, payload)
  select 'pawl' || '.event.unrouted', 'event', e.id,
         jsonb_build_object('eventId', e.id, 'eventName', e.name, 'aggregateType', e.aggregate_type, 'aggregateId', e.aggregate_id)
    from pawl.event e where e.id = any (p_ids) and e.name not like 'pawl' || '.%' order by e.number;
end $$;

-- The kernel's hooks.
create or replace function pawl.on_dead(p_ids bigint[]) returns void
language plpgsql volatile as $$
begin
  if not exists (select 1 from pawl.dead_events() n (name) where pawl.is_wanted(n.name)) then return; end if;
  insert into pawl.event (name, aggregate_type, aggregate_id, payload)
  select n.name, coalesce(a.about, case when v.task_id is null then 'task' else 'delivery' end), x.id,
         jsonb_build_object('taskId', x.id::text, 'queue', x.queue, 'kind', x.kind, 'attempt', x.attempt, 'reason', x.reason,
           'error', x.error)
         || case when v.task_id is null then '{}' else jsonb_build_object('deliveryId', x.id::text, 'destination', d.name,
              'eventId', e.id, 'eventName', e.name) end || coalesce(a.more, '{}')
    from pawl.task_dead_v1 x
    left join pawl.dead_as(p_ids) a on a.id = x.id
    left join pawl.delivery v on v.task_id = x.id
    left join pawl.destination d on d.id = v.destination_id
    left join pawl.event e on e.id = v.event_id
    cross join lateral (select coalesce(a.name, case when v.task_id is null then 'pawl' || '.task.dead' else 'pawl' || '.delivery.dead' end) as name) n
   where x.id = any (p_ids) and pawl.is_wanted(n.name)
     and coalesce(e.name, x.meta ->> 'eventName', '') not like 'pawl' || '.%'
   order by x.id;
end $$;

-- Once an incident: when a breaker opens, and when it has closed again. p_why: what closed it.
create or replace function pawl.on_breaker(p_stream int, p_before text, p_phase text, p_until timestamptz, p_error jsonb,
  p_why text) returns void
language plpgsql volatile as $$
declare
  v_verb text := case when p_before = 'closed' and p_phase = 'open' then 'tripped' when p_before <> 'closed' and p_phase = 'closed' then 'recovered' end;
  v_name text;
begin
  if v_verb is null then return; end if;
  select case when d.id is null then 'pawl' || '.breaker.' else 'pawl' || '.destination.' end || v_verb into v_name
    from pawl.stream st left join pawl.destination d on d.stream_id = st.id and d.removed_at is null where st.id = p_stream;
  if not pawl.is_wanted(v_name) then return; end if;
  insert into pawl.event (name, aggregate_type, aggregate_id, payload)
  select v_name, case when d.id is null then 'kind' else 'destination' end, coalesce(d.name, st.kind),
         jsonb_build_object('queue', q.name, 'kind', st.kind, 'destination', d.name, 'until', p_until, 'error', p_error)
           || case when p_why is null then '{}' else jsonb_build_object('why', p_why) end
    from pawl.stream st join pawl.queue q on q.id = st.queue_id
    left join pawl.destination d on d.stream_id = st.id and d.removed_at is null where st.id = p_stream;
end $$;

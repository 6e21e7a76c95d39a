-- Lists of deliveries and events; and the task of a delivery to a job.

-- Tasks without a tenant of the meta whose name no index takes: [{"meta", …}], of which the first may have one.
create or replace function pawl.without_long_tenant(p_tasks jsonb) returns jsonb
language sql immutable
return case when length(p_tasks #>> '{0,meta,tenant,company}') > 200 or length(p_tasks #>> '{0,meta,tenant,plugin}') > 200
  then p_tasks #- '{0,meta,tenant}' else p_tasks end;

-- The task of a delivery to a job, if some code defines the kind; else no row. Its meta, and its payload where p_is_event, are the
-- event's with what Pawl adds: their limits were those of the event.
create or replace function pawl.enqueue_known_v1(p_kind text, p_tasks jsonb, p_is_event boolean) returns table (id text, outcome text)
language plpgsql volatile as $$
begin
  if not exists (select 1 from pawl.stream st where st.kind = p_kind and st.version = 1 and st.defined_at is not null) then return; end if;
  return query select e.id::text, e.outcome
    from pawl.put_tasks(pawl.without_long_tenant(p_tasks), false, case when p_is_event then '{}' else '{payload}' end::text[]) e;
end $$;

create or replace function pawl.events_v1(p_id uuid, p_name text, p_limit int) returns table (number bigint, id uuid, name text,
  aggregate_type text, aggregate_id text, occurred_at timestamptz, routed_at timestamptz, status text,
  deliveries int, payload jsonb, meta jsonb)
language sql stable as $$
  select e.number, e.id, e.name, e.aggregate_type, e.aggregate_id, e.occurred_at, e.routed_at,
         case when e.routed_at is null then 'pending' when e.deliveries = 0 then 'unrouted' else 
           pawl.event_status(array(select v.status from pawl.delivery_now_v1 v where v.event_id = e.id)) end,
         e.deliveries, e.payload, e.meta
    from pawl.event e
   where (p_id is null or e.id = p_id) and (p_name is null or e.name like p_name)
   order by e.number desc limit p_limit
$$;

create or replace function pawl.deliveries_v1(p_destination text, p_limit int) returns table (id bigint, event_id uuid,
  event_name text, destination text, type text, status text, attempt smallint, max_attempts int, run_at timestamptz,
  ended_at timestamptz, error jsonb)
language sql stable as $$
  select n.id, n.event_id, n.event_name, n.destination, n.type, n.status, n.attempt, n.max_attempts, n.run_at, n.ended_at, n.error
    from (select v.task_id from pawl.delivery v
           where p_destination is null
              or v.destination_id = (select d.id from pawl.destination d where d.name = p_destination)
           order by v.task_id desc limit p_limit) v
    join lateral (select * from pawl.delivery_now_v1 x where x.id = v.task_id offset 0) n on true
   order by n.id desc
$$;

-- Counts that people look for first; each exact up to 10,000.
create or replace function pawl.outbox_stats_v1() returns table (to_route bigint, unrouted bigint, oldest_to_route_ms bigint, estimates text[])
language plpgsql stable
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
begin
  estimates := '{}';
  select count(*) into to_route from (select 1 from pawl.event e where e.routed_at is null limit 10001) c;
  if to_route > 10000 then
    estimates := array_append(estimates, 'to_route');
    to_route := greatest(10001, pawl.estimated_count('pawl.event r where r.routed_at is null', '(r.number + 0)', 'true'));
  end if;
  select count(*) into unrouted from (select 1 from pawl.event e where e.deliveries = 0 limit 10001) c;
  if unrouted > 10000 then
    estimates := array_append(estimates, 'unrouted');
    unrouted := greatest(10001, pawl.estimated_count('pawl.event r where r.deliveries = 0', 'r.number', 'true'));
  end if;
  select greatest(extract(epoch from pawl.now() - e.occurred_at) * 1000, 0)::bigint into oldest_to_route_ms
    from pawl.event e where e.routed_at is null order by e.number + 0 limit 1;
  return next;
end $$;

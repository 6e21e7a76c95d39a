-- Events for whose deliveries something waits. It is told by the kernel's hook when one of them ends, and by pawl.on_unrouted.

-- Records such an event: {"name", "aggregateType", "aggregateId", "payload", "meta", "target"?: {"name", "type"?}}.
create or replace function pawl.record_watched(p_event jsonb) returns uuid
language plpgsql volatile as $$
declare
  v_id uuid;
begin
  select r.id::uuid into v_id
    from pawl.record_v1(p_event ->> 'name', p_event ->> 'aggregateType', p_event ->> 'aggregateId', p_event -> 'payload', p_event -> 'meta',
      null, p_event #>> '{target,type}', p_event #>> '{target,name}') r;
  update pawl.event e set is_watched = true where e.id = v_id;
  return v_id;
end $$;

-- Of tasks that are deliveries: their events.
create or replace function pawl.events_of_deliveries(p_ids bigint[]) returns setof uuid
language sql stable as $$ select distinct v.event_id from pawl.delivery v where v.task_id = any (p_ids) $$;

-- How far an event is: {"id", "name", "status", "deliveries": [{"id", "destination", "status", "error"}]}. Its status is as in lists, or
-- forgotten: retention has removed the event, or history all that its deliveries came to.
create or replace function pawl.event_ending(p_id uuid) returns jsonb
language sql stable as $$
  select jsonb_build_object('id', p_id, 'name', e.name, 'deliveries', coalesce(d.list, '[]'), 'status',
           case when e.id is null then 'forgotten' when e.routed_at is null then 'pending' when e.deliveries = 0 then 'unrouted'
             when d.list is null then 'forgotten' else pawl.event_status(d.statuses) end)
    from (select 1) one
    left join pawl.event e on e.id = p_id
    left join lateral (
      select array_agg(v.status) as statuses, jsonb_agg(jsonb_build_object('id', v.id::text, 'destination', v.destination, 'status', v.status,
               'error', left(v.error ->> 'message', 500)) order by v.id) as list
        from pawl.delivery_now_v1 v where v.event_id = p_id) d on true
$$;

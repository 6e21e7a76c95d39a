-- Destinations and routes as the fleet's code defines them.
insert into pawl.owned_kind (kind, relation, what) values ('destinations', 'destination', 'destination'), ('routes', 'route', null)
on conflict (kind) do update set relation = excluded.relation, what = excluded.what;

-- {"application", "revision", "destinations": [{"name", "queue", "type", "config", "ordering"}],
--  "routes": [{"pattern", "destination", "filter", "path", "priority", "active"}]}
-- Queues and streams are registered before. An application's routes are replaced as a whole; what an operator turned off
-- stays off. A destination that an operator made is not taken over.
create or replace function pawl.register_outbox_v1(p_definitions jsonb) returns void
language plpgsql volatile as $$
declare
  v_application text := p_definitions ->> 'application';
  v_revision int := (p_definitions ->> 'revision')::int;
  v_taken text;
begin
  perform pg_advisory_xact_lock(hashtextextended('pawl.register', 0));
  -- an older revision changes nothing
  if exists (select 1 from pawl.destination d where d.application = v_application and d.revision > v_revision) then
    return;
  end if;
  select d.name into v_taken from pawl.destination d
    join jsonb_to_recordset(p_definitions -> 'destinations') as n (name text) on n.name = d.name
   where d.application is null and d.removed_at is null order by d.name limit 1;
  if found then
    raise exception 'destination "%" was made by an operator', v_taken using errcode = 'PW015',
      hint = 'give the one in the code another name, or remove the operator''s with `pawl destinations remove`';
  end if;
  insert into pawl.destination as d (name, queue_id, stream_id, type, config, ordering, application, revision)
  select n.name, q.id, st.id, n.type, n.config, coalesce(n.ordering, 'none'), v_application, v_revision
    from jsonb_to_recordset(p_definitions -> 'destinations') as n (name text, queue text, type text, config jsonb, ordering text)
    join pawl.queue q on q.name = n.queue
    join pawl.stream st on st.queue_id = q.id and st.kind = 'delivery'
   order by n.name
  on conflict (name) where removed_at is null do update
     set type = excluded.type, config = excluded.config, ordering = excluded.ordering,
         application = excluded.application, revision = excluded.revision, defined_at = pawl.now()
   where d.application in ('', excluded.application);
  with given as materialized (
    select n.pattern, d.id as destination_id, pawl.filter_of(n.filter) as filter, pawl.path_of(n.path) as path, coalesce(n.priority, 1) as priority,
           coalesce(n.active, true) as active
      from jsonb_to_recordset(p_definitions -> 'routes')
        as n (pattern text, destination text, filter jsonb, path text, priority smallint, active boolean)
      join pawl.destination d on d.name = n.destination and d.removed_at is null
  ), named as materialized (
    -- the same route twice: what is active counts, and of that the first priority
    select distinct on (m.pattern, m.destination_id, m.filter, m.path::text) m.* from given m
     order by m.pattern, m.destination_id, m.filter, m.path::text, m.active desc, m.priority
  ), gone as (
    delete from pawl.route r where r.application = v_application and not exists (
      select 1 from named n where n.pattern = r.pattern and n.destination_id = r.destination_id
         and n.filter is not distinct from r.filter and n.path::text is not distinct from r.path::text)
  ), kept as (
    update pawl.route r set priority = n.priority, active = n.active from named n
     where r.application = v_application and n.pattern = r.pattern and n.destination_id = r.destination_id
       and n.filter is not distinct from r.filter and n.path::text is not distinct from r.path::text
  )
  insert into pawl.route (pattern, destination_id, filter, path, priority, active, application)
  select n.pattern, n.destination_id, n.filter, n.path, n.priority, n.active, v_application
    from named n
   where not exists (
    select 1 from pawl.route r where r.application = v_application and n.pattern = r.pattern
       and n.destination_id = r.destination_id and n.filter is not distinct from r.filter
       and n.path::text is not distinct from r.path::text);
end $$;

-- The event that tells of a run in error. It takes the place of pawl.task.dead: one incident is told once.

create or replace function pawl.dead_events() returns setof text
language sql immutable as $$ values ('pawl' || '.delivery.dead'), ('pawl' || '.task.dead'), ('pawl' || '.process.error') $$;

create or replace function pawl.dead_as(p_ids bigint[]) returns table (id bigint, name text, about text, more jsonb)
language plpgsql stable as $$
begin
  return query
  select x.id, 'pawl' || '.process.error', 'run', jsonb_build_object('runId', x.id::text, 'process', x.kind, 'version', x.version,
           'step', pawl.step_at(x.id, (v.shape -> 0) ->> 'name'), 'key', x.key)
    from pawl.task_dead_v1 x
    left join pawl.process_version v on v.process = x.kind and v.version = x.version
   where x.id = any (p_ids) and x.queue = 'processes';
end $$;

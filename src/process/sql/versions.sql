-- The versions of processes and their shapes.

insert into pawl.part_queue (like_pattern, part, hint) values ('processes', 'process', 'a run is started by pawl.start of the app, or pawl.start_process')
on conflict (like_pattern) do update set hint = excluded.hint;

-- Writes the versions that an app defines: [{"process", "version", "title", "shape"}]. Answers those whose shape is stored
-- otherwise, while there are runs or a live worker knows it: nothing of them is written. Else a version takes the new shape.
create or replace function pawl.define_processes_v1(p_application text, p_versions jsonb)
returns table (process text, version int, stored jsonb)
language plpgsql volatile as $$
#variable_conflict use_column
begin
  return query
  select v.process, v.version, v.shape
    from jsonb_to_recordset(p_versions) d (process text, version int, shape jsonb)
    join pawl.process_version v on v.process = d.process and v.version = d.version
   where v.shape <> d.shape
     and (pawl.has_tasks('processes', d.process, d.version) or pawl.is_known('processes', d.process, d.version))
   order by v.process, v.version;
  if found then return; end if;
  insert into pawl.process_version as v (process, version, title, shape, application)
  select d.process, d.version, d.title, d.shape, p_application
    from jsonb_to_recordset(p_versions) d (process text, version int, title text, shape jsonb)
   order by d.process, d.version
  on conflict (process, version) do update
     set title = excluded.title, shape = excluded.shape, application = excluded.application,
         defined_at = case when v.shape = excluded.shape then v.defined_at else excluded.defined_at end
   where (v.title, v.shape, v.application) is distinct from (excluded.title, excluded.shape, excluded.application);
end $$;

-- Each version with its runs: live and in error. is_known: a live worker can run it.
create or replace function pawl.process_versions_v1(p_process text) returns table (process text, version int, title text, steps text[],
  defined_at timestamptz, live bigint, errors bigint, is_known boolean)
language sql stable as $$
  select v.process, v.version, v.title,
         array(select e.step ->> 'name' from jsonb_array_elements(v.shape) with ordinality e (step, place) order by e.place),
         v.defined_at, c.live, c.dead, c.is_known
    from pawl.process_version v
    cross join lateral pawl.count_tasks('processes', v.process, v.version) c
   where p_process is null or v.process = p_process
   order by v.process, v.version
$$;

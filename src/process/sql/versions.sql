-- The versions of processes and their shapes.

insert into pawl.part_queue (like_pattern, part, hint) values ('processes', 'process', 'a run is started by pawl.start of the app, or pawl.start_process')
on conflict (like_pattern) do update set hint = excluded.hint;

-- Writes the versions that an app defines: [{"process", "version", "title", "shape", "columns", "keep_sent_ms", "keep_results_ms"}]. Answers those whose shape is stored
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
  insert into pawl.process_version as v (process, version, title, shape, columns, application, keep_sent, keep_results)
  select d.process, d.version, d.title, d.shape, d.columns, p_application, d.keep_sent_ms * interval '1 ms', d.keep_results_ms * interval '1 ms'
    from jsonb_to_recordset(p_versions) d (process text, version int, title text, shape jsonb, columns jsonb, keep_sent_ms float8, keep_results_ms float8)
   order by d.process, d.version
  on conflict (process, version) do update
     set title = excluded.title, shape = excluded.shape, columns = excluded.columns, application = excluded.application, keep_sent = excluded.keep_sent,
         keep_results = excluded.keep_results,
         defined_at = case when v.shape = excluded.shape then v.defined_at else excluded.defined_at end
   where (v.title, v.shape, v.columns, v.application, v.keep_sent, v.keep_results)
     is distinct from (excluded.title, excluded.shape, excluded.columns, excluded.application, excluded.keep_sent, excluded.keep_results);
end $$;

-- Each version with its runs: live and in error; of the live ones, at most 10,001: those of which no step has ended or failed yet (fresh), and
-- the most attempts that one of them has failed at the step where it stands. is_known: a live worker can run it. off, quiet, off_hosts: what
-- holds the process everywhere, and the hosts on which a file or a variable does.
create or replace function pawl.process_versions_v1(p_process text) returns table (process text, version int, title text, steps text[],
  defined_at timestamptz, live bigint, errors bigint, is_known boolean, fresh bigint,
  most_attempts int, most_attempts_id bigint, columns text[], off jsonb, quiet jsonb, off_hosts text[])
language sql stable as $$
  select v.process, v.version, v.title,
         array(select e.step ->> 'name' from jsonb_array_elements(v.shape) with ordinality e (step, place) order by e.place),
         v.defined_at, c.live, c.dead, c.is_known, n.fresh, n.most, n.most_id,
         array(select e.one ->> 'name' from jsonb_array_elements(v.columns) with ordinality e (one, place) order by e.place),
         coalesce(pawl.switches_of('process', array[v.process]), '[]'), coalesce(pawl.quiet_reasons('process', array[v.process], '1 ms'), '[]'), h.hosts
    from pawl.process_version v
    cross join lateral pawl.off_on_hosts(v.application, array['all', 'process:' || v.process], null, '{}') h
    cross join lateral pawl.count_tasks('processes', v.process, v.version) c
    cross join lateral (
      select count(*) filter (where s.no is null) as fresh, coalesce(max(f.attempt), 0) as most, (array_agg(t.id order by f.attempt desc, t.id) filter (where f.attempt > 0))[1] as most_id
        from pawl.live_tasks('processes', v.process, v.version, 10001) t (id)
        left join lateral pawl.last_step(t.id) s on true
        cross join lateral (select case when s.error is not null and s.outcome in ('failed', 'again', 'began') then s.attempt::int end as attempt) f) n
   where p_process is null or v.process = p_process
   order by v.process, v.version
$$;

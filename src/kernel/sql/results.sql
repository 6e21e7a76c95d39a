-- Waiting for the end of a task from outside. Whoever waits asks again and again; a notification only hastens that, and is sent for no other task.

-- Returns those of the tasks that have ended or died; state null: there is no such task. The end of the others is told, unless somebody has
-- locked the task at this moment.
create or replace function pawl.await_v1(p_ids bigint[])
returns table (id text, state text, kind text, result text, error jsonb, reason text)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_free bigint[] := array(select t.id from pawl.task t where t.id = any (p_ids) and t.state <> 'blocked' order by t.id for update skip locked);
begin
  update pawl.task t set is_awaited = true where t.id = any (v_free) and t.is_awaited is not true;
  insert into pawl.awaited as a (task_id, until) select u.id, pawl.now() + interval '1 minute' from unnest(v_free) u (id)
  on conflict (task_id) do update set until = excluded.until where a.until < excluded.until - interval '30 seconds';
  -- one statement: a dead letter that is retried at this moment is seen either dead or live
  return query
  select u.id::text, coalesce(e.state, f.outcome), st.kind, f.result::text, coalesce(e.error, f.error), e.reason
    from unnest(p_ids) u (id)
    left join lateral (select 'dead' as state, d.error, d.reason, d.stream_id from pawl.dead d where d.id = u.id) e on true
    left join lateral (
      select h.outcome, h.result, h.error, h.stream_id from pawl.finished h where h.id = u.id and e.state is null limit 1) f on true
    left join pawl.stream st on st.id = coalesce(e.stream_id, f.stream_id)
   where not exists (select from pawl.task t where t.id = u.id and t.state <> 'blocked');
end $$;

-- Watched or awaited tasks have ended or died: tells whoever waits.
create or replace function pawl.tell_ends(p_ids bigint[]) returns void
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_awaited bigint[];
begin
  perform pawl.on_end(p_ids);
  perform pawl.after_ended(p_ids);
  with gone as (delete from pawl.awaited a where a.task_id = any (p_ids) returning a.task_id)
  select array_agg(g.task_id) into v_awaited from gone g;
  -- a notification holds 8,000 bytes
  perform pg_notify('pawl.ended', array_to_string(v_awaited[i : i + 299], ',')) from generate_series(1, cardinality(v_awaited), 300) i;
end $$;

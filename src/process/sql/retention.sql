-- What is no longer kept of runs: their steps when history has forgotten them, and before that the payloads that steps have sent and their
-- results, as the definition of their version says.

-- The next run that has a row or a signal.
create or replace function pawl.run_after(p_run bigint) returns bigint
language sql stable as $$
  select least((select s.run_id from pawl.process_step s where s.run_id > p_run order by s.run_id limit 1),
    (select g.run_id from pawl.process_signal g where g.run_id > p_run order by g.run_id limit 1))
$$;

-- Rows that one call changes of each sort at most.
create or replace function pawl.pruned_rows_max() returns int
language sql immutable return 10000;

-- Of these runs, how old their sent payloads may be, and whether their results are no longer kept. One in error has not ended.
create or replace function pawl.kept_of_runs(p_ids bigint[]) returns table (id bigint, sent_before timestamptz, is_over boolean)
language sql stable as $$
  select u.id, pawl.now() - v.keep_sent, coalesce(t.ended_at + v.keep_results <= pawl.now() and t.state <> 'dead', false)
    from unnest(p_ids) u (id)
    cross join lateral (select r.kind, r.version, r.state, r.ended_at from pawl.task_v1 r where r.id = u.id) t
    join pawl.process_version v on v.process = t.kind and v.version = t.version
   where v.keep_sent is not null or v.keep_results is not null
$$;

-- The rows of these runs whose payloads are to go: what was sent stays, without what it was sent with.
create or replace function pawl.sent_to_prune(p_ids bigint[], p_limit int) returns table (run_id bigint, no int)
language sql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
  select s.run_id, s.no from pawl.kept_of_runs(p_ids) k join pawl.process_step s on s.run_id = k.id
   where s.sent is not null and s.ended_at <= k.sent_before and s.sent @? '$[*].payload' limit p_limit
$$;

-- The same of results. What says how a run has ended stays.
create or replace function pawl.results_to_prune(p_ids bigint[], p_limit int) returns table (run_id bigint, no int)
language sql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
  select s.run_id, s.no from pawl.kept_of_runs(p_ids) k join pawl.process_step s on s.run_id = k.id
   where k.is_over and case s.outcome when 'ended' then s.notes is not null
           else s.results_pruned_at is null and (s.output is not null or s.data is not null or s.notes is not null) end limit p_limit
$$;

-- Takes away what p_limit runs after p_after no longer keep, or only counts it. last: the last run that was looked at, or p_after where more
-- of the same runs is left for another call; null: none was left.
create or replace function pawl.prune_runs_v1(p_after bigint, p_limit int, p_is_dry boolean)
returns table (last bigint, steps bigint, sent bigint, results bigint)
language plpgsql volatile
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_ids bigint[];
  v_gone bigint[];
  v_rows int := case when not p_is_dry then pawl.pruned_rows_max() end;
  v_over bigint[];
  v_items bigint;
  v_signals bigint;
begin
  v_ids := array(
    with recursive run as (
      select n.run_id from pawl.run_after(p_after) n (run_id)
      union all
      select n.run_id from run r cross join lateral pawl.run_after(r.run_id) n (run_id) where r.run_id is not null
    ) select r.run_id from run r where r.run_id is not null limit p_limit);
  last := (select max(u.id) from unnest(v_ids) u (id));
  v_gone := pawl.unknown_tasks(v_ids);
  if p_is_dry then
    select count(*) into steps from pawl.process_step s where s.run_id = any (v_gone);
    select count(*) into sent from pawl.sent_to_prune(v_ids, v_rows);
    select count(*) into results from pawl.results_to_prune(v_ids, v_rows);
    return next;
    return;
  end if;
  delete from pawl.process_step s where s.run_id = any (v_gone);
  get diagnostics steps = row_count;
  delete from pawl.process_signal s where s.run_id = any (v_gone);
  delete from pawl.process_item i where i.run_id = any (v_gone);
  delete from pawl.process_hold h where h.run_id = any (v_gone);
  update pawl.process_step s
     set sent = (select jsonb_agg(jsonb_build_object('action', e.one -> 'action') order by e.place) from jsonb_array_elements(s.sent) with ordinality e (one, place))
    from pawl.sent_to_prune(v_ids, v_rows) p where s.run_id = p.run_id and s.no = p.no;
  get diagnostics sent = row_count;
  v_over := array(select k.id from pawl.kept_of_runs(v_ids) k where k.is_over);
  update pawl.process_signal g set payload = 'null'
   where g.id in (select o.id from pawl.process_signal o where o.run_id = any (v_over) and o.payload <> 'null' limit v_rows);
  get diagnostics v_signals = row_count;
  update pawl.process_item i set output = null
    from (select o.run_id, o.no, o.item from pawl.process_item o where o.run_id = any (v_over) and o.output is not null limit v_rows) p
   where i.run_id = p.run_id and i.no = p.no and i.item = p.item;
  get diagnostics v_items = row_count;
  update pawl.process_step s
     set output = case s.outcome when 'ended' then s.output end, data = case s.outcome when 'ended' then s.data end, notes = null,
         results_pruned_at = case when s.outcome <> 'ended' then pawl.now() end
    from pawl.results_to_prune(v_ids, v_rows) p where s.run_id = p.run_id and s.no = p.no;
  get diagnostics results = row_count;
  if greatest(sent, results, v_items, v_signals) = v_rows then last := p_after; end if;
  return next;
end $$;

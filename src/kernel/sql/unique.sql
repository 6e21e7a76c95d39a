-- Keys that say more than "one may live": unique for a time, or the last one counts. The field "unique" of a task, which has a key:
--   {"for_ms"}: unique until that long after it was enqueued too, if it was done
--   {"replace": true}: the newest takes the place of the one that waits
--   {"debounce_ms", "debounce_max_ms"?}: the same, and it starts when no other has come for that long, the maximum after the first at the latest
-- No task that a worker may be claiming is changed, and no shard locked: a claim would run what was there before. It gives its key up, and a
-- task of its own follows it.

-- Refuses bad ones before anything is written.
create or replace function pawl.check_unique(p_tasks jsonb) returns void
language plpgsql stable as $$
declare
  v_place bigint;
  v_wrong text;
  v_rules text;
begin
  select e.place, string_agg(format('bad unique %s: %s', left(e.u::text, 100), f.rule), '; ' order by f.no), min(f.rule)
    into v_place, v_wrong, v_rules
    from (select t.place, t.task, t.task -> 'unique' as u from jsonb_array_elements(p_tasks) with ordinality t (task, place)) e
    cross join lateral (values
      (1, jsonb_typeof(e.u) = 'object' and (select count(*) from jsonb_object_keys(e.u - 'debounce_max_ms')) = 1
          and e.u ?| '{for_ms, replace, debounce_ms}', 'it is an object with one of for_ms, replace and debounce_ms'),
      (2, e.task ->> 'key' is not null, 'the task needs a key'),
      (3, not e.u ? 'for_ms' or coalesce(pawl.is_duration_ms(e.u ->> 'for_ms') and e.u ->> 'for_ms' !~ '^0+$', false),
        'for_ms is 1 to 315360000000 milliseconds (3,650 days)'),
      (4, not e.u ? 'replace' or e.u -> 'replace' = 'true', 'replace is true'),
      (5, not e.u ? 'debounce_ms' or coalesce(pawl.is_duration_ms(e.u ->> 'debounce_ms') and e.u ->> 'debounce_ms' !~ '^0+$', false),
        'debounce_ms is 1 to 315360000000 milliseconds (3,650 days)'),
      (6, not e.u ? 'debounce_max_ms' or coalesce(e.u ? 'debounce_ms' and pawl.is_duration_ms(e.u ->> 'debounce_max_ms'), false),
        'debounce_max_ms is milliseconds up to 315360000000 (3,650 days), beside debounce_ms'),
      (7, not e.u ? 'debounce_ms' or coalesce(e.task ->> 'run_at', e.task ->> 'delay_ms') is null,
        'with debounce_ms no run_at and no delay_ms is given')) f (no, is_good, rule)
   where jsonb_typeof(e.u) <> 'null' and not f.is_good group by e.place order by e.place limit 1;
  if found then raise exception 'task no. % of the call: %', v_place, v_wrong using errcode = 'PW010', hint = v_rules; end if;
end $$;

-- As pawl.put_tasks, for tasks of which some have "unique". One after the other in the order of their keys, so that two calls lock them in the
-- same order.
create or replace function pawl.put_unique_tasks(p_tasks jsonb, p_is_part boolean, p_checked text[]) returns table (id bigint, outcome text)
language plpgsql volatile as $$
#variable_conflict use_column
declare
  v_ids bigint[];
  v_outcomes text[];
  v_one record;
  v_id bigint;
  v_outcome text;
begin
  perform pawl.check_unique(p_tasks);
  if p_checked <> '{}' then perform pawl.check_payloads(p_tasks, p_checked); end if;
  for v_one in
    select e.place, e.task - 'unique' as task, nullif(e.task -> 'unique', 'null') as u, pawl.full_key(e.task ->> 'kind', e.task ->> 'key') as key
      from jsonb_array_elements(p_tasks) with ordinality e (task, place) order by pawl.full_key(e.task ->> 'kind', e.task ->> 'key') collate "C" nulls first, e.place
  loop
    if v_one.u is null then
      select l.id, l.outcome into v_id, v_outcome from pawl.put_tasks(jsonb_build_array(v_one.task), p_is_part, '{}') l;
    elsif v_one.u ? 'for_ms' then
      select o.id, o.outcome into v_id, v_outcome from pawl.put_once(v_one.task, v_one.u, v_one.key, p_is_part) o;
    else
      select o.id, o.outcome into v_id, v_outcome from pawl.put_last(v_one.task, v_one.u, v_one.key, p_is_part) o;
    end if;
    v_ids[v_one.place] := v_id;
    v_outcomes[v_one.place] := v_outcome;
  end loop;
  return query select u.id, u.outcome from unnest(v_ids, v_outcomes) with ordinality u (id, outcome, place) order by u.place;
end $$;

-- True if a task of a key that is unique for a time still has it: it lives, or was done. What died or was cancelled gives it back. Of one that
-- retention has removed nobody knows.
create or replace function pawl.holds_key(p_task bigint) returns boolean
language sql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
  select exists (select 1 from pawl.task t where t.id = p_task and t.state <> 'blocked')
    or not exists (select 1 from pawl.dead d where d.id = p_task)
       and coalesce((select f.outcome = 'done' from pawl.finished f where f.id = p_task limit 1), true)
$$;

create or replace function pawl.put_once(p_task jsonb, p_unique jsonb, p_key text, p_is_part boolean, out id bigint, out outcome text)
language plpgsql volatile as $$
declare
  v_now timestamptz := pawl.now();
  v_until timestamptz := v_now + (p_unique ->> 'for_ms')::bigint * interval '1 ms';
  v_queue int;
  v_is_new boolean := false;
begin
  select g.queue_id into v_queue
    from pawl.target_of(p_task ->> 'kind', p_task ->> 'queue', p_task ->> 'version', p_task ->> 'priority', p_is_part) g;
  loop
    select h.task_id into id from pawl.held_key h where h.queue_id = v_queue and h.key = p_key and h.until > v_now;
    if found and pawl.holds_key(id) then
      outcome := 'duplicate';
      return;
    end if;
    perform from pawl.held_key h where h.queue_id = v_queue and h.key = p_key for update;
    if found then -- in a later statement: somebody may have taken it before the lock
      select h.task_id into id from pawl.held_key h where h.queue_id = v_queue and h.key = p_key and h.until > v_now;
      exit when not found or not pawl.holds_key(id);
      continue;
    end if;
    insert into pawl.held_key (queue_id, key, task_id, until) values (v_queue, p_key, 0, v_until) on conflict do nothing;
    v_is_new := found;
    exit when found;
  end loop;
  select e.id, e.outcome into id, outcome from pawl.put_tasks(jsonb_build_array(p_task), p_is_part, '{}') e;
  if outcome = 'created' then
    update pawl.held_key h set task_id = put_once.id, until = v_until where h.queue_id = v_queue and h.key = p_key;
  elsif v_is_new then -- a task that did not ask for the time lives
    delete from pawl.held_key h where h.queue_id = v_queue and h.key = p_key;
  end if;
end $$;

-- Replaces the task of the key if it waits. One that is ready may be claimed at any moment: a replaced one is not started any more, and
-- if it runs already, not tried again; after one that has waited its time, a new wait begins.
create or replace function pawl.put_last(p_task jsonb, p_unique jsonb, p_key text, p_is_part boolean, out id bigint, out outcome text)
language plpgsql volatile as $$
declare
  v_now timestamptz := pawl.now();
  v_wait interval := (p_unique ->> 'debounce_ms')::bigint * interval '1 ms'; -- null: replace
  v_task jsonb := p_task || case when v_wait is null then '{}' else jsonb_build_object('delay_ms', p_unique -> 'debounce_ms') end;
  v_old pawl.task;
  v_gone bigint[] := '{}';
  v_run_at timestamptz;
  v_to record;
begin
  perform pg_current_xact_id(); -- before the first seq, as the sweep needs it
  loop
    select e.id, e.outcome into id, outcome from pawl.put_tasks(jsonb_build_array(v_task), p_is_part, '{}') e;
    exit when outcome = 'created';
    select t.* into v_old from pawl.task t where t.id = put_last.id and t.key = p_key for update;
    continue when not found; -- it has ended in the meantime
    if v_old.state = 'ready' then
      update pawl.task t set key = null, expires_at = case when v_wait is null then v_now else t.expires_at end where t.id = put_last.id;
      if v_wait is null then v_gone := v_gone || id; end if;
      continue;
    end if;
    v_run_at := coalesce((p_task ->> 'run_at')::timestamptz, v_now + (v_task ->> 'delay_ms')::bigint * interval '1 ms', v_now);
    if v_old.attempt = 0 and v_wait is not null then
      v_run_at := greatest(least(v_run_at, v_old.created_at + (p_unique ->> 'debounce_max_ms')::bigint * interval '1 ms'), v_now);
    end if;
    select g.stream_id, g.shards into v_to
      from pawl.target_of(v_task ->> 'kind', v_task ->> 'queue', v_task ->> 'version', v_task ->> 'priority', p_is_part) g;
    update pawl.task t
       set payload = coalesce(v_task -> 'payload', 'null'), meta = nullif(v_task -> 'meta', 'null'), ref = v_task ->> 'ref',
           limit_key = v_task ->> 'limit_key', max_attempts = (v_task ->> 'max_attempts')::smallint, attempt = 0, last_error = null, progress = null,
           expires_at = coalesce((v_task ->> 'expires_at')::timestamptz, v_now + (v_task ->> 'ttl_ms')::bigint * interval '1 ms'),
           run_at = v_run_at, created_at = case when v_wait is null then v_now else t.created_at end, seq = nextval('pawl.seq'),
           shard_id = case when s.solo then t.shard_id else v_to.shards[1 + t.seq % cardinality(v_to.shards)] end,
           state = case when t.state in ('arrived', 'waiting') then t.state when v_run_at > v_now then 'scheduled'
                        when t.state = 'limited' and t.limit_key = v_task ->> 'limit_key' then 'limited' else 'ready' end
      from pawl.shard s where s.id = t.shard_id and t.id = put_last.id;
    delete from pawl.task_after a where a.task_id = put_last.id;
    outcome := case when v_wait is null then 'replaced' else 'debounced' end;
    perform pawl.wake_v1(array[v_to.stream_id]);
    return;
  end loop;
  if v_gone = '{}' then return; end if;
  outcome := 'replaced';
  update pawl.task t set last_error = jsonb_build_object('name', 'Replaced', 'message', 'replaced by task ' || put_last.id)
   where t.id = any (v_gone);
end $$;

-- Forgets keys whose time is over; returns how many.
create or replace function pawl.forget_keys_v1(p_limit int) returns int
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_forgotten int;
begin
  delete from pawl.held_key h where h.ctid = any (array(
    select k.ctid from pawl.held_key k where k.until < pawl.now() order by k.until limit p_limit for update skip locked));
  get diagnostics v_forgotten = row_count;
  return v_forgotten;
end $$;

-- Breakers: a stream whose attempts fail is tried less.

-- How many of a stream may run at once because of its breaker; null: any number.
create or replace function pawl.breaker_starts(p_breaker pawl.breaker, p_now timestamptz) returns int
language sql immutable
return case p_breaker.phase when 'open' then case when p_breaker.until > p_now then 0 else 1 end
    when 'recovering' then p_breaker.starts end;

-- Takes the workers' reports of attempts: [{"stream", "ok", "failed", "slow"?, "hold_ms"?, "error"?}]. slow: attempts that have run for
-- long; negative: such attempts that have ended (their end is reported too, a bad one as two failures). hold_ms: the receiver asked for a
-- pause of this length; it lasts no longer than a breaker may stay open. Returns the breakers whose phase has changed.
create or replace function pawl.report_v1(p_reports jsonb) returns table (stream_id int, phase text, until timestamptz)
language plpgsql volatile
set lock_timeout = '1s' as $$
#variable_conflict use_column
declare
  v_now timestamptz := pawl.now();
  v_report record;
  v_row pawl.breaker;
  v_before text;
  v_has_changed boolean := false;
begin
  for v_report in
    select r.stream, r.ok, r.failed, coalesce(r.slow, 0) as slow, r.hold_ms, r.error, q.breaker as policy
      from jsonb_to_recordset(p_reports) as r (stream int, ok int, failed int, slow int, hold_ms bigint, error jsonb)
      join pawl.stream st on st.id = r.stream join pawl.queue q on q.id = st.queue_id
     where q.breaker is not null order by r.stream
  loop
    begin
      if v_report.failed > 0 or v_report.slow > 0 or v_report.hold_ms is not null then
        -- an update, not nothing: another report may be removing the row at this moment
        insert into pawl.breaker as b (stream_id) values (v_report.stream)
        on conflict (stream_id) do update set failed = b.failed;
      end if;
      select b.* into v_row from pawl.breaker b where b.stream_id = v_report.stream for update;
      continue when not found;
    exception when lock_not_available then continue; -- somebody holds this one: the others are told all the same
    end;
    v_before := v_row.phase;
    v_row := pawl.judge_breaker(v_row, v_report.ok, v_report.failed, v_report.slow, v_report.hold_ms, v_report.policy, v_now);
    if v_row.phase is null then
      delete from pawl.breaker b where b.stream_id = v_report.stream;
    else
      update pawl.breaker b
         set phase = v_row.phase, since = v_row.since, until = v_row.until, ok = v_row.ok, failed = v_row.failed,
             trips = v_row.trips, starts = v_row.starts, probe_id = v_row.probe_id, probe_seq = v_row.probe_seq,
             error = coalesce(v_report.error, b.error)
       where b.stream_id = v_report.stream;
    end if;
    continue when v_row.phase = 'closed' or v_row.phase is not distinct from v_before and v_row.since < v_now;
    stream_id := v_report.stream;
    phase := coalesce(v_row.phase, 'closed');
    until := v_row.until;
    if phase <> 'closed' or v_before <> 'closed' then
      perform pawl.on_breaker(stream_id, v_before, phase, until, v_report.error, case phase when 'closed' then 'attempts end well' end);
      v_has_changed := true;
      return next;
    end if;
  end loop;
  perform pg_notify('pawl.wake', '') where v_has_changed;
end $$;

-- Computes the next state of a breaker from the attempts; its phase is null if its row can be removed. An attempt that hangs holds a
-- slot all the time, and few fit in a window: it counts as two failures. If such an attempt ends well, that counts as a probe.
create or replace function pawl.judge_breaker(p_row pawl.breaker, p_ok int, p_failed int, p_slow int, p_hold_ms bigint, p_policy jsonb,
  p_now timestamptz) returns pawl.breaker
language plpgsql immutable as $$
declare
  v_row pawl.breaker := p_row;
  v_window interval := (p_policy ->> 'window_ms')::int * interval '1 ms';
  v_slow int;
  v_is_bad boolean;
begin
  -- attempts that began before it opened say nothing new, except those that seemed to hang and ended well
  if v_row.phase = 'open' and p_hold_ms is null and (
    v_row.until > p_now and not (p_slow < 0 and p_ok > 0) or p_ok = 0 and p_failed = 0) then return v_row; end if;
  if v_row.phase = 'closed' and v_row.since <= p_now - v_window then
    v_row.since := p_now;
    v_row.ok := 0;
    v_row.failed := 0;
  end if;
  v_row.probe_id := null;
  v_row.probe_seq := null;
  v_row.ok := v_row.ok + p_ok;
  v_slow := case when v_row.phase = 'open' then 0 else 2 * p_slow end;
  v_row.failed := greatest(v_row.failed + p_failed + v_slow, 0);
  v_is_bad := (p_failed > 0 or v_slow > 0) and case v_row.phase when 'open' then v_row.until <= p_now
    when 'recovering' then v_row.failed >= (p_policy ->> 'ratio')::float8 * (v_row.ok + v_row.failed)
    else v_row.failed >= (p_policy ->> 'failures')::int
     and v_row.failed >= (p_policy ->> 'ratio')::float8 * (v_row.ok + v_row.failed) end;
  if v_is_bad or p_hold_ms is not null then
    v_row.until := greatest(case when v_row.phase = 'open' then v_row.until end, p_now + greatest(
      case when v_is_bad then least((p_policy ->> 'open_ms')::int * 2.0 ^ least(v_row.trips, 20), (p_policy ->> 'open_ms_max')::int) end,
      case when p_hold_ms is not null then least(p_hold_ms, (p_policy ->> 'open_ms_max')::int) end) * interval '1 ms');
    v_row.trips := least(v_row.trips + v_is_bad::int, 30000);
    v_row.phase := 'open';
    v_row.since := p_now;
    v_row.ok := 0;
    v_row.failed := 0;
  elsif v_row.phase = 'open' and p_ok > 0 then
    v_row.phase := 'recovering';
    v_row.since := p_now;
    v_row.until := null;
    v_row.starts := 2;
    v_row.ok := 0;
  elsif v_row.phase = 'recovering' then
    while v_row.starts <= 64 and v_row.ok >= v_row.starts loop
      v_row.ok := v_row.ok - v_row.starts;
      v_row.starts := v_row.starts * 2;
      v_row.failed := 0;
    end loop;
    -- if there is little work, a minute without a failure is enough
    if v_row.starts > 64 or (p_failed = 0 and v_row.since <= p_now - greatest(v_window, interval '1 minute')) then
      v_row.phase := null;
    end if;
  elsif v_row.phase = 'closed' and v_row.failed = 0 then
    v_row.phase := null;
  end if;
  return v_row;
end $$;

-- Closes breakers in any phase, and reports those that were open, so that no incident stays open.
create or replace function pawl.end_breakers_v1(p_streams int[], p_why text) returns void
language plpgsql volatile as $$
declare
  v_row pawl.breaker;
begin
  perform 1 from pawl.breaker b where b.stream_id = any (p_streams) order by b.stream_id for update;
  for v_row in delete from pawl.breaker b where b.stream_id = any (p_streams) returning b.* loop
    perform pawl.on_breaker(v_row.stream_id, v_row.phase, 'closed', null, null, p_why);
  end loop;
end $$;

-- Closes the breakers of streams in which no task waits that could be a probe: a minute (or the window, if that is longer) after the
-- pause was over or the probe ended well; if a task is scheduled, after the longest pause. Forgets failures that
-- no good attempt followed. Returns what was closed.
create or replace function pawl.close_quiet_breakers_v1() returns table (stream_id int, phase text, until timestamptz)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
#variable_conflict use_column
declare
  v_row record;
begin
  for v_row in
    select b.stream_id, b.phase, b.since, b.until, greatest((q.breaker ->> 'window_ms')::int * interval '1 ms', interval '1 minute') as quiet,
           (q.breaker ->> 'open_ms_max')::int * interval '1 ms' as longest
      from pawl.breaker b join pawl.stream st on st.id = b.stream_id join pawl.queue q on q.id = st.queue_id
     where coalesce(b.until, b.since) < pawl.now() - interval '1 minute'
     order by b.stream_id for update of b skip locked
  loop
    continue when coalesce(v_row.until, v_row.since) >= pawl.now() - v_row.quiet
      or exists (select 1 from pawl.shard s join pawl.task t on t.shard_id = s.id and t.state = 'ready' where s.stream_id = v_row.stream_id)
      or v_row.phase = 'open' and v_row.until >= pawl.now() - v_row.longest and exists (
        select 1 from pawl.shard s join pawl.task t on t.shard_id = s.id and t.state = 'scheduled' where s.stream_id = v_row.stream_id);
    perform pawl.end_breakers_v1(array[v_row.stream_id],
      case v_row.phase when 'open' then 'no traffic' else 'its probe ended well, and no traffic since' end);
    continue when v_row.phase = 'closed';
    stream_id := v_row.stream_id;
    phase := 'closed';
    return next;
  end loop;
end $$;

-- Breakers of these streams that are not closed, for people. phase: open, probing (its pause is over, the next attempt is a
-- probe), recovering.
create or replace function pawl.breakers_v1(p_streams int[]) returns table (kind text, phase text, since timestamptz, until timestamptz,
  starts int, error text)
language sql stable as $$
  select st.kind, case when b.phase = 'open' and b.until <= pawl.now() then 'probing' else b.phase end, b.since,
         case when b.until > pawl.now() then b.until end, pawl.breaker_starts(b, pawl.now()), b.error ->> 'message'
    from pawl.breaker b join pawl.stream st on st.id = b.stream_id
   where b.phase <> 'closed' and b.stream_id = any (p_streams) order by st.kind
$$;

-- True if a probe has failed and its worker has not reported it yet; if the worker lives, it soon will.
create or replace function pawl.is_probe_untold(p_id bigint, p_seq bigint, p_now timestamptz) returns boolean
language sql stable as $$
  select exists (select 1 from pawl.attempt a where a.task_id = p_id and a.seq = p_seq
             and a.outcome in ('retry', 'timeout') and a.ended_at > p_now - interval '2 s')
      or exists (select 1 from pawl.dead d where d.id = p_id and d.seq = p_seq and d.died_at > p_now - interval '2 s')
$$;

-- Remembers the probe that a claim has started; the breaker has been locked since its starts were counted.
create or replace function pawl.note_probe(p_shard int, p_stream int, p_seq bigint) returns void
language plpgsql volatile as $$
begin
  update pawl.breaker b set probe_id = t.id, probe_seq = t.seq
    from pawl.task t
   where b.stream_id = p_stream and b.phase = 'open' and t.shard_id = p_shard and t.state = 'ready' and t.seq = p_seq;
end $$;

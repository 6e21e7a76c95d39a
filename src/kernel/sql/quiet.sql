-- Quiet hours: windows of local time in which nothing starts, nor shortly before them what could last into them.
insert into pawl.owned_kind (kind, relation, what) values ('quiet', 'quiet_hours', null)
on conflict (kind) do update set relation = excluded.relation, what = excluded.what;

-- When a clock on the wall shows p_local. Of a time that it shows twice, the first time, or the last for p_is_end, so the window is
-- the longer one; instead of a time that it skips, the moment of the jump.
create or replace function pawl.wall_time(p_local timestamp, p_zone text, p_is_end boolean) returns timestamptz
language plpgsql stable as $$
declare
  v_near timestamptz := p_local at time zone p_zone;
  v_at timestamptz;
begin
  select case when p_is_end then max(c.at) else min(c.at) end into v_at
    from (select v_near + m * interval '15 minutes' as at from generate_series(-12, 12) m) c
   where c.at at time zone p_zone = p_local;
  if v_at is not null then return v_at; end if;
  -- zones have skipped up to a day
  select min(c.at) into v_at
    from (select date_trunc('minute', v_near) + m * interval '1 minute' as at from generate_series(-1500, 1500) m) c
   where c.at at time zone p_zone > p_local;
  return v_at;
end $$;

create or replace function pawl.is_quiet_day(p_days text[], p_day date) returns boolean
language sql immutable return p_days is null or p_days && array[
  (array['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'])[extract(isodow from p_day)::int],
  extract(day from p_day)::int::text,
  case when extract(day from p_day + 1) = 1 then 'last' end];

-- The times of a window that end after p_from and begin before p_to, in order. One that the clock skips whole does not take place.
create or replace function pawl.quiet_times(p_hours pawl.quiet_hours, p_from timestamptz, p_to timestamptz)
returns table (begins timestamptz, ends timestamptz)
language plpgsql stable as $$
declare
  -- a window is at most a day long
  v_day date := (p_from at time zone p_hours.time_zone)::date - 1;
begin
  while v_day <= (p_to at time zone p_hours.time_zone)::date loop
    if pawl.is_quiet_day(p_hours.days, v_day) then
      begins := pawl.wall_time(v_day + p_hours.begins_at, p_hours.time_zone, false);
      ends := pawl.wall_time(v_day + case when p_hours.ends_at > p_hours.begins_at then 0 else 1 end + p_hours.ends_at, p_hours.time_zone, true);
      if ends > begins and ends > p_from and begins < p_to then return next; end if;
    end if;
    v_day := v_day + 1;
  end loop;
end $$;

-- The first time of a window that has not ended at p_at; none within 5 years: null.
create or replace function pawl.first_quiet(p_hours pawl.quiet_hours, p_at timestamptz, out begins timestamptz, out ends timestamptz)
language plpgsql stable as $$
declare
  v_days int;
begin
  foreach v_days in array array[1, 8, 70, 1900] loop
    select t.begins, t.ends into begins, ends
      from pawl.quiet_times(p_hours, p_at, p_at + v_days * interval '1 day') t order by t.begins limit 1;
    exit when found;
  end loop;
end $$;

-- The time of a window that holds now, or comes next. What an operator has let pass holds nothing.
create or replace function pawl.next_quiet(p_hours pawl.quiet_hours, out begins timestamptz, out ends timestamptz)
language plpgsql stable as $$
declare
  v_at timestamptz := greatest(pawl.now(), p_hours.passed_until);
begin
  if v_at >= p_hours.next_from and v_at < p_hours.next_ends then -- else it is computed anew, also where a clock went back
    begins := p_hours.next_begins;
    ends := p_hours.next_ends;
    return;
  end if;
  select f.begins, f.ends into begins, ends from pawl.first_quiet(p_hours, v_at) f;
end $$;

-- Keeps the next time of each window, so that claims find it. Returns in how many milliseconds that has to be done again; null: there is none.
create or replace function pawl.keep_quiet_v1() returns float8
language sql volatile as $$
  update pawl.quiet_hours q set next_from = f.at, next_begins = f.begins, next_ends = f.ends
    from (select h.name, c.at, n.begins, n.ends
            from pawl.quiet_hours h
            cross join lateral (select greatest(pawl.now(), h.passed_until) as at) c
            cross join lateral pawl.first_quiet(h, c.at) n
           where h.next_from is null or h.next_ends is null or c.at < h.next_from or c.at >= h.next_ends
             for update of h skip locked) f
   where f.name = q.name;
  select extract(epoch from min(h.next_ends) - pawl.now()) * 1000 from pawl.quiet_hours h
$$;

-- What of these scopes may not start now, as something that takes p_takes at most: the windows, the first one to end last.
create or replace function pawl.quiet_of(p_scopes text[], p_takes interval)
returns table (name text, begins timestamptz, ends timestamptz, why text)
language sql stable as $$
  select q.name, n.begins, n.ends, q.why
    from pawl.quiet_hours q cross join lateral pawl.next_quiet(q) n
   where q.holds && p_scopes and not q.exempt && p_scopes and n.begins < pawl.now() + p_takes
   order by n.ends desc, q.name
$$;

-- The same for names of a kind, in one value; null: nothing holds them.
create or replace function pawl.quiet_reasons(p_kind text, p_names text[], p_takes interval) returns jsonb
language sql stable as $$
  select jsonb_agg(jsonb_build_object('name', w.name, 'begins_at', w.begins, 'until', w.ends, 'why', w.why))
    from pawl.quiet_of(array['all'] || array(select p_kind || ':' || n.name from unnest(p_names) n (name)), p_takes) w
$$;

create or replace function pawl.is_quiet(p_scopes text[], p_takes interval default '0') returns boolean
language sql stable return exists (select 1 from pawl.quiet_of(p_scopes, p_takes));

-- How long an attempt of a stream may take: its own limit, its queue's, or that of jobs without one.
create or replace function pawl.takes_at_most(p_stream pawl.stream, p_queue pawl.queue) returns interval
language sql stable return coalesce(p_stream.timeout_ms, p_queue.timeout_ms, 300000) * interval '1 ms';

-- The windows that hold streams now. since: null before the window has begun, while there is no time left for an attempt.
-- Each look calls it for all that its worker can run: what its streams have in common is asked for once, and nothing where no window is near.
create or replace function pawl.quiet_holds(p_streams int[]) returns table (stream_id int, reason text, since timestamptz,
  until timestamptz, detail jsonb)
language plpgsql stable as $$
begin
  if not exists (select from pawl.quiet_hours) then return; end if;
  return query
  with stream as materialized (
    select st.id, st.kind, st.queue_id, pawl.takes_at_most(st, q) as takes
      from pawl.stream st join pawl.queue q on q.id = st.queue_id where st.id = any (p_streams)
  ), near as materialized (
    select h.name, h.holds, h.exempt, h.why, n.begins, n.ends from pawl.quiet_hours h cross join lateral pawl.next_quiet(h) n
     where n.begins < pawl.now() + (select max(s.takes) from stream s)
  ), queue as materialized (
    select q.id, pawl.queue_scopes(q.name) as scopes, pawl.kind_scope(q.name) as kinds_are
      from pawl.queue q where exists (select from near) and q.id in (select s.queue_id from stream s)
  )
  select s.id, 'quiet', case when w.begins <= pawl.now() then w.begins end, w.ends,
         jsonb_build_object('window', w.name, 'begins_at', w.begins, 'why', w.why)
    from near w cross join queue q join stream s on s.queue_id = q.id
    cross join lateral (select q.scopes || (q.kinds_are || ':' || s.kind) as all offset 0) c
   where w.holds && c.all and not w.exempt && c.all and w.begins < pawl.now() + s.takes
   order by w.ends desc, w.name;
end $$;

-- The next times of all windows, for workers: they ask between the steps of a task. In milliseconds from now, because their clocks differ.
create or replace function pawl.quiet_ahead_v1(p_within_ms bigint)
returns table (name text, holds text[], exempt text[], begins_ms float8, ends_ms float8)
language sql stable as $$
  select q.name, q.holds, q.exempt, extract(epoch from t.begins - pawl.now()) * 1000, extract(epoch from t.ends - pawl.now()) * 1000
    from pawl.quiet_hours q cross join lateral pawl.quiet_times(q, greatest(pawl.now(), q.passed_until),
      pawl.now() + p_within_ms * interval '1 ms') t
   order by t.begins, q.name
$$;

-- What operators see of each window.
create or replace function pawl.quiet_hours_v1() returns table (name text, application text, time_zone text, begins_at text, ends_at text,
  days text[], holds text[], exempt text[], why text, begins timestamptz, ends timestamptz, is_quiet boolean, passed_until timestamptz,
  passed_by text, passed_why text)
language sql stable as $$
  select q.name, q.application, q.time_zone, left(q.begins_at::text, 5), left(q.ends_at::text, 5), q.days, q.holds, q.exempt, q.why,
         n.begins, n.ends, coalesce(n.begins <= pawl.now(), false), p.until, case when p.until is not null then q.passed_by end,
         case when p.until is not null then q.passed_why end
    from pawl.quiet_hours q cross join lateral pawl.next_quiet(q) n
    cross join lateral (select case when q.passed_until > pawl.now() then q.passed_until end as until) p
   order by q.name
$$;

-- The times of all windows within so many days, in order; whatever an operator lets pass is told.
create or replace function pawl.quiet_preview_v1(p_name text, p_days int) returns table (name text, begins timestamptz, ends timestamptz,
  time_zone text, is_passed boolean)
language sql stable as $$
  select q.name, t.begins, t.ends, q.time_zone, coalesce(t.ends <= q.passed_until, false)
    from pawl.quiet_hours q cross join lateral pawl.quiet_times(q, pawl.now(), pawl.now() + p_days * interval '1 day') t
   where p_name is null or q.name = p_name
   order by t.begins, q.name
$$;

-- Writes the windows of an app, and removes those that it defines no more: [{"name", "time_zone", "begins_at", "ends_at", "days", "holds",
-- "exempt", "why"}]. Not called for an app of which a newer revision has registered.
create or replace function pawl.define_quiet_v1(p_application text, p_hours jsonb) returns void
language plpgsql volatile as $$
declare
  v_other record;
  v_gone int;
  v_changed int;
begin
  if not exists (select 1 from pawl.quiet_hours q where q.application = p_application) and jsonb_array_length(p_hours) = 0 then return; end if;
  select d.name, q.application into v_other
    from jsonb_to_recordset(p_hours) d (name text) join pawl.quiet_hours q on q.name = d.name and q.application <> p_application
   order by d.name limit 1;
  if found then
    raise exception 'app "%" defines names of another app: quiet hours "%" of app "%"', p_application, v_other.name, v_other.application
      using errcode = 'PW015', hint = 'rename them in one of the two; if the other app is gone: pawl apps remove ' || v_other.application;
  end if;
  for v_other in select d.name, d.time_zone from jsonb_to_recordset(p_hours) d (name text, time_zone text) order by d.name loop
    begin
      perform now() at time zone v_other.time_zone;
    exception when invalid_parameter_value then
      raise exception 'quiet hours "%": PostgreSQL knows no time zone "%"', v_other.name, v_other.time_zone using errcode = 'PW010',
        hint = 'pg_timezone_names has those that it knows';
    end;
  end loop;
  delete from pawl.quiet_hours q where q.application = p_application
     and not exists (select 1 from jsonb_array_elements(p_hours) d (hours) where d.hours ->> 'name' = q.name);
  get diagnostics v_gone = row_count;
  insert into pawl.quiet_hours as q (name, application, time_zone, begins_at, ends_at, days, holds, exempt, why)
  select d.name, p_application, d.time_zone, d.begins_at, d.ends_at, d.days, d.holds, d.exempt, d.why
    from jsonb_to_recordset(p_hours) d (name text, time_zone text, begins_at time, ends_at time, days text[], holds text[], exempt text[], why text)
   order by d.name
  on conflict (name) do update
     set time_zone = excluded.time_zone, begins_at = excluded.begins_at,
         ends_at = excluded.ends_at, days = excluded.days, holds = excluded.holds, exempt = excluded.exempt, why = excluded.why,
         next_from = case when (q.time_zone, q.begins_at, q.ends_at, q.days) is not distinct from
           (excluded.time_zone, excluded.begins_at, excluded.ends_at, excluded.days) then q.next_from end,
         passed_until = case when (q.time_zone, q.begins_at, q.ends_at, q.days) is not distinct from
           (excluded.time_zone, excluded.begins_at, excluded.ends_at, excluded.days) then q.passed_until end
   where (q.time_zone, q.begins_at, q.ends_at, q.days, q.holds, q.exempt, q.why) is distinct from
       (excluded.time_zone, excluded.begins_at, excluded.ends_at, excluded.days, excluded.holds, excluded.exempt, excluded.why);
  get diagnostics v_changed = row_count;
  perform pawl.keep_quiet_v1();
  if v_gone + v_changed > 0 then perform pawl.on_lifted(); end if; -- what they held before goes on
end $$;

-- Lets work start in spite of a window: the time that holds now, or the next one. Returns that time; none if the window has none.
create or replace function pawl.pass_quiet_v1(p_name text, p_by text, p_why text, p_action text)
returns table (begins timestamptz, ends timestamptz)
language plpgsql volatile as $$
#variable_conflict use_column
declare
  v_hours pawl.quiet_hours;
begin
  if nullif(trim(p_why), '') is null then
    raise exception 'force %: expected the reason why work has to start in quiet hours, for the audit', p_name using errcode = 'PW010',
      hint = 'write it: --why "late invoices"';
  end if;
  select q.* into v_hours from pawl.quiet_hours q where q.name = p_name for update;
  if not found then
    raise exception 'quiet hours %: there are none with this name', p_name using errcode = 'PW022',
      hint = coalesce('known: ' || (select string_agg(q.name, ', ' order by q.name) from pawl.quiet_hours q), 'no app defines any');
  end if;
  if v_hours.passed_until > pawl.now() then -- somebody has done so already
    return query select f.begins, f.ends from pawl.first_quiet(v_hours, v_hours.passed_until - interval '1 ms') f;
    return;
  end if;
  select n.begins, n.ends into begins, ends from pawl.next_quiet(v_hours) n;
  if ends is null then return; end if;
  update pawl.quiet_hours q set passed_until = pass.until, passed_by = coalesce(nullif(p_by, ''), session_user), passed_why = nullif(p_why, ''),
         next_from = null
    from (select ends as until) pass where q.name = p_name;
  perform pawl.keep_quiet_v1();
  perform pawl.audit_v1(p_by, p_action, 'quiet:' || p_name, p_why, jsonb_build_object('begins', begins, 'ends', ends));
  perform pawl.ask_for_off_v1();
  perform pawl.on_lifted();
  perform pg_notify('pawl.wake', '');
  return next;
end $$;

-- What holds a scope together with others: the switch of all or of a group, or quiet hours, whose end comes last. switch: which one.
create or replace function pawl.hold_of_all_v1(p_kind text, p_name text) returns table (since timestamptz, until timestamptz, off_by text, why text,
  quiet_hours text, switch text)
language sql stable as $$
  select h.since, h.until, h.off_by, h.why, h.quiet_hours, h.switch from (
    select case w.scope when 'all' then 0 else 1 end as place, w.since, w.until, w.off_by, w.why, null as quiet_hours,
           pawl.scope_text(w.by_scope, w.by_name) as switch
      from pawl.off_now() w
     where w.scope = 'all' or w.scope = p_kind and w.name = p_name and w.by_scope = 'group'
    union all
    select 2, q.begins, q.ends, null, q.why, q.name, null from pawl.quiet_of(array['all', pawl.scope_text(p_kind, p_name)], '0') q) h
   order by h.place, h.until desc limit 1
$$;

-- Whatever holds something of a kind now, switches and quiet hours: it holds a scope that is in scopes, unless that is in exempt.
create or replace function pawl.holds_now(p_kind text) returns table (scopes text[], exempt text[])
language sql stable as $$
  select array_agg(pawl.scope_text(w.scope, w.name)), '{}'::text[]
    from pawl.off_now() w where w.scope in ('all', p_kind) having count(*) > 0
  union all
  select q.holds, q.exempt from pawl.quiet_hours q cross join lateral pawl.next_quiet(q) n where n.begins <= pawl.now()
$$;

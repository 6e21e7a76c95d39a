-- Commands as operators see them. Nothing of it is stored.

-- Fewer say little about how long it takes.
create or replace function pawl.usual_runs_min() returns int
language sql immutable return 5;

-- How long a key usually takes: the median of its last 20 runs that ended well.
create or replace function pawl.usual_command_ms(p_key text) returns bigint
language sql stable as $$
  select case when count(*) >= pawl.usual_runs_min()
           then round(percentile_cont(0.5) within group (order by extract(epoch from d.ended_at - d.started_at)::float8 * 1000))::bigint end
    from (select r.started_at, r.ended_at from pawl.command_run r
           where r.key = p_key and r.outcome = 'done' order by r.id desc limit 20) d
$$;

-- How long a run takes at most, as far as is known, else as long as a job without a timeout: for quiet hours.
create or replace function pawl.command_takes(p_name text, p_key text) returns interval
language sql stable as $$
  select coalesce((select coalesce(c.timeout_ms, c.expected_ms) from pawl.command c where c.name = p_name), pawl.usual_command_ms(p_key), 300000)
    * interval '1 ms'
$$;

-- The latest errors of a key.
create or replace function pawl.command_errors(p_key text) returns jsonb
language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('at', e.ended_at, 'message', e.error ->> 'message') order by e.id desc), '[]')
    from (select r.id, r.ended_at, r.error from pawl.command_run r
           where r.key = p_key and r.error is not null order by r.id desc limit 3) e
$$;

-- A run in the columns of lists.
create or replace function pawl.command_run_json(p_run pawl.command_run_now_v1) returns jsonb
language sql stable as $$
  select case when p_run.id is not null then jsonb_build_object('id', p_run.id, 'host', p_run.host, 'pid', p_run.pid, 'by', p_run.by,
    'started_at', p_run.started_at, 'ended_at', p_run.ended_at, 'outcome', p_run.outcome, 'progress', p_run.progress, 'fraction', p_run.fraction,
    'heard_at', p_run.heard_at, 'duration_ms', round(extract(epoch from coalesce(p_run.ended_at, pawl.now()) - p_run.started_at) * 1000)) end
$$;

-- Every key with its status: working, locked, disabled, quiet, waiting (for a worker), failing or idle. run: what works, or has left its lock. last: the latest of the
-- others. off: the switches that hold it. p_host, p_off_here: what files and a variable hold on the host that asks.
-- A run takes too long when it takes longer than was said, or than twice the usual time.
create or replace function pawl.commands_v1(p_host text, p_off_here text[]) returns table (key text, name text, param text, title text,
  application text, status text, run jsonb, last jsonb, errors jsonb, expected_ms bigint, is_expected_measured boolean, is_overrun boolean,
  off jsonb, off_hosts text[], quiet jsonb, asked jsonb)
language sql stable as $$
  select k.key, k.name, k.param, c.title, c.application,
         case when n.id is not null then n.outcome
              when o.off is not null or h.is_everywhere then 'disabled'
              when q.quiet is not null then 'quiet'
              when a.asked is not null then 'waiting'
              when l.outcome in ('failed', 'lost') then 'failing' else 'idle' end,
         pawl.command_run_json(n), pawl.command_run_json(l), pawl.command_errors(k.key), coalesce(c.expected_ms, u.ms),
         c.expected_ms is null and u.ms is not null,
         coalesce(n.outcome = 'working' and pawl.now() - n.started_at > coalesce(c.expected_ms, 2 * u.ms) * interval '1 ms', false),
         coalesce(o.off, '[]'), h.hosts, coalesce(q.quiet, '[]'), a.asked
    from pawl.command_keys_v1() k
    join pawl.command c on c.name = k.name
    cross join lateral (select pawl.usual_command_ms(k.key) as ms) u
    cross join lateral (select pawl.switches_of('command', pawl.command_scopes(k.name, k.param)) as off) o
    cross join lateral (select pawl.quiet_reasons('command', pawl.command_scopes(k.name, k.param), pawl.command_takes(k.name, k.key)) as quiet) q
    cross join lateral pawl.off_on_hosts(c.application,
      array['all'] || array(select 'command:' || s.name from unnest(pawl.command_scopes(k.name, k.param)) s (name)), p_host, p_off_here) h
    cross join lateral (select pawl.asked_command(k.name, k.key) as asked) a
    left join lateral (select r.* from pawl.command_run_now_v1 r where r.key = k.key and r.outcome in ('working', 'locked')
      order by r.id desc limit 1) n on true
    left join lateral (select r.* from pawl.command_run_now_v1 r where r.key = k.key and r.outcome not in ('working', 'locked')
      order by r.id desc limit 1) l on true
$$;

-- What ran, the latest first. p_command: a command, or one key of it.
create or replace function pawl.command_runs_v1(p_command text, p_limit int) returns table (id bigint, key text, outcome text, host text, pid int,
  by text, why text, started_at timestamptz, ended_at timestamptz, duration_ms bigint, progress text, fraction real, error jsonb)
language sql stable as $$
  select r.id, r.key, r.outcome, r.host, r.pid, r.by, r.why, r.started_at, r.ended_at,
         round(extract(epoch from coalesce(r.ended_at, pawl.now()) - r.started_at) * 1000)::bigint, r.progress, r.fraction, r.error
    from pawl.command_run_now_v1 r
   where p_command is null or r.key = p_command or starts_with(r.key, p_command || ':')
   order by r.id desc limit p_limit
$$;

-- Running tasks: those that claims name and that are not settled.
-- The tasks are looked up one by one along the index of what is ready. `offset 0` forbids every other order: the planner
-- takes a rare column of tasks, or a table that was empty when the plan was made, for a reason to read all that is ready
-- first, and a heartbeat then takes seconds where a million tasks wait.
create or replace view pawl.claimed_task as
  select c.worker_id, c.no, c.stream_id, c.priority, c.claimed_at, c.shard_id, c.queue_id, t.id, t.seq, t.attempt, t.losses,
         t.run_at, t.created_at, t.cancel_requested_at, t.last_error
    from pawl.claim c
    cross join lateral unnest(c.seqs) u (seq)
    cross join lateral (
      select * from pawl.task r where r.state = 'ready' and r.shard_id = c.shard_id and r.seq = u.seq offset 0) t;

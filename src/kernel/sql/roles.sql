-- What the roles may call of this part, and read: see pawl.grant_roles_v1.
delete from pawl.role_grant where part = 'kernel';
insert into pawl.role_grant (part, role, calls, privileges) values
  ('kernel', 'reader', '{stats_v1, queues_v1, quiet_hours_v1, quiet_preview_v1, hold_of_all_v1, switches_v1, scopes_v1, groups_v1, breakers_v1, tasks_v1, dead_v1, dead_groups_v1, why_task_v1, default_retry}', array[
    'select on pawl.queue, pawl.stream, pawl.worker, pawl.breaker, pawl.switch, pawl.lease',
    'select (task_id, seq, attempt, outcome, worker_id, started_at, ended_at, error) on pawl.attempt',
    'select (id, state, queue, kind, version, priority, attempt, max_attempts, created_at, run_at, started_at, worker_id, expires_at,
      cancel_requested_at, lane, key, ref, error) on pawl.task_now_v1',
    'select (id, state, queue, kind, version, priority, attempt, max_attempts, created_at, run_at, started_at, worker_id, expires_at,
      cancel_requested_at, lane, key, ref, error) on pawl.task_live_v1',
    'select (id, reason, queue, kind, version, priority, attempt, max_attempts, created_at, run_at, started_at, died_at, worker_id,
      expires_at, lane, is_blocking, key, ref, error) on pawl.task_dead_v1',
    'select (id, outcome, queue, kind, version, priority, attempt, max_attempts, created_at, run_at, started_at, ended_at, worker_id,
      lane, key, ref, error) on pawl.task_ended_v1',
    'select (id, state, queue, kind, version, priority, attempt, max_attempts, created_at, run_at, started_at, ended_at, worker_id,
      expires_at, cancel_requested_at, lane, key, ref, error, reason) on pawl.task_v1']),
  ('kernel', 'operator', '{holds_v1, find_task_v1, off_v1, unseen_off_v1, on_v1, pass_quiet_v1, cancel_v1, change_tasks_v1, await_v1, retry_dead_v1, retry_dead_as_v1, dead_to_edit_v1, remove_dead_v1, dead_ids_v1,
    dead_count_v1, live_ids_v1, live_count_v1,
    stop_workers_v1, prune_plan_v1, drop_partition_v1, prune_rows_v1}', '{}'),
  ('kernel', 'worker', '{holds_v1, find_task_v1, await_v1, prune_plan_v1, drop_partition_v1, prune_rows_v1}', '{}');

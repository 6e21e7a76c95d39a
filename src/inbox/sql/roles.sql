-- What the roles may call of this part, and read: see pawl.grant_roles_v1.
delete from pawl.role_grant where part = 'inbox';
insert into pawl.role_grant (part, role, calls, privileges) values
  ('inbox', 'reader', '{source_windows_v1}', array[
    'select on pawl.source_now_v1, pawl.source, pawl.source_storage, pawl.source_window',
    'select (number, source_id, event_id, name, occurred_at, received_at, state, attempts, next_at, error, failed_at) on pawl.inbox']),
  ('inbox', 'operator', '{retry_source_v1, release_source_v1, skip_source_v1, rewind_source_v1,
    retry_inbox_v1, remove_inbox_v1, prune_windows_v1, drop_empty_windows_v1, prune_seen_v1}', '{}'),
  ('inbox', 'worker', '{prune_windows_v1, drop_empty_windows_v1, prune_seen_v1}', '{}');

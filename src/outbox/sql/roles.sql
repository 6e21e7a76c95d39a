-- What the roles may call of this part, and read: see pawl.grant_roles_v1.
delete from pawl.role_grant where part = 'outbox';
insert into pawl.role_grant (part, role, calls, privileges) values
  ('outbox', 'producer', '{record, record_v1, send_to}', '{}'),
  ('outbox', 'reader', '{deliveries_v1, outbox_stats_v1, replays_v1, is_dropping, delivery_status}', array[
    'select on pawl.route',
    'select (id, event_id, event_name, destination, type, status, attempt, max_attempts, run_at, ended_at, error, replay) on pawl.delivery_now_v1',
    'select (id, name, queue_id, stream_id, type, ordering, application, revision, defined_at, removed_at) on pawl.destination',
    'select (number, id, name, aggregate_type, aggregate_id, occurred_at, target_id, routed_at, deliveries) on pawl.event']),
  ('outbox', 'operator', '{passes, wait_for_router, events_v1, put_destination_v1, remove_destination_v1, pause_destination_v1,
    resume_destination_v1, put_route_v1, remove_route_v1, route_again_v1, plan_replay_v1, start_replay_v1,
    stop_replay_v1, prune_events_v1}', array['update (config) on pawl.destination']),
  ('outbox', 'worker', '{passes, events_v1, prune_events_v1}', '{}');

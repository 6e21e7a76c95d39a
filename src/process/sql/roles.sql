-- What the roles may call of this part, and read: see pawl.grant_roles_v1.
delete from pawl.role_grant where part = 'process';
insert into pawl.role_grant (part, role, calls, privileges) values
  ('process', 'producer', '{start_process, start_processes_v1, signal_process_v1}', '{}'),
  ('process', 'reader', '{process_runs_v1, process_versions_v1}', '{}'),
  ('process', 'operator', '{process_steps_v1, count_items_v1, run_meta_v1, signal_process_v1, change_run_v1, hold_run_v1, abandon_run_v1, living_children_v1, load_runs_v1,
    runs_of_version_v1, version_shape_v1, migrate_runs_v1, prune_runs_v1}', '{}'),
  ('process', 'worker', '{prune_runs_v1, load_runs_v1}', '{}');

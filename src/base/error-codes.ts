/**
 * The catalogue of error codes. Every code that Pawl can raise stands here and in `docs/errors.md`;
 * a test compares both ways. A code never changes its meaning.
 */

/** What the CLI exits with. Fixed: scripts depend on them. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  database: 4,
} as const;

/** code → the exit code (of `EXIT`) when this error ends a command. */
export const ERROR_CODES = {
  // input: refused before anything is written
  invalid_option: 2,
  invalid_environment: 2,
  invalid_url: 2,
  invalid_payload: 2,
  payload_not_json: 2,
  payload_too_large: 2,
  unknown_queue: 2,
  config_refused: 2,
  unknown_kind: 2,
  unknown_destination: 2,
  unknown_command: 2,
  duplicate_name: 2,
  owned_by_code: 2,
  unknown_destination_type: 2,
  not_a_transaction: 2,
  request_over: 2,
  // looked for and not there
  task_not_found: 3,
  task_running: 3,
  event_not_found: 3,
  delivery_not_found: 3,
  route_not_found: 3,
  replay_not_found: 3,
  source_not_found: 3,
  inbox_event_not_found: 3,
  key_not_found: 3,
  config_not_found: 3,
  // the app's own code
  process_changed: 1,
  config_failed: 1,
  handler_timeout: 1,
  result_not_json: 1,
  delivery_failed: 1,
  http_failed: 1,
  request_not_sent: 1,
  not_resealed: 1,
  webhook_rejected: 1,
  address_forbidden: 1,
  // the database
  database_unreachable: 4,
  database_too_old: 4,
  database_permission: 4,
  database_encoding: 4,
  database_read_only: 4,
  database_error: 4,
  took_too_long: 4,
  schema_missing: 4,
  schema_outdated: 4,
  schema_newer: 4,
  schema_taken: 4,
  migration_changed: 4,
  function_changed: 4,
  embedded_unavailable: 4,
  embedded_failed: 4,
  // the kernel's own
  lease_lost: 1,
  worker_stopping: 1,
  client_closed: 1,
  task_cancelled: 1,
  not_stopped: 1,
  named_lease_lost: 1,
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

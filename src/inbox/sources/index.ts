export { type FileSourceOptions, fileSource } from "./file.ts";
export { type HttpSourceOptions, httpSource } from "./http.ts";
export { type PostgresTableOptions, postgresTableSource } from "./postgres-table.ts";
export {
  type DecodedMessage,
  type RabbitmqStreamOptions,
  rabbitmqStreamSource,
} from "./rabbitmq-stream.ts";
export type {
  StreamClient,
  StreamMessage,
  StreamSubscribing,
  StreamSubscription,
} from "./stream-client.ts";

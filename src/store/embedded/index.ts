/** The embedded PostgreSQL: one private server per `.pawl/` folder, shared by every process that asks for it. */

export type { EmbeddedServer } from "./handle.ts";
export { embeddedDirIn } from "./place.ts";
export { type StartOptions, startEmbedded } from "./start.ts";
export {
  type EmbeddedDirOptions,
  type EmbeddedStatus,
  embeddedStatus,
  type StopResult,
  stopEmbedded,
} from "./stop.ts";

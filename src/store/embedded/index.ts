/** The embedded PostgreSQL: one private server per `.pawl/` folder, shared by every process that asks for it. */

export { type EmbeddedServer, type StartOptions, startEmbedded } from "./start.ts";
export {
  type EmbeddedDirOptions,
  type EmbeddedStatus,
  embeddedStatus,
  type StopResult,
  stopEmbedded,
} from "./stop.ts";

// `npm start`: installs and builds where needed, then runs the relay (examples/relay) in this very process, so that
// signals, the terminal and the exit code are its own; arguments go to it.
import { prepare } from "./install.mjs";

prepare();
const { register } = await import("tsx/esm/api");
register();
const { relay } = await import("../examples/relay/main.ts");
process.exitCode = await relay(process.argv.slice(2));

// The runner's side of a subject: a child process on the bench's own Node, called over IPC, one call at a time.
import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";

const CALL_MS_MAX = 180_000;
const OWN_NODE = join(
  import.meta.dirname,
  "node_modules/node/bin",
  process.platform === "win32" ? "node.exe" : "node",
);
/** pg-boss and graphile-worker ask for it. */
const NODE_MIN = [22, 18];

/** All subjects, ours too, run on this Node. */
export function subjectNode() {
  if (existsSync(OWN_NODE)) return OWN_NODE;
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1]))
    return process.execPath;
  throw new Error(
    `the peers need Node ${NODE_MIN.join(".")}, this is ${process.versions.node}, and the package "node" of bench/ was not unpacked (install scripts blocked?): run \`npm rebuild node\` in bench/, or use a newer Node`,
  );
}

/** Starts `subjects/<module>.mjs`; resolves when it has connected and made its schema. */
export async function startSubject(module, settings, { callMsMax = CALL_MS_MAX } = {}) {
  const serve = join(import.meta.dirname, "subjects/serve.mjs");
  const child = fork(serve, [module, JSON.stringify(settings)], {
    execPath: subjectNode(),
    execArgv: [],
    stdio: ["ignore", process.stderr, process.stderr, "ipc"],
  });
  const answer = (call) => answerOf(child, `${module}: ${call}`, callMsMax);
  await answer("open");
  return {
    call: (call, argument) => {
      const answered = answer(call);
      child.send({ call, argument });
      return answered;
    },
    end: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    },
  };
}

/** Runs `work(child)` with a subject on a database of its own, which it closes at the end. */
export function withSubject(server, module, settings, work, options) {
  return server.withDatabase(async (url) => {
    const child = await startSubject(module, { url, ...settings }, options);
    try {
      const result = await work(child);
      await child.call("close");
      return result;
    } finally {
      await child.end();
    }
  });
}

async function answerOf(child, what, callMsMax) {
  const signal = AbortSignal.timeout(callMsMax);
  const gone = new AbortController();
  try {
    const message = await Promise.race([
      once(child, "message", { signal }).then(([one]) => one),
      once(child, "exit", { signal: gone.signal }).then(([code, by]) => {
        throw new Error(`${what}: the process ended (${code ?? by})`);
      }),
    ]);
    if (message.error !== undefined) throw new Error(`${what}: ${message.error}`);
    return message.result;
  } catch (error) {
    if (error.name !== "AbortError") throw error;
    child.kill("SIGKILL");
    throw new Error(`${what}: no answer within ${callMsMax} ms`, { cause: error });
  } finally {
    gone.abort();
  }
}

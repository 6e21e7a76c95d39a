/**
 * Delays what is said to the database and what it answers, so that tests which hold only while both are quick are seen
 * to fail: `PAWL_TEST_SLOW_ANSWERS=40 npm test` delays one in five by up to 40 ms, in tests and in the processes they
 * start. Each connection keeps its order.
 */

import { Transform } from "node:stream";
import Connection from "pg/lib/connection.js";

const ONE_IN = 5;
const longestMs = Number(process.env.PAWL_TEST_SLOW_ANSWERS);
const isPatched = Symbol.for("pawl.test.slow-answers");

const delay = () => (Math.random() * ONE_IN > 1 ? 0 : Math.random() * longestMs);

function withLateWrites(stream) {
  const write = stream.write.bind(stream);
  const waiting = [];
  const next = () => {
    const call = waiting[0];
    if (call === undefined) return;
    const ms = delay();
    const go = () => {
      waiting.shift();
      if (!stream.destroyed) write(...call);
      next();
    };
    if (ms === 0) go();
    else setTimeout(go, ms);
  };
  stream.write = (...call) => {
    waiting.push(call);
    if (waiting.length === 1) next();
    return true;
  };
}

function lateAnswers(stream) {
  return stream.pipe(
    new Transform({
      transform(chunk, _, done) {
        const ms = delay();
        if (ms === 0) done(null, chunk);
        else setTimeout(() => done(null, chunk), ms);
      },
    }),
  );
}

if (!(isPatched in Connection.prototype)) {
  const attach = Connection.prototype.attachListeners;
  Connection.prototype[isPatched] = true;
  Connection.prototype.attachListeners = function attachListeners(stream) {
    withLateWrites(stream);
    attach.call(this, lateAnswers(stream));
  };
  process.env.NODE_OPTIONS = `${process.env.NODE_OPTIONS ?? ""} --import=${import.meta.url}`.trim();
}

// DBOS: workflows of three trivial steps, as its documentation starts them, so many at a time.
import dbos from "@dbos-inc/dbos-sdk";

const { DBOS } = dbos;

export async function open({ url, inFlight }) {
  DBOS.setConfig({
    name: "bench",
    // it wants a host where a socket's folder stands in `host=`, which wins
    systemDatabaseUrl: url.replace("@/", "@localhost/"),
    logLevel: "error",
    runAdminServer: false,
  });
  const workflow = DBOS.registerWorkflow(
    async (input) => {
      for (let step = 0; step < 3; step++)
        await DBOS.runStep(async () => step, { name: `s${step}` });
      return input;
    },
    { name: "three" },
  );
  await DBOS.launch();
  return {
    run: async (runs) => {
      const startedAt = performance.now();
      let next = 0;
      const one = async () => {
        while (next < runs) {
          const handle = await DBOS.startWorkflow(workflow)(next++);
          await handle.getResult();
        }
      };
      await Promise.all(Array.from({ length: inFlight }, one));
      return performance.now() - startedAt;
    },
    close: () => DBOS.shutdown(),
  };
}

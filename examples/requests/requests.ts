/**
 * Three plugins that report to a CRM. Requests are signed, are stored until they expire, and stop when told to. This file
 * also plays the CRM.
 */

import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { setTimeout as wait } from "node:timers/promises";
import { jwtVerify } from "jose";
import { connect, defineApp } from "pawl";

const SECRET = process.env.CRM_KEY ?? "an example, not a secret: ".repeat(3);
const COMPANY = 5;

const crm = createServer(async (request, response: ServerResponse) => {
  const { request: token, __task: task } = JSON.parse(await text(request));
  const { payload } = await jwtVerify(token, new TextEncoder().encode(SECRET));
  const { number, limit } = task.attempt;
  console.log(
    `${request.method} ${request.url}: company ${payload.cid}, attempt ${number}/${limit}`,
  );
  response.writeHead(request.url === "/CRM/plugin/logistic/status" ? 410 : 202).end();
}).listen(0, "127.0.0.1");
await new Promise((resolve) => crm.once("listening", resolve));
const uri = `http://127.0.0.1:${(crm.address() as AddressInfo).port}`;

const pawl = await connect(
  defineApp({
    http: { allow: ["127.0.0.1"] }, // private hosts are refused unless they are permitted
    keys: { crm: { secret: SECRET } }, // in production: env("CRM_KEY")
  }),
);

const token = (body: unknown, ttl: string) => ({
  claims: { iss: "example", cid: COMPANY, body },
  key: "crm",
  ttl, // the request expires with it
});
const sent = await pawl.transaction(async (tx) => [
  // the record of a call: every minute for 24 hours, until the CRM answers 202
  await pawl.request(
    {
      method: "PATCH",
      url: `${uri}/companies/${COMPANY}/CRM/plugin/pbx/cdr`,
      jwt: token([{ call: "c1", seconds: 42 }], "24h"),
      success: [202],
      tenant: { company: COMPANY, plugin: "pbx-1" },
    },
    { tx },
  ),
  // the status of a chat message: useless after five minutes, or when the message is gone
  await pawl.request(
    {
      method: "PATCH",
      url: `${uri}/companies/${COMPANY}/CRM/plugin/chat/status`,
      jwt: token({ id: "m1", status: "delivered" }, "5m"),
      stop: [404],
      interval: "10s",
    },
    { tx },
  ),
  // a parcel: the answer 410 means that it was removed from the order
  await pawl.request(
    {
      method: "PATCH",
      url: `${uri}/CRM/plugin/logistic/status`,
      jwt: token({ track: "T1" }, "24h"),
      success: [202],
      stop: [410],
    },
    { tx },
  ),
]);

await pawl.work();
for (const { id } of sent) {
  for (;;) {
    const task = await pawl.task(id);
    if (task?.state === "done" || task?.state === "dead") {
      console.log(`request ${id}: ${task.reason ?? "sent"}`);
      break;
    }
    await wait(20);
  }
}
await pawl.close();
crm.close();

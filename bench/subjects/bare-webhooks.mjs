// What the machine can do: a loop that only signs and posts, nothing kept and nothing tried again.
import { createHmac } from "node:crypto";
import { Agent } from "undici";
import { WEBHOOK_PAYLOAD } from "./payload.mjs";

const KEY = Buffer.alloc(32, 7);

export async function open({ receiver, slots }) {
  const agent = new Agent({ connections: slots, pipelining: 1 });
  const post = async (n) => {
    const id = `00000000-0000-7000-8000-${String(n).padStart(12, "0")}`;
    const body = JSON.stringify({
      eventId: id,
      eventName: "order.placed",
      payload: WEBHOOK_PAYLOAD,
    });
    const timestamp = Math.floor(Date.now() / 1_000);
    const signature = createHmac("sha256", KEY)
      .update(`${id}.${timestamp}.${body}`)
      .digest("base64");
    const answer = await agent.request({
      origin: receiver,
      path: "/hooks",
      method: "POST",
      headers: {
        "content-type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": String(timestamp),
        "webhook-signature": `v1,${signature}`,
      },
      body,
    });
    await answer.body.dump();
  };
  return {
    /** Answers the milliseconds. */
    send: async ({ events }) => {
      let next = 0;
      const start = performance.now();
      const loop = async () => {
        while (next < events) await post(next++);
      };
      await Promise.all(Array.from({ length: slots }, loop));
      return performance.now() - start;
    },
    close: () => agent.destroy(),
  };
}

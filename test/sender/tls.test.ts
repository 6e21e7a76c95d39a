import { once } from "node:events";
import { createServer as createHttpsServer } from "node:https";
import { createServer as createTcpServer, type Socket } from "node:net";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { PawlError } from "../../src/base/errors.ts";
import { type HttpRequest, openSender } from "../../src/sender/sender.ts";
import { type Authority, authority, HAS_OPENSSL, type Pair, selfSigned } from "./certificates.ts";
import { deferred, httpsServer, type LocalServer, tcpServer } from "./local-servers.ts";

const ALLOW = ["127.0.0.1", "localhost"];
const NAMES = "DNS:localhost,IP:127.0.0.1";

function post(url: string, more: Partial<HttpRequest> = {}): HttpRequest {
  return { url, method: "POST", headers: {}, body: "secret", timeoutMs: 60_000, ...more };
}

async function faultOf(answer: Promise<unknown>): Promise<PawlError> {
  const error = await answer.catch((thrown: unknown) => thrown);
  if (!(error instanceof PawlError)) throw new Error(`no PawlError: ${String(error)}`);
  return error;
}

describe.skipIf(!HAS_OPENSSL)("over TLS", () => {
  const issuer = HAS_OPENSSL ? authority() : ({} as Authority);
  const open: LocalServer[] = [];
  const sender = openSender({ allow: ALLOW, ca: HAS_OPENSSL ? issuer.cert : [] });
  let requests = 0;
  afterAll(() => issuer.close());
  afterEach(async () => {
    requests = 0;
    await sender.close();
    await Promise.all(open.splice(0).map((server) => server.close()));
  });

  async function serverWith(pair: Pair): Promise<string> {
    const server = await httpsServer(pair, (request, response) => {
      requests += 1;
      response.end(`${(request.socket as { servername?: string }).servername || "no name"}`);
    });
    open.push(server);
    return server.url;
  }

  test("R97: the app's own authority is trusted, by name and by address", async () => {
    const url = await serverWith(issuer.issue(NAMES));
    const byAddress = await sender.send(post(url));
    expect(byAddress).toMatchObject({ status: 200, body: "no name" });
    expect(byAddress.timings.tlsMs).toBeGreaterThanOrEqual(0);
    const named = url.replace("127.0.0.1", "localhost");
    expect((await sender.send(post(named))).body).toBe("localhost");
  });

  test.each([
    ["has expired", "CERT_HAS_EXPIRED", () => issuer.issue(NAMES, -1)],
    ["is self-signed", "DEPTH_ZERO_SELF_SIGNED_CERT", () => selfSigned(NAMES)],
    [
      "is for another host",
      "ERR_TLS_CERT_ALTNAME_INVALID",
      () => issuer.issue("DNS:other.example"),
    ],
  ])(
    "R11 R97: a certificate that %s fails closed, with the reason",
    async (reason, errorCode, pair) => {
      const url = await serverWith(pair());
      for (const host of ["127.0.0.1", "localhost"]) {
        const error = await faultOf(sender.send(post(url.replace("127.0.0.1", host))));
        expect(error.message).toContain(reason);
        expect(error.data).toMatchObject({ reason: "tls", sent: "no", errorCode });
      }
      expect(requests).toBe(0);
    },
  );

  test("R97: an unknown authority fails closed, and the environment cannot switch that off", async () => {
    const url = await serverWith(issuer.issue(NAMES));
    const strict = openSender({ allow: ALLOW });
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
    try {
      const error = await faultOf(strict.send(post(url)));
      expect(error.message).toContain("not trusted");
      expect(error.data).toMatchObject({ reason: "tls", sent: "no" });
      expect(requests).toBe(0);
    } finally {
      delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
      await strict.close();
    }
  });

  test("R97: a host header does not choose the certificate that is expected", async () => {
    const url = await serverWith(issuer.issue("DNS:other.example"));
    const named = url.replace("127.0.0.1", "localhost");
    const error = await faultOf(sender.send(post(named, { headers: { host: "other.example" } })));
    expect(error.data).toMatchObject({ errorCode: "ERR_TLS_CERT_ALTNAME_INVALID", sent: "no" });
    expect(requests).toBe(0);
  });

  test("the dot of the root belongs to the lookup, not to the certificate", async () => {
    const url = await serverWith(issuer.issue(NAMES));
    const names: string[] = [];
    const rooted = openSender({
      allow: ALLOW,
      ca: issuer.cert,
      lookup: (name, _options, done) => {
        names.push(name);
        done(null, [{ address: "127.0.0.1", family: 4 }]);
      },
    });
    const answer = await rooted.send(post(url.replace("127.0.0.1", "localhost.")));
    expect(answer.body).toBe("localhost");
    expect(names).toEqual(["localhost."]);
    await rooted.close();
  });

  test("500 requests at once to a wrong certificate all fail soon; none waits for its deadline", async () => {
    const url = await serverWith(issuer.issue("DNS:other.example"));
    const timeoutMs = 300_000;
    const faults = await Promise.all(
      Array.from({ length: 500 }, () => faultOf(sender.send(post(url, { timeoutMs })))),
    );
    expect(new Set(faults.map(({ data }) => data.reason))).toEqual(new Set(["tls"]));
  });

  test("a request given up while it waited for a connection is never written afterwards", async () => {
    const bytes: string[] = [];
    const held = deferred<Socket>();
    // A TLS port that answers the handshake only after the request was given up.
    const secure = createHttpsServer(issuer.issue(NAMES), (_request, response) => {
      bytes.push("a request arrived");
      response.end("late");
    });
    const front = createTcpServer({ pauseOnConnect: true }, (socket) => held.resolve(socket));
    front.listen(0, "127.0.0.1");
    await once(front, "listening");
    const { port } = front.address() as { port: number };
    try {
      const giveUp = new AbortController();
      const request = post(`https://127.0.0.1:${port}`, { signal: giveUp.signal });
      const failing = faultOf(sender.send(request));
      const socket = await held.promise;
      giveUp.abort();
      expect((await failing).data).toMatchObject({ reason: "aborted", sent: "no" });
      const socketClosed = once(socket, "close");
      secure.emit("connection", socket);
      socket.resume();
      await socketClosed;
      expect(bytes).toEqual([]);
    } finally {
      front.close();
      secure.close();
    }
  });
});

test("closing gives up a handshake that never ends", async () => {
  const sender = openSender({ allow: ALLOW });
  const accepted = deferred<Socket>();
  const server = await tcpServer((socket) => accepted.resolve(socket.resume()));
  const url = server.url.replace("http:", "https:");
  const giveUp = new AbortController();
  const failing = faultOf(sender.send(post(url, { signal: giveUp.signal })));
  const socket = await accepted.promise;
  giveUp.abort();
  expect((await failing).data).toMatchObject({ reason: "aborted", sent: "no" });
  const socketClosed = once(socket, "close");
  await sender.close();
  await socketClosed;
  await server.close();
});

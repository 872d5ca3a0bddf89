// One QUIC connection between two ends of Cloudflare's quiche, an echo on one stream.
//
// node quic.mjs PACKAGE-DIRECTORY CERTIFICATE KEY server|client PORT
import { createHmac, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [directory, certificate, key, role, port] = process.argv.slice(2);
const entry = pathToFileURL(`${directory}/node_modules/@matrixai/quic/dist/index.js`);
const { QUICClient, QUICServer, events } = await import(entry.href);

const secret = randomBytes(32);
const sign = (key_, data) => createHmac("sha256", Buffer.from(key_)).update(Buffer.from(data)).digest();
const buffer = (bytes) => bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);

async function serve() {
  const server = new QUICServer({
    crypto: {
      key: buffer(secret),
      ops: {
        sign: async (with_, data) => buffer(sign(with_, data)),
        verify: async (with_, data, signature) => sign(with_, data).equals(Buffer.from(signature)),
      },
    },
    config: {
      key: readFileSync(key, "utf8"),
      cert: readFileSync(certificate, "utf8"),
      verifyPeer: false,
      applicationProtos: ["h3", "echo"],
    },
  });
  server.addEventListener(events.EventQUICServerConnection.name, ({ detail: connection }) => {
    connection.addEventListener(events.EventQUICConnectionStream.name, ({ detail: stream }) => {
      void stream.readable.pipeTo(stream.writable).catch(() => {});
    });
  });
  await server.start({ host: "127.0.0.1", port: Number(port) });
}

async function call() {
  const client = await QUICClient.createQUICClient({
    host: "127.0.0.1",
    port: Number(port),
    localHost: "127.0.0.1",
    serverName: "www.example.org",
    crypto: { ops: { randomBytes: async (data) => void crypto.getRandomValues(new Uint8Array(data)) } },
    config: { verifyPeer: false, applicationProtos: ["h3", "echo"] },
  });
  const stream = client.connection.newStream();
  const writer = stream.writable.getWriter();
  await writer.write(new TextEncoder().encode("hello"));
  await writer.close();
  for await (const _piece of stream.readable) {
    // Read to its end.
  }
  await client.destroy({ force: true });
}

await (role === "server" ? serve() : call());

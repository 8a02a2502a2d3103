// A small receiver on Node's own HTTP server.
//
//     WEBHOOK_SECRET=whsec_… node receiver.mjs 9000
import { createServer } from "node:http";
import { SignatureError, verify } from "./verify.mjs";

const BODY_BYTES_MAX = 16 * 1024 * 1024;
const handled = new Set(); // in your program: a table, written in the same transaction as the effect

async function readBody(request) {
  const parts = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size > BODY_BYTES_MAX) throw new SignatureError("the body is too large");
    parts.push(part);
  }
  return Buffer.concat(parts);
}

const server = createServer(async (request, response) => {
  try {
    const event = verify(await readBody(request), request.headers, process.env.WEBHOOK_SECRET);
    if (!event.test && !handled.has(event.id)) {
      console.log(`${event.sequence}. ${event.reference}: ${event.type}`);
      handled.add(event.id);
    }
    response.writeHead(204).end();
  } catch (error) {
    const status = error instanceof SignatureError ? 401 : 500;
    response.writeHead(status, { "content-type": "text/plain", connection: "close" }).end(`${error.message}\n`);
  }
});

server.listen(Number(process.argv[2] ?? 9000), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}/`);
});

/** The floor: a bare Bun.serve that reads a body and answers it, and a static GET. Prints its port. */
const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  development: false,
  async fetch(request) {
    if (request.method === "GET") return new Response('{"value":"aGVsbG8=","cas":1}');
    return new Response(await request.arrayBuffer());
  },
});
console.log(`listening on http://127.0.0.1:${server.port}`);

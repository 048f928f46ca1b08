/** The floor of a GET: Elysia as it is, an object answered as JSON. Prints its port. */
import { Elysia } from "elysia";

const app = new Elysia()
  .get("/static", () => ({ value: "aGVsbG8=", cas: 1 }))
  .listen({ port: 0, hostname: "127.0.0.1", development: false });
console.log(`listening on http://127.0.0.1:${app.server?.port}`);

/** argv → exit code. The only place that ends the process. */
import { dispatch } from "./cli/dispatch.ts";
import { processIo } from "./cli/process-io.ts";
import { exemptThisMachine, processEnvironment } from "./config/config.ts";
import { VERSION_LINE } from "./config/version.ts";

// A compiled program has one file, so its other thread begins here too.
if (!Bun.isMainThread) await import("./server/http-thread.ts");
else {
  exemptThisMachine();
  const io = processIo(processEnvironment(), (code) => process.exit(code));
  process.exit(await dispatch(Bun.argv.slice(2), VERSION_LINE, io));
}

/** argv → exit code. The only place that ends the process. */
import { dispatch } from "./cli/dispatch.ts";
import { processIo } from "./cli/process-io.ts";
import { exemptThisMachine, processEnvironment } from "./config/config.ts";
import { VERSION_LINE } from "./config/version.ts";
import { EXPORT_THREAD } from "./server/export-messages.ts";

// A compiled program has one file, so its other threads begin here too.
if (!Bun.isMainThread) {
  const isExport = process.argv.at(-1) === EXPORT_THREAD;
  await (isExport ? import("./server/export-thread.ts") : import("./server/http-thread.ts"));
} else {
  exemptThisMachine();
  const io = processIo(processEnvironment(), (code) => process.exit(code));
  process.exit(await dispatch(Bun.argv.slice(2), VERSION_LINE, io));
}

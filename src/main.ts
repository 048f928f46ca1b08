/** argv → exit code. The only place that ends the process. */
import { dispatch } from "./cli/dispatch.ts";
import { processIo } from "./cli/process-io.ts";
import { processEnvironment } from "./config.ts";
import { VERSION_LINE } from "./version.ts";

const io = processIo(processEnvironment(), (code) => process.exit(code));
process.exit(await dispatch(Bun.argv.slice(2), VERSION_LINE, io));

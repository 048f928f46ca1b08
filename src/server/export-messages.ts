/** Messages between the main thread and the thread that writes exports. */
import type { ExportJob } from "../node/exports/writer.ts";
import type { ExportWriterOptions } from "./export-writer.ts";

/** The argument by which the program knows that it is this thread. */
export const EXPORT_THREAD = "ayder-export-thread";

export type ToExportThread =
  | { readonly kind: "start"; readonly options: ExportWriterOptions }
  | { readonly kind: "write"; readonly id: number; readonly job: ExportJob }
  /** Answers to `read`. */
  | { readonly kind: "records"; readonly id: number; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: "unread"; readonly id: number; readonly message: string }
  | { readonly kind: "abort"; readonly id: number }
  | {
      readonly kind: "put";
      readonly id: number;
      readonly url: string;
      readonly name: string;
      readonly text: string;
    }
  | { readonly kind: "get"; readonly id: number; readonly url: string; readonly name: string }
  | { readonly kind: "remove"; readonly id: number; readonly url: string; readonly name: string };

export type FromExportThread =
  | { readonly kind: "ready" }
  | { readonly kind: "read"; readonly id: number; readonly from: number }
  | { readonly kind: "done"; readonly id: number; readonly value: unknown }
  | { readonly kind: "failed"; readonly id: number; readonly message: string };

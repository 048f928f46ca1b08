/** Panels of what clients can use up: memory of requests and answers, descriptors, connections. */
import { type Panel, query, rate } from "./panel.ts";

export const RESOURCES: readonly Panel[] = [
  {
    title: "Bytes on their way",
    about:
      "Larger answers that are being made or sent, and larger request bodies in memory, against their limits, by node. Past a limit requests are refused with 503.",
    kind: "lines",
    unit: "bytes",
    queries: [
      query("answers {{instance}}", "ayder_http_answer_bytes{}"),
      query("answers limit {{instance}}", "ayder_http_answer_bytes_limit{}"),
      query("bodies {{instance}}", "ayder_http_body_bytes{}"),
      query("bodies limit {{instance}}", "ayder_http_body_bytes_limit{}"),
    ],
  },
  {
    title: "Refused and cut off",
    about:
      "Answers and request bodies per second that were refused for want of memory, and answers that were cut off because their client took nothing.",
    kind: "lines",
    unit: "cps",
    queries: [
      query("answers", `sum(${rate("ayder_http_answers_refused_total{}")})`),
      query("bodies", `sum(${rate("ayder_http_bodies_refused_total{}")})`),
      query("stalled", `sum(${rate("ayder_http_stalled_answers_total{}")})`),
    ],
  },
  {
    title: "Unanswered requests",
    about:
      "Requests per second whose connection ended before their answer was ready: the client left, sent a second request too early, or closed its sending side. Writes among them are stored, or may be.",
    kind: "lines",
    unit: "cps",
    queries: [
      query("requests", `sum(${rate("ayder_http_unanswered_requests_total{}")})`),
      query("writes", `sum(${rate("ayder_http_unanswered_writes_total{}")})`),
    ],
  },
  {
    title: "Older records in memory",
    about:
      "Memory of records that were read from segment files, by node, against its limit (RF_READ_CACHE_BYTES). The newest records are in memory anyway and are not counted.",
    kind: "lines",
    unit: "bytes",
    queries: [
      query("used {{instance}}", "ayder_read_cache_bytes{}"),
      query("limit {{instance}}", "ayder_read_cache_bytes_limit{}"),
    ],
  },
  {
    title: "Reads of older records",
    about:
      "Windows of segment files per second that consumers read, from memory and from the file. Many from the file with the memory above full: a larger RF_READ_CACHE_BYTES helps readers that share old records.",
    kind: "lines",
    unit: "cps",
    queries: [
      query("from memory", `sum(${rate("ayder_read_cache_hits_total{}")})`),
      query("from files", `sum(${rate("ayder_read_cache_misses_total{}")})`),
    ],
  },
  {
    title: "Files of small partitions",
    about:
      "Bytes of the files that small partitions and streams share, by node, and the part of them that belongs to deleted, expired or grown ones. A file with more than half of that is emptied after a checkpoint.",
    kind: "lines",
    unit: "bytes",
    queries: [
      query("all {{instance}}", "ayder_shared_files_bytes{}"),
      query("no longer used {{instance}}", "ayder_shared_files_garbage_bytes{}"),
    ],
  },
  {
    title: "Compression",
    about:
      "Bytes per second of answers that clients asked for in compressed form, before and after compression.",
    kind: "lines",
    unit: "Bps",
    queries: [
      query("before", `sum(${rate("ayder_http_compression_input_bytes_total{}")})`),
      query("after", `sum(${rate("ayder_http_compression_output_bytes_total{}")})`),
    ],
  },
  {
    title: "File descriptors",
    about:
      "Open descriptors and client connections against their limits, by node. While disk operations wait for one, writes are refused.",
    kind: "lines",
    unit: "short",
    queries: [
      query("open {{instance}}", "ayder_open_files{}"),
      query("limit {{instance}}", "ayder_open_files_limit{}"),
      query("connections {{instance}}", "ayder_http_connections{}"),
      query("connections limit {{instance}}", "ayder_http_connections_limit{}"),
      query("closed/s {{instance}}", rate("ayder_http_connections_closed_total{}")),
      query("disk waits {{instance}}", "ayder_disk_waits_for_descriptors{}"),
    ],
  },
  {
    title: "Connections to the Raft port",
    about:
      "Connections that have not proven that they are members, and those that were refused per second, by node.",
    kind: "lines",
    unit: "short",
    queries: [
      query("unverified {{instance}}", "ayder_ha_peer_connections_unverified{}"),
      query("refused/s {{instance}}", rate("ayder_ha_peer_connections_refused_total{}")),
    ],
  },
];

/**
 * Objects in an S3-compatible bucket, by Bun's own client: keys, region and endpoint are read from
 * its usual variables (S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY, S3_REGION, S3_ENDPOINT, or AWS_…).
 */
import { S3Client } from "bun";
import {
  ArchiveExists,
  type ArchiveSource,
  type ArchiveTarget,
  ArchiveUnavailable,
  type StoredFile,
} from "./archive.ts";

const PART_BYTES_MIN = 8 * 1024 * 1024;
/** S3 accepts at most 10,000 parts. */
const PARTS_MAX = 9_000;
const PARTS_AT_ONCE = 2;
const RETRIES = 3;
const MEDIA_TYPE = "application/octet-stream";
/** Time for Bun to remove the parts of an aborted upload. It does not report the end. */
const ABORT_MS = 1000;
/** Minimum number of bytes that one request reads. */
const READ_BYTES = 8 * 1024 * 1024;
/** As little as the reader of an archive asks for, when only its beginning is read. */
const HEAD_READ_BYTES = 1024 * 1024;
const LIST_PAGE_KEYS = 1000;

export type S3Name = { readonly bucket: string; readonly key: string };

/** Parses `s3://bucket/key`. Returns null for any other text. */
export function parseS3Url(text: string): S3Name | null {
  const match = /^s3:\/\/([^/]+)\/(.+)$/.exec(text);
  const [, bucket = "", key = ""] = match ?? [];
  return match === null ? null : { bucket, key };
}

/** Parses `s3://bucket` or `s3://bucket/prefix`. Returns null for any other text. */
export function parseS3Prefix(text: string): { bucket: string; prefix: string } | null {
  const match = /^s3:\/\/([^/]+)(?:\/(.*))?$/.exec(text);
  const [, bucket = "", prefix = ""] = match ?? [];
  return match === null ? null : { bucket, prefix };
}

/**
 * @param expectedBytes decides how large the parts are.
 * @param via says in errors how the store is reached, such as ` through the proxy …`.
 * @throws ArchiveExists, ArchiveUnavailable
 */
export async function createS3Object(
  { bucket, key }: S3Name,
  expectedBytes: number,
  via: string,
): Promise<ArchiveTarget> {
  const name = `s3://${bucket}/${key}`;
  const client = new S3Client({ bucket });
  const place = `${name}${via}`;
  if (await asked(place, () => client.exists(key))) {
    throw new ArchiveExists(`${name} exists, and is not overwritten`);
  }
  return startUpload(
    client,
    key,
    place,
    Math.max(PART_BYTES_MIN, Math.ceil(expectedBytes / PARTS_MAX)),
  );
}

/**
 * Starts an upload of unknown length. An object of this name is replaced when it is complete.
 *
 * @param retries of a request that fails. With 0, nothing is sent any more after an error.
 */
export function uploadS3Object(
  { bucket, key }: S3Name,
  via: string,
  retries = RETRIES,
): ArchiveTarget {
  const place = `s3://${bucket}/${key}${via}`;
  return startUpload(new S3Client({ bucket }), key, place, PART_BYTES_MIN, retries);
}

/** Returns the number of bytes of an object. @throws ArchiveUnavailable */
export async function sizeOfS3Object({ bucket, key }: S3Name, via: string): Promise<number> {
  const client = new S3Client({ bucket });
  return (await asked(`s3://${bucket}/${key}${via}`, () => client.stat(key))).size;
}

/** Returns a small object; null if it does not exist. @throws ArchiveUnavailable */
export async function readS3Object(
  { bucket, key }: S3Name,
  via: string,
): Promise<Uint8Array | null> {
  const client = new S3Client({ bucket });
  const place = `s3://${bucket}/${key}${via}`;
  if (!(await asked(place, () => client.exists(key)))) return null;
  return await asked(place, () => client.file(key).bytes());
}

/** Removes an object. A store that says that it does not exist is right too. @throws ArchiveUnavailable */
export async function removeS3Object({ bucket, key }: S3Name, via: string): Promise<void> {
  const client = new S3Client({ bucket });
  const place = `s3://${bucket}/${key}${via}`;
  await asked(place, () => client.delete(key)).catch((error: unknown) => {
    const { cause } = error as { readonly cause?: { readonly code?: unknown } };
    if (cause?.code !== "NoSuchKey") throw error;
  });
}

function startUpload(
  client: S3Client,
  key: string,
  place: string,
  partSize: number,
  retries = RETRIES,
): ArchiveTarget {
  // The upload reads a stream, because a writer of Bun (1.4.5) completes the object even after an error.
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  const options = { partSize, queueSize: PARTS_AT_ONCE, retry: retries, type: MEDIA_TYPE };
  const uploaded = client.write(key, new Response(readable), options);
  // The next write or finish reports the error.
  uploaded.catch(() => undefined);
  return {
    write: (bytes) => asked(place, () => Promise.race([writer.write(bytes), stopped(uploaded)])),
    // The parts become an object only when the upload is completed.
    finish: async () => {
      await asked(place, () => Promise.all([writer.close(), uploaded]));
    },
    abandon: async () => {
      await writer.abort(new Error("the upload was given up")).catch(() => undefined);
      await uploaded.catch(() => undefined);
      // Bun requests the removal of the parts only after this.
      await Bun.sleep(ABORT_MS);
    },
  };
}

/** Rejects if the upload rejects. `finish` handles every other end of the upload. */
const stopped = (uploaded: Promise<unknown>): Promise<never> =>
  uploaded.then(() => new Promise<never>(() => undefined));

/**
 * @param via the same as in `createS3Object`.
 * @throws ArchiveUnavailable
 */
export async function openS3Object({ bucket, key }: S3Name, via: string): Promise<ArchiveSource> {
  const name = `s3://${bucket}/${key}${via}`;
  const client = new S3Client({ bucket });
  const { size } = await asked(name, () => client.stat(key));
  return sourceOf({ client, key, name, size, readBytes: READ_BYTES });
}

/**
 * Returns all objects whose key begins with the prefix.
 *
 * @param via the same as in `createS3Object`.
 * @throws ArchiveUnavailable
 */
export async function listS3Objects(
  { bucket, prefix }: { readonly bucket: string; readonly prefix: string },
  via: string,
): Promise<StoredFile[]> {
  const client = new S3Client({ bucket });
  const name = `s3://${bucket}/${prefix}${via}`;
  const files: StoredFile[] = [];
  for (let after = ""; ; ) {
    const input = {
      prefix,
      maxKeys: LIST_PAGE_KEYS,
      ...(after === "" ? {} : { startAfter: after }),
    };
    const { contents = [], isTruncated } = await asked(name, () => client.list(input));
    for (const { key, size = 0 } of contents) {
      const place = `s3://${bucket}/${key}`;
      const read = { client, key, name: `${place}${via}`, size, readBytes: HEAD_READ_BYTES };
      files.push({
        place,
        bytes: size,
        open: async () => sourceOf(read),
        remove: () => asked(read.name, () => client.delete(key)),
      });
    }
    const last = contents.at(-1)?.key;
    if (isTruncated !== true || last === undefined) return files;
    // A store that ignores where to go on would be asked for the same page for ever.
    if (last <= after)
      throw new ArchiveUnavailable(`${name}: the list begins again after "${after}"`);
    after = last;
  }
}

type ObjectRead = {
  readonly client: S3Client;
  readonly key: string;
  readonly name: string;
  readonly size: number;
  /** Minimum number of bytes that one request reads. */
  readonly readBytes: number;
};

function sourceOf({ client, key, name, size, readBytes }: ObjectRead): ArchiveSource {
  let window = { position: 0, bytes: new Uint8Array(0) };
  return {
    read: async (position, length) => {
      const end = Math.min(position + length, size);
      if (position >= end) return new Uint8Array(0);
      const isHere = position >= window.position && end <= window.position + window.bytes.length;
      if (!isHere) {
        const to = Math.min(size, Math.max(end, position + readBytes));
        const bytes = await asked(name, () => client.file(key).slice(position, to).bytes());
        window = { position, bytes };
      }
      return window.bytes.subarray(position - window.position, end - window.position);
    },
    close: async () => undefined,
  };
}

async function asked<T>(name: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? `${String(cause.code)}: ` : "";
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ArchiveUnavailable(`${name}: ${code}${reason}`, { cause });
  }
}

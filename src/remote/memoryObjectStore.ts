/** A bucket in memory with what S3 promises: strong reads, conditional puts, versions, listings in pages. */
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import { compareKeys } from "./keyOrder.ts"
import {
  type Description,
  isKey,
  type Listed,
  ObjectConflict,
  ObjectMissing,
  ObjectStore,
  ObjectStoreError
} from "./ObjectStore.ts"

/** One state of an object; without content: it was deleted. */
interface Kept {
  readonly version: string
  readonly etag: string
  readonly modified: number
  readonly content: Uint8Array | undefined
}

export interface Options {
  /** Bucket's name. Default: `memory`. */
  readonly bucket?: string
  /** Whether older versions stay readable. Default: no. */
  readonly versioned?: boolean
  /** Keys in a page of a listing: between two of them, others may write. Default: 1000, as S3. */
  readonly page?: number
}

/** An empty bucket. Everything happens at once, so that it can be driven by a simulated clock. */
export const make = (options: Options = {}): ObjectStore["Type"] => {
  const { bucket = "memory", page = 1000, versioned = false } = options
  const name = `s3://${bucket}`
  /** The newest version is the last. */
  const objects = new Map<string, Array<Kept>>()
  let written = 0

  const current = (key: string): Kept | undefined => objects.get(key)?.at(-1)
  const failed = (operation: string, key: string, reason: ObjectStoreError["reason"], detail: string) =>
    new ObjectStoreError({ operation: `${operation} ${name}/${key}`, reason, detail })

  /** Runs a step at one instant, for a key that may be one. */
  const step = <A, E>(
    operation: string,
    key: string,
    run: (now: number) => Effect.Effect<A, E>
  ): Effect.Effect<A, E | ObjectStoreError> =>
    isKey(key)
      ? Effect.flatMap(Clock.currentTimeMillis, run)
      : failed(operation, key, "unexpected", "no object can have this name")

  const keep = (key: string, content: Uint8Array | undefined, modified: number): Kept => {
    const version = `v${++written}`
    const etag = createHash("md5").update(content ?? "").digest("hex")
    const kept: Kept = {
      version,
      etag,
      modified,
      content: content === undefined ? undefined : Uint8Array.from(content)
    }
    objects.set(key, versioned ? [...objects.get(key) ?? [], kept] : [kept])
    return kept
  }

  const versionOf = ({ etag, version }: Kept) => versioned ? { etag, version } : { etag }
  const describe = (kept: Kept, content: Uint8Array): Description => ({ ...versionOf(kept), size: content.byteLength })

  const find = (key: string, version?: string) => {
    const kept = version === undefined
      ? current(key)
      : objects.get(key)?.find((one) => versioned && one.version === version)
    return kept?.content === undefined
      ? new ObjectMissing({ store: name, key })
      : Effect.succeed({ kept, content: kept.content })
  }

  const put = (key: string, content: Uint8Array, allowed: (now: Kept | undefined) => ObjectConflict | undefined) =>
    step("write", key, (now) =>
      Effect.suspend(() => {
        const there = current(key)
        const conflict = allowed(there?.content === undefined ? undefined : there)
        return conflict ?? Effect.succeed(versionOf(keep(key, content, now)))
      }))

  return ObjectStore.of({
    name,
    putIfAbsent: (key, content) =>
      put(
        key,
        content,
        (there) => there === undefined ? undefined : new ObjectConflict({ store: name, key, condition: "absent" })
      ),
    putIfMatch: (key, content, etag) =>
      put(
        key,
        content,
        (there) => there?.etag === etag ? undefined : new ObjectConflict({ store: name, key, condition: "unchanged" })
      ),
    put: (key, content) => step("write", key, (now) => Effect.sync(() => versionOf(keep(key, content, now)))),
    get: (key, { limit, range, version }) =>
      step("read", key, () =>
        Effect.flatMap(Effect.suspend(() => find(key, version)), ({ content, kept }) => {
          if (range !== undefined && range.offset >= content.byteLength) {
            return failed("read", key, "unexpected", "the range lies behind its end")
          }
          const part = range === undefined ? content : content.subarray(range.offset, range.offset + range.length)
          if (part.byteLength > limit) {
            return failed("read", key, "too-large", `it has ${part.byteLength} bytes, more than ${limit}`)
          }
          return Effect.succeed({ ...describe(kept, content), content: Uint8Array.from(part) })
        })),
    head: (key) =>
      step(
        "examine",
        key,
        () => Effect.map(Effect.suspend(() => find(key)), ({ content, kept }) => describe(kept, content))
      ),
    list: (prefix, options) =>
      Stream.paginateChunkEffect("", (after: string) =>
        Effect.sync(() => {
          const keys = [...objects.keys()].filter((key) =>
            key.startsWith(prefix) && compareKeys(key, after) > 0 && current(key)?.content !== undefined &&
            !(options?.shallow === true && key.slice(prefix.length).includes("/"))
          ).sort(compareKeys)
          const listed = keys.slice(0, page).flatMap((key): ReadonlyArray<Listed> => {
            const kept = current(key)
            return kept?.content === undefined
              ? []
              : [{ key, etag: kept.etag, size: kept.content.byteLength, modified: kept.modified }]
          })
          return [
            Chunk.fromIterable(listed),
            keys.length > page ? Option.fromNullable(listed.at(-1)?.key) : Option.none()
          ]
        })),
    delete: (key) =>
      step("remove", key, (now) =>
        Effect.sync(() => {
          if (versioned) keep(key, undefined, now)
          else objects.delete(key)
        }))
  })
}

/**
 * The file that takes what clients write: a head that says what it belongs to, twice a map with a byte for every block
 * of the image, and the blocks themselves, each at its place. All of it is sparse.
 *
 * The map is there twice because what is overwritten while the power fails may be lost: one of the two is always whole.
 * No block becomes `base` again, so of two that differ the one that says more is right.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { RevisionId } from "../../domain/RevisionId.ts"
import * as BlockFile from "../../platform/BlockFile.ts"
import { kindWords } from "../../platform/Disk.ts"
import * as Durable from "../../platform/Durable.ts"
import * as FileLock from "../../platform/FileLock.ts"
import type { IoError } from "../../platform/IoError.ts"
import { outsideRepository } from "../outsideRepository.ts"

/** What cannot take writes, or not those to this revision. Nothing was changed. */
export class OverlayRefused extends Data.TaggedError("OverlayRefused")<{
  readonly path: string
  readonly reason: string
}> {
  override get message() {
    return `cannot use the overlay ${this.path}: ${this.reason}`
  }
}

/** Where the content of a block is: in the revision, in the overlay, or nowhere, since it is zeros. */
export const STATE = { base: 0, data: 1, zero: 2 } as const

/** Bytes of a block. */
export const BLOCK = 64 * 1024
const PAGE = 4096
const MAGIC = "backy-overlay 1"

const align = (value: number, unit: number): number => Math.ceil(value / unit) * unit

/** What an overlay belongs to. `size` in bytes. */
export interface Identity {
  readonly revision: RevisionId
  readonly size: number
  readonly block: number
}

/** Where the parts of the file begin. */
const layoutOf = ({ block, size }: Identity) => {
  const count = Math.ceil(size / block)
  const first = PAGE
  const second = align(first + count, PAGE)
  return { count, maps: [first, second] as const, data: align(second + count, Math.max(block, PAGE)) }
}

const headOf = (identity: Identity): Uint8Array => {
  const { block, revision, size } = identity
  const { data, maps } = layoutOf(identity)
  const text = [
    MAGIC,
    `revision ${revision}`,
    `size ${size}`,
    `block ${block}`,
    `maps ${maps.join(" ")}`,
    `data ${data}`
  ].join("\n")
  const bytes = new Uint8Array(PAGE)
  bytes.set(new TextEncoder().encode(`${text}\n`))
  return bytes
}

/** An overlay that is open for reading and writing. */
export interface OverlayFile {
  /** The state of each block, as it is durable. */
  readonly states: Uint8Array
  readonly read: (buffer: Uint8Array, position: number) => Effect.Effect<number, IoError>
  readonly write: (bytes: Uint8Array, position: number) => Effect.Effect<void, IoError>
  /** Gives back the room of a range; `false`: not possible here, nothing was changed. */
  readonly punch: (position: number, length: number) => Effect.Effect<boolean, IoError>
  /**
   * Makes durable what was written, then the states of the blocks in these pages of 4096 each. After a failure nothing
   * is known any more: do not try again.
   */
  readonly flush: (pages: ReadonlySet<number>) => Effect.Effect<void, IoError>
}

/** Blocks whose states are written together. */
export const PAGE_BLOCKS = PAGE

const examine = Effect.fnUntraced(function*(path: string, identity: Identity) {
  const files = yield* BlockFile.BlockFile
  const refuse = (reason: string) => new OverlayRefused({ path, reason })
  return yield* files.withFile(path, { access: "read" }, (file) =>
    Effect.gen(function*() {
      const { kind, size } = yield* file.stat
      if (kind !== "file") return yield* refuse(`it is ${kindWords[kind]}`)
      if (size === 0) return "new" as const
      const head = new Uint8Array(PAGE)
      yield* file.readAt(head, 0)
      if (Buffer.compare(head, headOf(identity)) === 0) return "old" as const
      const text = Buffer.from(head).toString("latin1")
      if (!text.startsWith(`${MAGIC}\n`)) return yield* refuse("the file holds something else")
      const [, revision = "?"] = /^revision (\w+)$/m.exec(text) ?? []
      return yield* refuse(
        revision === identity.revision
          ? "it was made for another size of the image"
          : `it belongs to revision ${revision}, not to ${identity.revision}`
      )
    })).pipe(
      Effect.catchIf(
        (error) => error._tag === "IoError" && error.code === "ENOENT",
        () => Effect.succeed("new" as const)
      )
    )
})

/** The states that are durable: of the two maps whichever says more. */
const readStates = Effect.fnUntraced(function*(file: BlockFile.OpenFile, identity: Identity) {
  const { count, maps } = layoutOf(identity)
  const states = new Uint8Array(count)
  for (const map of [...maps].reverse()) {
    for (const { length, offset } of yield* file.dataExtents(map, count)) {
      const part = new Uint8Array(length)
      yield* file.readAt(part, offset)
      for (let at = 0; at < length; at++) {
        const state = part[at] ?? 0
        if (state > STATE.zero) {
          return yield* new OverlayRefused({ path: file.path, reason: "its block map is damaged" })
        }
        if (state !== STATE.base) states[offset - map + at] = state
      }
    }
  }
  return states
})

/**
 * Opens the overlay of a revision until the scope ends, and makes it when there is none or an empty file. Fails with
 * `OverlayRefused` when it belongs to another revision or is something else, with `LockHeld` while another process
 * writes to it, and with `IoError`.
 */
export const open = (path: string, identity: Identity) =>
  Effect.gen(function*() {
    const real = yield* outsideRepository(path, (reason) => new OverlayRefused({ path, reason }))
    const locks = yield* FileLock.FileLock
    // beside it: who holds a lock signs the file
    yield* locks.acquire(`${real}.lock`, "exclusive")
    const found = yield* examine(real, identity)
    if (found === "new") yield* Durable.replace(real, headOf(identity), { mode: 0o600 })
    const files = yield* BlockFile.BlockFile
    const file = yield* files.open(real, { access: "read-write" })
    const { data, maps } = layoutOf(identity)
    const end = data + identity.size
    if ((yield* file.stat).size < end) yield* file.truncate(end)
    const states = yield* readStates(file, identity)
    return {
      states,
      read: (buffer, position) => file.readAt(buffer, data + position),
      write: (bytes, position) => file.writeAt(bytes, data + position),
      punch: (position, length) => file.punch(data + position, length),
      flush: Effect.fnUntraced(function*(pages) {
        yield* file.datasync
        if (pages.size === 0) return
        for (const map of maps) {
          for (const page of pages) {
            yield* file.writeAt(states.subarray(page * PAGE, (page + 1) * PAGE), map + page * PAGE)
          }
          // one of the two is whole at any time
          yield* file.datasync
        }
      })
    } satisfies OverlayFile
  })

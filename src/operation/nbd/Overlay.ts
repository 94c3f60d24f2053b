/** A disk that can be written to: a read-only one below, and a file that takes what is written. */
import * as Effect from "effect/Effect"
import { type Allocation, type Export, Fault, joined, type Piece, type Writer } from "../../nbd/Export.ts"
import { type IoError, isFull } from "../../platform/IoError.ts"
import { type OverlayFile, PAGE_BLOCKS, STATE } from "./overlayFile.ts"

/** Zeros that must take room are written in pieces of this length. */
const ZEROS = new Uint8Array(1024 * 1024)

/**
 * The disk below with an overlay. What was written before a `flush` that succeeded is there after a power loss; of later
 * writes each may be there, or not, or in part, as with any disk. Writes wait for each other, reads for nobody.
 */
export const make = (base: Export, overlay: OverlayFile, block: number): Effect.Effect<Export> =>
  Effect.map(Effect.makeSemaphore(1), (turn) => {
    const { states } = overlay
    const { size } = base
    const stateAt = (at: number): number => states[Math.floor(at / block)] ?? STATE.base
    /** Pages of states that are not durable yet. */
    let dirty = new Set<number>()
    let broken: Fault | undefined

    const set = (index: number, state: number) => {
      if (states[index] === state) return
      states[index] = state
      dirty.add(Math.floor(index / PAGE_BLOCKS))
    }

    const faultOf = (error: IoError) =>
      isFull(error)
        ? new Fault({ code: "ENOSPC", reason: error.message })
        : new Fault({ code: "EIO", reason: error.message })
    const told = <A>(effect: Effect.Effect<A, IoError>): Effect.Effect<A, Fault> =>
      Effect.catchAll(effect, (error) => Effect.zipRight(Effect.logError(error.message), faultOf(error)))

    /** Parts of a range that lie in blocks of one state, one after the other. */
    const runs = function*(offset: number, length: number) {
      const end = offset + length
      for (let at = offset; at < end;) {
        const state = stateAt(at)
        let stop = (Math.floor(at / block) + 1) * block
        while (stop < end && stateAt(stop) === state) stop += block
        stop = Math.min(stop, end)
        yield { state, at, length: stop - at }
        at = stop
      }
    }

    const readRun = (state: number, at: number, length: number): Effect.Effect<ReadonlyArray<Piece>, Fault> => {
      if (state === STATE.zero) return Effect.succeed([{ length, bytes: undefined }])
      if (state === STATE.base) return base.read(at, length)
      return Effect.suspend(() => {
        const bytes = new Uint8Array(length)
        return Effect.as(told(overlay.read(bytes, at)), [{ length, bytes }])
      })
    }

    const read = (offset: number, length: number): Effect.Effect<ReadonlyArray<Piece>, Fault> => {
      const all = [...runs(offset, length)]
      const [only, ...more] = all
      return only !== undefined && more.length === 0
        ? readRun(only.state, only.at, only.length)
        : Effect.map(
          Effect.forEach(all, ({ at, length, state }) => readRun(state, at, length)),
          (found) => found.flat()
        )
    }

    const allocations = (offset: number, length: number, most: number): ReadonlyArray<Allocation> => {
      const found: Array<Allocation> = []
      for (const { at, length: some, state } of runs(offset, length)) {
        const parts = state === STATE.base
          ? base.allocations(at, some, most)
          : [{ length: some, data: state === STATE.data }]
        for (const part of parts) {
          const last = found.at(-1)
          if (last?.data === part.data) found[found.length - 1] = { ...part, length: last.length + part.length }
          else if (found.length === most) return found
          else found.push(part)
        }
        // the base may tell less than was asked
        if (parts.reduce((sum, part) => sum + part.length, 0) < some) return found
      }
      return found
    }

    /** What a part of a block has held until now. */
    const copy = (from: number, to: number): Effect.Effect<Uint8Array, Fault> =>
      Effect.map(from < to ? read(from, to - from) : Effect.succeed([]), (pieces) => joined(pieces, to - from))

    /** Whole blocks are written, so that the rest of a block that is new here comes along. */
    const write = (offset: number, bytes: Uint8Array): Effect.Effect<void, Fault> =>
      Effect.gen(function*() {
        const end = offset + bytes.length
        const from = Math.floor(offset / block) * block
        const to = Math.min(Math.ceil(end / block) * block, size)
        const before = stateAt(offset) === STATE.data ? undefined : yield* copy(from, offset)
        const behind = stateAt(end - 1) === STATE.data ? undefined : yield* copy(end, to)
        if (before !== undefined && before.length > 0) yield* told(overlay.write(before, from))
        yield* told(overlay.write(bytes, offset))
        if (behind !== undefined && behind.length > 0) yield* told(overlay.write(behind, end))
        for (let index = from / block; index * block < to; index++) set(index, STATE.data)
      })

    /** Zeros in a part of one block. */
    const zeroPart = (offset: number, length: number): Effect.Effect<void, Fault> =>
      read(offset, length).pipe(
        Effect.flatMap((pieces) =>
          pieces.every(({ bytes }) => bytes === undefined) ? Effect.void : write(offset, new Uint8Array(length))
        )
      )

    /** Zeros in whole blocks: only their states say so. */
    const zeroBlocks = (first: number, stop: number): Effect.Effect<void, Fault> =>
      Effect.gen(function*() {
        let had = false
        for (let index = first; index < stop; index++) {
          had ||= states[index] === STATE.data
          set(index, STATE.zero)
        }
        if (!had) return
        const at = first * block
        yield* told(overlay.punch(at, Math.min(stop * block, size) - at))
      })

    const zero = (offset: number, length: number): Effect.Effect<void, Fault> =>
      Effect.gen(function*() {
        const end = offset + length
        const first = Math.ceil(offset / block)
        const stop = end === size ? Math.ceil(end / block) : Math.floor(end / block)
        if (first >= stop) {
          const border = first * block
          if (border <= offset || border >= end) return yield* zeroPart(offset, length)
          yield* zeroPart(offset, border - offset)
          return yield* zeroPart(border, end - border)
        }
        if (offset < first * block) yield* zeroPart(offset, first * block - offset)
        yield* zeroBlocks(first, stop)
        if (stop * block < end) yield* zeroPart(stop * block, end - stop * block)
      })

    const fill = (offset: number, length: number): Effect.Effect<void, Fault> =>
      Effect.iterate(0, {
        while: (done) => done < length,
        body: (done) => {
          const some = ZEROS.subarray(0, Math.min(ZEROS.length, length - done))
          return Effect.as(write(offset + done, some), done + some.length)
        }
      })

    const flush: Effect.Effect<void, Fault> = Effect.suspend(() => {
      const pages = dirty
      dirty = new Set()
      return overlay.flush(pages).pipe(Effect.catchAll((error) => {
        // the system has forgotten what it could not write
        broken = new Fault({ code: "EIO", reason: `the overlay cannot be relied upon any more: ${error.message}` })
        return Effect.zipRight(Effect.logError(broken.reason), broken)
      }))
    })

    const inTurn = (effect: Effect.Effect<void, Fault>): Effect.Effect<void, Fault> =>
      turn.withPermits(1)(Effect.uninterruptible(Effect.suspend(() => broken ?? effect)))

    const writer: Writer = {
      write: (offset, bytes) => inTurn(write(offset, bytes)),
      zero: (offset, length, { hole }) => inTurn(hole ? zero(offset, length) : fill(offset, length)),
      flush: inTurn(flush)
    }
    return { ...base, writer, read, allocations }
  })

/** Bytes as they come in, until they are asked for: what stands between callbacks and a stream. */
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

/** The one side of a queue. */
export interface PieceQueue<E> {
  /** Its bytes, once; ends behind what came before `end`. */
  readonly stream: Stream.Stream<Uint8Array, E>
  /** Puts a piece in and tells how many bytes wait now. */
  readonly push: (piece: Uint8Array) => number
  readonly end: () => void
  /** Lets the stream fail at its next step, whatever waits. */
  readonly fail: (cause: Cause.Cause<E>) => void
}

/** How long a few bytes wait for more, in milliseconds. */
const PATIENCE = 2

/**
 * A queue. `taken` is called whenever all that waited was handed out, and with that all before it is done with. Until
 * there are `worthwhile` bytes, those that are there wait a little for more: a step of the stream costs as much as
 * reading a few hundred KiB.
 */
export const make = <E>(worthwhile: number, taken: () => void): PieceQueue<E> => {
  let pieces: Array<Uint8Array> = []
  let bytes = 0
  let ended = false
  let failure: Cause.Cause<E> | undefined
  let wake = () => {}
  const pull: Effect.Effect<Chunk.Chunk<Uint8Array>, Option.Option<E>> = Effect.suspend(() => {
    if (failure !== undefined) return Effect.failCause(Cause.map(failure, Option.some))
    if (pieces.length > 0) {
      const batch = Chunk.unsafeFromArray(pieces)
      pieces = []
      bytes = 0
      taken()
      return Effect.succeed(batch)
    }
    if (ended) return Effect.fail(Option.none())
    return Effect.async<Chunk.Chunk<Uint8Array>, Option.Option<E>>((resume) => {
      wake = () => {
        wake = () => {}
        resume(pull)
      }
      return Effect.sync(() => {
        wake = () => {}
      })
    })
  })
  return {
    stream: Stream.repeatEffectChunkOption(pull),
    push: (piece) => {
      pieces.push(piece)
      const isFirst = bytes === 0
      const wasFew = bytes < worthwhile
      bytes += piece.length
      // never at once: more pieces may come in this turn of the event loop
      if (bytes >= worthwhile && (wasFew || isFirst)) setImmediate(() => wake())
      else if (isFirst) setTimeout(() => wake(), PATIENCE)
      return bytes
    },
    end: () => {
      ended = true
      wake()
    },
    fail: (cause) => {
      failure ??= cause
      wake()
    }
  }
}
